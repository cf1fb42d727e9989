// Package system is elbow at work in a test cluster: the emulator in AWS's place, the CRDs, the role that
// elbow is shipped with, and the controller.
//
// In: a cluster and [Options]. Out: a [System] whose parts can be stopped, killed and disturbed.
// Always: the controller is the program that users run, with the role of deploy/, as a process of its
// own, and reaches AWS by HTTP. What a System starts ends with [System.Close].
package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/elbow-project/elbow/e2e/cluster/gatewayapi"
	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

const (
	// readyTimeout is how long a part may take to be ready, on a machine that does much else.
	readyTimeout = time.Minute
	// stopTimeout is how long a part may take to end when it is asked to.
	stopTimeout = 30 * time.Second
	// poll is how often a condition is looked at.
	poll = 20 * time.Millisecond
)

// Options of a System. The zero value is what most tests want.
type Options struct {
	// GatewayAPI is the version of the Gateway API, of whose experimental channel the CRDs are; the newest
	// when empty.
	GatewayAPI gatewayapi.Version
	// Speed is how many times faster AWS's waits are than in AWS; 100 when 0.
	Speed int
	// Throttle has the emulator throttle calls as AWS does.
	Throttle bool
	// ControllerFlags are added to those that every controller needs.
	ControllerFlags []string
}

// System is a running system.
type System struct {
	Cluster *testcluster.Cluster
	// Client may do everything.
	Client client.Client
	// Clientset may do everything.
	Clientset kubernetes.Interface
	// Emulator stands in AWS's place.
	Emulator *Emulator

	options    Options
	repository string
	program    string
	folder     string
	controller *Controller
	// standby waits for the lease; nil where there is none.
	standby *Controller
	started int
}

// Start starts all parts. ctx is for the start alone.
func Start(ctx context.Context, cluster *testcluster.Cluster, options Options) (_ *System, err error) {
	if options.GatewayAPI == "" {
		options.GatewayAPI = gatewayapi.Newest
	}
	if options.Speed == 0 {
		options.Speed = 100
	}
	s := &System{Cluster: cluster, options: options}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.repository, err = repository(); err != nil {
		return nil, err
	}
	if s.program, err = program(s.repository); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp(cluster.Logs, "elbow-"); err != nil {
		return nil, fmt.Errorf("cannot make a folder for logs: %w", err)
	}
	config, err := cluster.RESTConfig()
	if err != nil {
		return nil, err
	}
	if s.Client, err = client.New(config, client.Options{Scheme: scheme()}); err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	if s.Clientset, err = cluster.Clientset(); err != nil {
		return nil, err
	}
	if s.Emulator, err = startEmulator(ctx, s); err != nil {
		return nil, err
	}
	if err = s.install(ctx); err != nil {
		return nil, err
	}
	if err = s.StartController(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends all parts.
func (s *System) Close() {
	// What is left of a part that ends badly is in its log.
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = s.StopController(ctx)
	_ = s.StopController(ctx)
	if err := s.keepRequests(); err != nil {
		// Who compares them with the role finds that they are missing.
		fmt.Fprintf(os.Stderr, "warning: %v\n", err)
	}
	if s.Emulator != nil {
		_ = s.Emulator.process.Stop(ctx)
	}
}

// install puts into the cluster what elbow needs to be there.
func (s *System) install(ctx context.Context) error {
	if err := s.Cluster.InstallGatewayAPI(ctx, s.options.GatewayAPI, gatewayapi.Experimental); err != nil {
		return err
	}
	if err := s.Apply(ctx, filepath.Join(s.repository, "deploy/crds")); err != nil {
		return err
	}
	if _, err := s.Kubectl(ctx, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"); err != nil {
		return err
	}
	if err := s.Apply(ctx, filepath.Join(s.repository, "deploy/controller/rbac.yaml")); err != nil {
		return err
	}
	return s.installWebhook(ctx)
}

// Apply applies manifests, files or folders, as users do.
func (s *System) Apply(ctx context.Context, paths ...string) error {
	args := []string{"apply", "--server-side", "--force-conflicts"}
	for _, path := range paths {
		args = append(args, "-f", path)
	}
	_, err := s.Kubectl(ctx, args...)
	return err
}

// ApplyText applies manifests that are text.
func (s *System) ApplyText(ctx context.Context, manifests string) error {
	_, err := s.kubectl(ctx, manifests, "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// Kubectl runs kubectl with all rights and gives what it prints.
func (s *System) Kubectl(ctx context.Context, args ...string) (string, error) {
	return s.kubectl(ctx, "", args...)
}

func (s *System) kubectl(ctx context.Context, input string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(s.Cluster.Programs, "kubectl"), args...)
	command.Env = s.Cluster.Environment()
	command.Stdin = strings.NewReader(input)
	output, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("kubectl %s: %s", strings.Join(args, " "), strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return string(output), nil
}

// Eventually waits until look finds nothing to complain about, and else gives the last complaint.
func Eventually(ctx context.Context, timeout time.Duration, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	for {
		complaint := look(ctx)
		if complaint == nil {
			return nil
		}
		// That time ran out in the middle of a look says nothing about what was looked at.
		if last == nil || ctx.Err() == nil {
			last = complaint
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %v: %w", timeout, last)
		case <-time.After(poll):
		}
	}
}

// world reads the description of the VPC.
func (s *System) world() (*vpc.World, error) {
	text, err := os.ReadFile(s.Cluster.World)
	if err != nil {
		return nil, fmt.Errorf("cannot read the description of the VPC: %w", err)
	}
	world := new(vpc.World)
	if err := json.Unmarshal(text, world); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", s.Cluster.World, err)
	}
	return world, nil
}

// certificate is there from the start, as one that an administrator has asked for.
type certificate struct {
	ARN     string   `json:"arn"`
	Domains []string `json:"domains"`
}

// worldFile describes the VPC, with a certificate, for an emulator.
func (s *System) worldFile(e *Emulator) (string, error) {
	world, err := s.world()
	if err != nil {
		return "", err
	}
	e.Certificate = fmt.Sprintf("arn:aws:acm:%s:%s:certificate/0e2e0000-0000-4000-8000-000000000001", world.Region, world.Account)
	described := struct {
		*vpc.World
		Certificates []certificate `json:"certificates"`
		Buckets      []string      `json:"buckets"`
	}{world, []certificate{{ARN: e.Certificate, Domains: []string{"app.example.com"}}}, []string{bucket}}
	text, err := json.Marshal(described)
	if err != nil {
		return "", err
	}
	file := s.file("world.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return "", fmt.Errorf("cannot describe the VPC: %w", err)
	}
	return file, nil
}

// Program is the elbow that is tested.
func (s *System) Program() string { return s.program }

// GatewayAPI is the version of the Gateway API that is installed.
func (s *System) GatewayAPI() gatewayapi.Version { return s.options.GatewayAPI }

// Logs is the folder with the logs of all parts.
func (s *System) Logs() string { return s.folder }

// file is a file for a part of the System.
func (s *System) file(name string) string { return filepath.Join(s.folder, name) }

// repository is the top of the repository that this package is part of.
func repository() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "crates/elbow/Cargo.toml")); err == nil {
			return folder, nil
		}
	}
	return "", errors.New("run this within elbow's repository")
}

// program is the elbow that is tested.
func program(repository string) (string, error) {
	candidates := []string{os.Getenv("ELBOW_BIN")}
	if candidates[0] == "" {
		target := os.Getenv("CARGO_TARGET_DIR")
		if target == "" {
			target = filepath.Join(repository, "target")
		}
		candidates = []string{filepath.Join(target, "debug/elbow")}
	}
	for _, candidate := range candidates {
		if _, err := os.Stat(candidate); err == nil {
			return filepath.Abs(candidate)
		}
	}
	return "", fmt.Errorf("there is no %s: `cargo build --locked --package elbow` makes it, or name another by ELBOW_BIN", candidates[0])
}

// ready waits until look has no complaint, and gives up when the process has ended.
func ready(ctx context.Context, process *testcluster.Process, look func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-process.Ended():
			cancel(errEnded)
		case <-ctx.Done():
		}
	}()
	err := Eventually(ctx, readyTimeout, look)
	if errors.Is(context.Cause(ctx), errEnded) {
		err = errEnded
	}
	if err != nil {
		return fmt.Errorf("%w; its log ends so:\n%s", err, tail(process.Log))
	}
	return nil
}

// errEnded is why a process is not ready.
var errEnded = errors.New("it ended at once")

// tail is the end of a log.
func tail(log string) string {
	const lines = 20
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install} {
		if err := add(scheme); err != nil {
			panic(fmt.Sprintf("types that cannot be registered: %v", err))
		}
	}
	return scheme
}
