// Package testcluster is a Kubernetes cluster in a process, for tests.
//
// In: [Options]. Out: a [Cluster] with a real API server, scheduler and controllers, nodes, and pods that
// are processes with addresses of their own.
// Always: it is one cluster in namespaces that hold nothing else; whatever ends the process that runs it
// ends all of it.
//
// A test package uses it by
//
//	func TestMain(m *testing.M) { os.Exit(testcluster.RunTests(m)) }
//
// which runs the tests in such namespaces, and by [Up] in its tests. `go run ./cluster up -- COMMAND`
// starts a cluster around any command, and [Up] in that command gives that same cluster.
package testcluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/elbow-project/elbow/e2e/cluster/gatewayapi"
	"github.com/elbow-project/elbow/e2e/cluster/kubelet"
	"github.com/elbow-project/elbow/e2e/cluster/programs"
	"github.com/elbow-project/elbow/e2e/cluster/sandbox"
)

// Options of a cluster. The zero value is a cluster with a node in each zone.
type Options struct {
	// Images are programs that stand for further images, by the image's name without registry and tag.
	Images map[string]kubelet.Image
	// Progress is told what takes long; os.Stderr when nil.
	Progress io.Writer
}

// Cluster is a running cluster.
type Cluster struct {
	State

	stateFile string
	control   *http.Client
	// host is what runs it, when that is this process.
	host *host
}

// Stage runs the parts of a cluster that are processes of their own, and then does not return. It comes
// first in the main function of every program that calls [Up].
func Stage() {
	sandbox.Stage()
	kubelet.Stage()
}

// RunTests runs the tests of a package in namespaces in which they can call [Up], and gives the exit
// status for TestMain.
func RunTests(m *testing.M) int {
	return RunInside(m.Run)
}

// RunInside has this program run once more, in namespaces in which it can call [Up], and do something
// there. It gives the exit status of both.
func RunInside(do func() int) int {
	Stage()
	if sandbox.Inside() {
		return do()
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// What has to be compiled is compiled out here, where there may be a network.
	err := Build(ctx, os.Stderr)
	cancel()
	if err == nil {
		var status int
		if status, err = sandbox.Run(context.Background(), sandbox.Options{}); err == nil {
			return status
		}
	}
	fmt.Fprintf(os.Stderr, "error: %v\n", err)
	return 1
}

// Build makes sure that the programs of a cluster are there. [Up] needs no network after it.
func Build(ctx context.Context, progress io.Writer) error {
	_, err := build(ctx, progress)
	return err
}

// build gives the folders of what is built.
func build(ctx context.Context, progress io.Writer) (folders, error) {
	source, err := programs.Source()
	if err != nil {
		return folders{}, err
	}
	cache, err := programs.Cache(source)
	if err != nil {
		return folders{}, err
	}
	if err := gatewayapi.Download(ctx, source); err != nil {
		return folders{}, err
	}
	built, err := programs.Build(ctx, source, cache, progress)
	return folders{source: source, cache: cache, programs: built}, err
}

// Up starts a cluster; or, in a process that runs in one, gives that. ctx is for the start alone.
func Up(ctx context.Context, options Options) (*Cluster, error) {
	if os.Getenv(stateVariable) != "" {
		return Attach()
	}
	if !sandbox.Inside() {
		return nil, fmt.Errorf("a cluster is started in namespaces of its own: from TestMain by testcluster.RunTests, or by `go run ./cluster up -- COMMAND`")
	}
	if options.Progress == nil {
		options.Progress = os.Stderr
	}
	host, err := start(ctx, options)
	if err != nil {
		return nil, err
	}
	cluster, err := attach(host.stateFile)
	if err != nil {
		host.stop()
		return nil, err
	}
	cluster.host = host
	return cluster, nil
}

// Attach gives the cluster that this process runs in.
func Attach() (*Cluster, error) {
	file := os.Getenv(stateVariable)
	if file == "" {
		return nil, fmt.Errorf("this process runs in no cluster: %s is not set; see go run ./cluster up -- COMMAND", stateVariable)
	}
	return attach(file)
}

// attach gives a cluster that runs already.
func attach(stateFile string) (*Cluster, error) {
	state, err := readState(stateFile)
	if err != nil {
		return nil, err
	}
	socket := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", state.Control)
	}
	return &Cluster{State: *state, stateFile: stateFile, control: &http.Client{Transport: &http.Transport{DialContext: socket}}}, nil
}

// Down ends the cluster, if this process started it.
func (c *Cluster) Down() {
	c.control.CloseIdleConnections()
	if c.host != nil {
		c.host.stop()
	}
}

// Environment is what programs are started with that are to find the cluster, added to that of this process.
func (c *Cluster) Environment() []string {
	return append(os.Environ(),
		"KUBECONFIG="+c.Kubeconfig,
		stateVariable+"="+c.stateFile,
		"ELBOW_E2E_WORLD="+c.World,
		"PATH="+c.Programs+string(os.PathListSeparator)+os.Getenv("PATH"),
		// There is no network in here. A missing module is then said at once.
		"GOPROXY=off",
	)
}

// RESTConfig is for clients that may do everything. It does not hold back requests.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", c.Kubeconfig, err)
	}
	config.QPS = -1
	return config, nil
}
