package system

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	// Namespace and ServiceAccount are those of the controller, as deploy/rbac.yaml has them.
	Namespace      = "kube-system"
	ServiceAccount = "aws-load-balancer-controller"
)

// Controller is a running controller.
type Controller struct {
	process *process
	// Health and Metrics are the addresses of its servers.
	Health, Metrics string
}

// StartController starts a controller and waits until it answers that it is ready. One that runs already
// is then no longer [System.Controller], but runs on.
func (s *System) StartController(ctx context.Context, flags ...string) error {
	controller, err := s.LaunchController(ctx, flags...)
	if err != nil {
		return err
	}
	s.controller = controller
	return controller.process.ready(ctx, controller.isReady)
}

// LaunchController starts a controller and waits for nothing.
func (s *System) LaunchController(ctx context.Context, flags ...string) (*Controller, error) {
	kubeconfig, err := s.kubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	health, err := freeAddress()
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	world, err := s.world()
	if err != nil {
		return nil, err
	}
	args := []string{
		"controller",
		"--kubeconfig", kubeconfig,
		"--cluster-name", world.ClusterName,
		"--aws-region", world.Region,
		"--aws-vpc-id", world.VPC.ID,
		"--aws-endpoint-url", s.Emulator.Endpoint,
		"--default-target-type", "ip",
		"--leader-election-namespace", Namespace,
		"--health-probe-bind-addr", health,
		"--metrics-bind-addr", metrics,
	}
	args = append(append(args, s.options.ControllerFlags...), flags...)
	s.started++
	name := "controller-" + number(s.started)
	environment := append(s.Cluster.Environment(),
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true")
	process, err := startProcess(name, s.file(name+".log"), environment, s.program, args...)
	if err != nil {
		return nil, err
	}
	return &Controller{process: process, Health: health, Metrics: metrics}, nil
}

// Controller is the one that was started last; nil when there is none.
func (s *System) Controller() *Controller { return s.controller }

// StopController asks the controller to end and waits for it.
func (s *System) StopController() error {
	if s.controller == nil {
		return nil
	}
	controller := s.controller
	s.controller = nil
	return controller.Stop()
}

// KillController ends the controller without asking.
func (s *System) KillController() error {
	if s.controller == nil {
		return errors.New("there is no controller to kill")
	}
	controller := s.controller
	s.controller = nil
	return controller.process.kill()
}

// Stop asks it to end and waits for it.
func (c *Controller) Stop() error { return c.process.stop() }

// Log is the file with its log.
func (c *Controller) Log() string { return c.process.log }

// RSS is how much memory it has now, in bytes.
func (c *Controller) RSS() (int, error) {
	file := fmt.Sprintf("/proc/%d/status", c.process.command.Process.Pid)
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("cannot read the memory of %s: %w", c.process.name, err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.Atoi(strings.Fields(value)[0])
			return kilobytes * 1024, err
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS", file)
}

func (c *Controller) isReady(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Health+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", answer.Status)
	}
	return nil
}

// kubeconfig is for a client with the rights of the controller's ServiceAccount and no others.
func (s *System) kubeconfig(ctx context.Context) (string, error) {
	const day = int64(24 * 60 * 60)
	token, err := s.Clientset.CoreV1().ServiceAccounts(Namespace).CreateToken(ctx, ServiceAccount,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr(day)}}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot get a token of the controller's ServiceAccount: %w", err)
	}
	admin, err := s.Cluster.RESTConfig()
	if err != nil {
		return "", err
	}
	if err := rest.LoadTLSFiles(admin); err != nil {
		return "", fmt.Errorf("cannot read the cluster's certificate: %w", err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["e2e"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthorityData: admin.CAData}
	config.AuthInfos["controller"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["e2e"] = &clientcmdapi.Context{Cluster: "e2e", AuthInfo: "controller", Namespace: Namespace}
	config.CurrentContext = "e2e"
	file := s.file("controller.kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return "", fmt.Errorf("cannot write the controller's kubeconfig: %w", err)
	}
	return filepath.Abs(file)
}

// freeAddress is an address on loopback on which nobody listens.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

func ptr[T any](value T) *T { return &value }
