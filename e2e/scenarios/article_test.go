package scenarios

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
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
			_, err := s.Kubectl(t.Context(), "label", "namespace", "app-ns", "elbv2.k8s.aws/pod-readiness-gate-inject=enabled")
			require.NoError(t, err)
			t.Run("roll out", func(t *testing.T) {
				rollOut(t, s, alb, tcp, func() {})
				silent(t, s)
			})
			t.Run("roll out while another controller takes over", func(t *testing.T) {
				if version != gatewayapi.Newest {
					t.Skip("the version of the Gateway API makes no difference to that")
				}
				require.NoError(t, s.StartStandby(t.Context()))
				rollOut(t, s, alb, tcp, func() {
					eventually(t, "a pod to wait for its load balancer", func(ctx context.Context) error { return waiting(ctx, s) })
					require.NoError(t, s.StopController(t.Context()))
				})
			})
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

// rollOut replaces all pods, with readiness gates, while clients go on asking, and something else happens.
func rollOut(t *testing.T, s *system.System, alb, nlb string, meanwhile func()) {
	secure := trusting(t, s.Emulator.CACertificate)
	kept, closed := keeping(secure, true), keeping(secure, false)
	load := startLoad(t, map[string]func(context.Context) error{
		"HTTP over one connection":     asking(keeping(http.DefaultClient, true), "http://"+alb+"/"),
		"HTTP over many connections":   asking(keeping(http.DefaultClient, false), "http://"+alb+"/"),
		"HTTPS over one connection":    asking(kept, "https://"+alb+"/"),
		"HTTPS over many connections":  asking(closed, "https://"+alb+"/"),
		"TCP, each time by a new flow": func(ctx context.Context) error { return echo(ctx, nlb+":9000") },
	})
	capacity := watchCapacity(t, s)
	deployments := []string{"deployment/app", "deployment/tcp-app"}
	_, err := s.Kubectl(t.Context(), append([]string{"rollout", "restart", "-n", "app-ns"}, deployments...)...)
	require.NoError(t, err)
	meanwhile()
	for _, deployment := range deployments {
		_, err = s.Kubectl(t.Context(), "rollout", "status", "-n", "app-ns", deployment, "--timeout=180s")
		require.NoError(t, err)
	}
	eventually(t, "the old pods to be gone", func(ctx context.Context) error {
		pods, err := s.Clientset.CoreV1().Pods("app-ns").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			if err := admitted(pod); err != nil {
				return err
			}
		}
		return nil
	})
	capacity.stop(t)
	for client, sent := range load.stop(t) {
		require.Greaterf(t, sent, 100, "requests of the client that sends %s: it was at work throughout", client)
	}
	silent(t, s)
}

// waiting complains when no pod waits for its load balancer.
func waiting(ctx context.Context, s *system.System) error {
	pods, err := s.Clientset.CoreV1().Pods("app-ns").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		for _, condition := range pod.Status.Conditions {
			if condition.Reason == "Elb.RegistrationInProgress" {
				return nil
			}
		}
	}
	return errors.New("no pod waits")
}

// admitted complains about a pod that goes, or that was not made ready by its load balancer.
func admitted(pod corev1.Pod) error {
	if pod.DeletionTimestamp != nil {
		return fmt.Errorf("%s is still there", pod.Name)
	}
	if len(pod.Spec.ReadinessGates) == 0 {
		return fmt.Errorf("%s has no readiness gate", pod.Name)
	}
	for _, gate := range pod.Spec.ReadinessGates {
		if !strings.HasPrefix(string(gate.ConditionType), "target-health.elbv2.k8s.aws/k8s-appns-") {
			return fmt.Errorf("%s has the gate %s", pod.Name, gate.ConditionType)
		}
		open := func(c corev1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue
		}
		if !slices.ContainsFunc(pod.Status.Conditions, open) {
			return fmt.Errorf("%s waits for %s", pod.Name, gate.ConditionType)
		}
	}
	return nil
}

// silent makes sure that AWS is asked nothing when nobody waits: not within the time after which it would
// be at the latest.
func silent(t *testing.T, s *system.System) {
	t.Helper()
	const afterwards = time.Second
	time.Sleep(afterwards)
	mark, err := s.Emulator.Mark()
	require.NoError(t, err)
	const longest = 16 * time.Second
	time.Sleep(longest)
	calls, err := s.Emulator.Calls(mark)
	require.NoError(t, err)
	require.Empty(t, calls, "calls while nobody waits")
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

// load is clients that go on asking.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mutex    sync.Mutex
	sent     map[string]int
	failures []string
}

// startLoad starts clients, each of which asks again as soon as it is answered.
func startLoad(t *testing.T, clients map[string]func(context.Context) error) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	l := &load{cancel: cancel, sent: map[string]int{}}
	for name, ask := range clients {
		l.done.Go(func() {
			for ctx.Err() == nil {
				err := ask(context.WithoutCancel(ctx))
				l.mutex.Lock()
				l.sent[name]++
				if err != nil {
					l.failures = append(l.failures, fmt.Sprintf("%s: %s: %v", time.Now().Format(time.StampMilli), name, err))
				}
				l.mutex.Unlock()
			}
		})
	}
	return l
}

// stop ends the clients, fails if anything failed, and gives what each has sent.
func (l *load) stop(t *testing.T) map[string]int {
	t.Helper()
	l.cancel()
	l.done.Wait()
	require.Emptyf(t, l.failures, "of these requests: %v", l.sent)
	return l.sent
}

// capacity is the targets to which load balancers send traffic: their least numbers.
type capacity struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	// before and least are by target group.
	before, least map[string]int
	failure       error
}

// watchCapacity looks at the health of all targets until it is stopped.
func watchCapacity(t *testing.T, s *system.System) *capacity {
	t.Helper()
	before, err := s.Emulator.HealthyTargets(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	c := &capacity{cancel: cancel, before: before, least: maps.Clone(before)}
	c.done.Go(func() {
		for ctx.Err() == nil {
			now, err := s.Emulator.HealthyTargets(context.WithoutCancel(ctx))
			if err != nil {
				c.failure = err
				return
			}
			for group := range c.least {
				c.least[group] = min(c.least[group], now[group])
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	return c
}

// stop fails if a target group had fewer healthy targets than at first. Load balancers that have none fail
// open, so requests alone do not tell.
func (c *capacity) stop(t *testing.T) {
	t.Helper()
	c.cancel()
	c.done.Wait()
	require.NoError(t, c.failure)
	require.NotEmpty(t, c.before)
	require.Equal(t, c.before, c.least, "healthy targets at least")
}

// asking asks for a page, over and over.
func asking(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := get(ctx, client, url)
		return err
	}
}

// keeping is a client like another, with connections of its own that it keeps or not.
func keeping(like *http.Client, keeps bool) *http.Client {
	transport := &http.Transport{}
	if of, ok := like.Transport.(*http.Transport); ok {
		transport = of.Clone()
	}
	transport.DisableKeepAlives = !keeps
	return &http.Client{Transport: transport}
}
