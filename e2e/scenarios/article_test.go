package scenarios

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/elbow-project/elbow/e2e/cluster/gatewayapi"
	"github.com/elbow-project/elbow/e2e/system"
)

// TestArticle applies examples/ and the programs behind them, on a cluster with the Gateway API that its
// TCPRoute was written for, and on one with a later one.
func TestArticle(t *testing.T) {
	for _, version := range []gatewayapi.Version{gatewayapi.V1_5_1, gatewayapi.Newest} {
		t.Run("Gateway API "+string(version), func(t *testing.T) {
			s := start(t, system.Options{GatewayAPI: version})
			require.NoError(t, s.Apply(t.Context(), "testdata/backends.yaml"))
			require.NoError(t, s.ApplyText(t.Context(), example(t, s, "alb-http.yaml")))
			nlb := example(t, s, "nlb-tcp.yaml")
			require.NoError(t, s.ApplyText(t.Context(), nlb))

			alb := address(t, s, types.NamespacedName{Namespace: "app-ns", Name: "my-alb"})
			eventually(t, "an answer over HTTP", func(ctx context.Context) error {
				_, err := get(ctx, http.DefaultClient, "http://"+alb+"/hello")
				return err
			})
			secure := trusting(t, s.Emulator.CACertificate)
			eventually(t, "an answer over HTTPS", func(ctx context.Context) error {
				_, err := get(ctx, secure, "https://"+alb+"/hello")
				return err
			})
			tcp := address(t, s, types.NamespacedName{Namespace: "app-ns", Name: "my-nlb"})
			eventually(t, "an answer over TCP", func(ctx context.Context) error { return echo(ctx, tcp+":9000") })

			t.Run("scale", func(t *testing.T) { scale(t, s, alb) })
			t.Run("roll out", func(t *testing.T) { rollOut(t, s, alb) })
			t.Run("delete", func(t *testing.T) { deleteAll(t, s) })
		})
	}
}

// scale asks for more pods, and waits until each of them answers.
func scale(t *testing.T, s *system.System, host string) {
	const pods = 4
	_, err := s.Kubectl(t.Context(), "scale", "-n", "app-ns", "deployment/app", fmt.Sprintf("--replicas=%d", pods))
	require.NoError(t, err)
	seen := map[string]bool{}
	eventually(t, "an answer of every pod", func(ctx context.Context) error {
		pod, err := get(ctx, http.DefaultClient, "http://"+host+"/")
		if err != nil {
			return err
		}
		seen[pod] = true
		if len(seen) < pods {
			return fmt.Errorf("%d pods have answered, not %d", len(seen), pods)
		}
		return nil
	})
}

// rollOut replaces all pods, with readiness gates, while a client goes on asking.
func rollOut(t *testing.T, s *system.System, host string) {
	_, err := s.Kubectl(t.Context(), "label", "namespace", "app-ns", "elbv2.k8s.aws/pod-readiness-gate-inject=enabled")
	require.NoError(t, err)
	load := startLoad(t, "http://"+host+"/")
	_, err = s.Kubectl(t.Context(), "rollout", "restart", "-n", "app-ns", "deployment/app")
	require.NoError(t, err)
	_, err = s.Kubectl(t.Context(), "rollout", "status", "-n", "app-ns", "deployment/app", "--timeout=180s")
	require.NoError(t, err)
	eventually(t, "the old pods to be gone", func(ctx context.Context) error {
		pods, err := s.Clientset.CoreV1().Pods("app-ns").List(ctx, metav1.ListOptions{LabelSelector: "app=app"})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			if pod.DeletionTimestamp != nil {
				return fmt.Errorf("%s is still there", pod.Name)
			}
			if len(pod.Spec.ReadinessGates) == 0 {
				return fmt.Errorf("%s has no readiness gate", pod.Name)
			}
		}
		return nil
	})
	sent, failures := load.stop()
	require.Emptyf(t, failures, "of %d requests", sent)
	require.Greater(t, sent, int64(100), "the client was at work throughout")
}

// deleteAll deletes the namespace, which has the Gateways, their configuration and the Services in no
// particular order, and then the classes.
func deleteAll(t *testing.T, s *system.System) {
	_, err := s.Kubectl(t.Context(), "delete", "namespace", "app-ns", "--timeout=120s")
	require.NoError(t, err)
	_, err = s.Kubectl(t.Context(), "delete", "gatewayclass", "aws-alb-class", "aws-nlb-class", "--timeout=60s")
	require.NoError(t, err)
	require.NoError(t, s.Emulator.BecomesEmpty(t.Context(), settled))
}

// address waits for a Gateway to be programmed and gives its host name.
func address(t *testing.T, s *system.System, name types.NamespacedName) string {
	t.Helper()
	var host string
	eventually(t, name.String()+" to be programmed", func(ctx context.Context) error {
		var gateway gatewayv1.Gateway
		if err := s.Client.Get(ctx, name, &gateway); err != nil {
			return err
		}
		if err := condition(gateway.Status.Conditions, "Programmed", metav1.ConditionTrue); err != nil {
			return err
		}
		if len(gateway.Status.Addresses) == 0 {
			return fmt.Errorf("it has no address")
		}
		host = gateway.Status.Addresses[0].Value
		return nil
	})
	return host
}

// condition complains when a condition is not as wanted.
func condition(conditions []metav1.Condition, name string, want metav1.ConditionStatus) error {
	for _, c := range conditions {
		if c.Type == name {
			if c.Status == want {
				return nil
			}
			return fmt.Errorf("%s is %s: %s: %s", name, c.Status, c.Reason, c.Message)
		}
	}
	return fmt.Errorf("there is no condition %s", name)
}

// get asks for a page of app.example.com and gives the pod that answered.
func get(ctx context.Context, client *http.Client, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Host = "app.example.com"
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", url, answer.Status)
	}
	var echoed struct {
		Pod string `json:"pod"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&echoed); err != nil {
		return "", fmt.Errorf("%s answers what is no echo: %w", url, err)
	}
	return echoed.Pod, nil
}

// trusting is a client that trusts the emulator's authority for app.example.com.
func trusting(t *testing.T, authority string) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM([]byte(authority)), "the emulator's authority")
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "app.example.com", MinVersion: tls.VersionTLS12},
	}}
}

// echo sends a line over TCP and looks for the backend's answer to it.
func echo(ctx context.Context, address string) error {
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(connection, "PING"); err != nil {
		return err
	}
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		if lines.Text() == "PONG" {
			return nil
		}
	}
	return fmt.Errorf("%s closes without an answer: %w", address, lines.Err())
}

// load is a client that goes on asking.
type load struct {
	cancel   context.CancelFunc
	done     sync.WaitGroup
	sent     atomic.Int64
	mutex    sync.Mutex
	failures []string
}

// startLoad starts a client that asks over connections of its own, some of which it keeps.
func startLoad(t *testing.T, url string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	for _, keeps := range []bool{true, false} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keeps}}
		l.done.Go(func() {
			for ctx.Err() == nil {
				_, err := get(context.WithoutCancel(ctx), client, url)
				l.sent.Add(1)
				if err != nil {
					l.mutex.Lock()
					l.failures = append(l.failures, fmt.Sprintf("%s: %v", time.Now().Format(time.StampMilli), err))
					l.mutex.Unlock()
				}
			}
		})
	}
	t.Cleanup(cancel)
	return l
}

// stop ends the client and gives what it saw.
func (l *load) stop() (int64, []string) {
	l.cancel()
	l.done.Wait()
	return l.sent.Load(), l.failures
}
