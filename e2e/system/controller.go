package system

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"

	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
)

const (
	// Namespace and ServiceAccount are those of the controller, as deploy/controller/rbac.yaml has them.
	Namespace      = "kube-system"
	ServiceAccount = "elbow"
)

// Controller is a running controller.
type Controller struct {
	process *testcluster.Process
	// health is the address at which it says how it is.
	health string
	name   string
	// webhook is the port on which it answers the API server.
	webhook uint16
}

// StartController starts a controller and waits until it answers that it is ready.
func (s *System) StartController(ctx context.Context, flags ...string) error {
	controller, err := s.launchController(ctx, flags...)
	if err != nil {
		return err
	}
	s.controller = controller
	if err := ready(ctx, controller.process, controller.isReady); err != nil {
		return fmt.Errorf("the controller: %w", err)
	}
	return s.publish(ctx, controller)
}

// launchController starts a controller and waits for nothing.
func (s *System) launchController(ctx context.Context, flags ...string) (*Controller, error) {
	kubeconfig := s.file("controller.kubeconfig")
	if err := s.Cluster.WriteServiceAccountKubeconfig(ctx, Namespace, ServiceAccount, kubeconfig); err != nil {
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
	webhook, err := freeAddress()
	if err != nil {
		return nil, err
	}
	answers, err := netip.ParseAddrPort(webhook)
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
		"--trust-store-bucket", bucket,
		"--leader-election-namespace", Namespace,
		"--health-probe-bind-addr", health,
		"--metrics-bind-addr", metrics,
		"--webhook-bind-port", strconv.Itoa(int(answers.Port())),
		"--webhook-cert-dir", s.file(webhookFolder),
	}
	args = append(append(args, s.options.ControllerFlags...), flags...)
	s.started++
	name := "controller-" + strconv.Itoa(s.started)
	command := exec.Command(s.program, args...)
	command.Env = []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true"}
	process, err := s.Cluster.Start(name, command)
	if err != nil {
		return nil, err
	}
	return &Controller{process: process, health: health, name: name, webhook: answers.Port()}, nil
}

// StartStandby starts a controller beside the one that there is, and waits until it could take over. It
// becomes the System's controller when the other one ends by [System.StopController] or
// [System.KillController].
func (s *System) StartStandby(ctx context.Context) error {
	standby, err := s.launchController(ctx)
	if err != nil {
		return err
	}
	s.standby = standby
	if err := ready(ctx, standby.process, standby.isReady); err != nil {
		return fmt.Errorf("the controller that stands by: %w", err)
	}
	return s.publish(ctx, standby)
}

// ControllerPID is the number of the controller's process.
func (s *System) ControllerPID() (int, error) {
	if s.controller == nil {
		return 0, errors.New("there is no controller")
	}
	return s.controller.process.PID(), nil
}

// StopController asks the controller to end and waits for it.
func (s *System) StopController(ctx context.Context) error {
	if s.controller == nil {
		return nil
	}
	controller := s.controller
	s.controller, s.standby = s.standby, nil
	s.retire(ctx, controller)
	return controller.Stop(ctx)
}

// KillController ends the controller without asking.
func (s *System) KillController() error {
	if s.controller == nil {
		return errors.New("there is no controller to kill")
	}
	controller := s.controller
	s.controller, s.standby = s.standby, nil
	controller.process.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	s.retire(ctx, controller)
	return nil
}

// Stop asks it to end and waits for it.
func (c *Controller) Stop(ctx context.Context) error {
	if err := c.process.Stop(ctx); err != nil {
		return fmt.Errorf("the controller: %w; its log ends so:\n%s", err, tail(c.process.Log))
	}
	return nil
}

func (c *Controller) isReady(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.health+"/readyz", nil)
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

// freeAddress is an address on loopback on which nobody listens.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
