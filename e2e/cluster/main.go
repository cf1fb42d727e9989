// Command cluster starts a Kubernetes cluster in a process; ../README.md says what is in it.
//
// Start at up. This file has the command line alone: the cluster is the package testcluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/elbow-project/elbow/e2e/cluster/gatewayapi"
	"github.com/elbow-project/elbow/e2e/cluster/kubelet"
	"github.com/elbow-project/elbow/e2e/cluster/sandbox"
	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
)

const usage = `Starts a Kubernetes cluster in namespaces of its own, without touching this machine.

usage: go run ./cluster up [OPTIONS] [-- COMMAND [ARGUMENT]...]
         starts a cluster, runs the command in it and ends with it;
         without a command, runs until it is interrupted
       go run ./cluster build
         builds the programs that a cluster consists of, and downloads what that takes
       go run ./cluster kubeconfig NAMESPACE/NAME FILE
         in a cluster: writes a kubeconfig for clients that come as a service account

options of up:
  --gateway-api VERSION-CHANNEL  install the Gateway API: v1.6.3-standard, v1.6.3-experimental,
                                 v1.5.1-standard or v1.5.1-experimental
  --image NAME=PROGRAM           run the program for containers of an image, by its name without
                                 registry and tag; may be given several times
`

// Exit statuses, beside those of the command.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	testcluster.Stage()
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var status int
	var err error
	switch {
	case len(args) > 0 && args[0] == "up":
		status, err = up(args[1:])
	case len(args) == 1 && args[0] == "build":
		err = withSignals(func(ctx context.Context) error { return testcluster.Build(ctx, os.Stderr) })
	case len(args) == 3 && args[0] == "kubeconfig":
		err = withSignals(func(ctx context.Context) error { return writeKubeconfig(ctx, args[1], args[2]) })
	default:
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		return max(status, exitFailure)
	}
	return status
}

// settings of up.
type settings struct {
	images     imageFlag
	gatewayAPI string
	command    []string
}

func parse(args []string) (settings, error) {
	parsed := settings{images: imageFlag{}}
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.Var(parsed.images, "image", "")
	flags.StringVar(&parsed.gatewayAPI, "gateway-api", "", "")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	parsed.command = flags.Args()
	if parsed.gatewayAPI != "" {
		if _, _, err := gatewayapi.Parse(parsed.gatewayAPI); err != nil {
			return settings{}, err
		}
	}
	return parsed, nil
}

// up starts a cluster and runs a command in it.
func up(args []string) (int, error) {
	settings, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	}
	if err != nil {
		return exitUsage, err
	}
	if !sandbox.Inside() {
		// What has to be compiled is compiled out here, where there may be a network.
		if err := withSignals(func(ctx context.Context) error { return testcluster.Build(ctx, os.Stderr) }); err != nil {
			return exitFailure, err
		}
		return sandbox.Run(context.Background(), sandbox.Options{Started: func(pid int) {
			if len(settings.command) == 0 {
				fmt.Fprintf(os.Stderr, "to get in from another terminal: %s\n", sandbox.EnterCommand(pid))
			}
		}})
	}
	ctx, cancel := signalContext()
	defer cancel()
	cluster, err := testcluster.Up(ctx, testcluster.Options{Images: settings.images})
	if err != nil {
		return exitFailure, err
	}
	defer cluster.Down()
	if settings.gatewayAPI != "" {
		if err := installGatewayAPI(ctx, cluster, settings.gatewayAPI); err != nil {
			return exitFailure, err
		}
	}
	if len(settings.command) > 0 {
		return cluster.RunCommand(settings.command)
	}
	fmt.Fprintf(os.Stderr, "in there: export KUBECONFIG=%s PATH=%s:$PATH\nlogs: %s\nan interrupt ends it\n",
		cluster.Kubeconfig, cluster.Programs, cluster.Logs)
	<-ctx.Done()
	return 0, nil
}

func installGatewayAPI(ctx context.Context, cluster *testcluster.Cluster, text string) error {
	version, channel, err := gatewayapi.Parse(text)
	if err != nil {
		return err
	}
	return cluster.InstallGatewayAPI(ctx, version, channel)
}

// writeKubeconfig writes a kubeconfig for a service account of the cluster that this process runs in.
func writeKubeconfig(ctx context.Context, account, file string) error {
	namespace, name, ok := strings.Cut(account, "/")
	if !ok {
		return fmt.Errorf("%q is not NAMESPACE/NAME", account)
	}
	cluster, err := testcluster.Attach()
	if err != nil {
		return err
	}
	return cluster.WriteServiceAccountKubeconfig(ctx, namespace, name, file)
}

// imageFlag collects NAME=PROGRAM.
type imageFlag map[string]kubelet.Image

func (f imageFlag) String() string { return "" }

func (f imageFlag) Set(text string) error {
	name, program, ok := strings.Cut(text, "=")
	if !ok || name == "" || program == "" {
		return errors.New("it is NAME=PROGRAM")
	}
	f[name] = kubelet.Image{Program: program}
	return nil
}

// withSignals does something that ends early when the user wants it to.
func withSignals(do func(context.Context) error) error {
	ctx, cancel := signalContext()
	defer cancel()
	return do(ctx)
}

// signalContext ends when the user wants the program to.
func signalContext() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
}
