// Command playground is elbow in a cluster, to look at by hand; ../README.md says what the cluster is.
//
// In: an elbow, by ELBOW_BIN or cargo's target folder. Out: a shell, or a command, beside a real API server in which
// `elbow controller` works, with the emulator in AWS's place. Always: all of it is in namespaces of its own and ends
// with the shell.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/elbow-project/elbow/e2e/cluster/gatewayapi"
	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
	"github.com/elbow-project/elbow/e2e/system"
)

const usage = `Starts a Kubernetes cluster with elbow in it and the built-in AWS, in namespaces of its own.

usage: go run ./playground [OPTIONS] [-- COMMAND [ARGUMENT]...]
         runs the command in it and ends with it; a shell where somebody types, else until an interrupt

options:
  --gateway-api VERSION   the Gateway API, of its experimental channel: v1.6.3 (the default) or v1.5.1
  --speed N               how many times faster AWS's waits are than in AWS; 10 unless given, 1 is as in AWS

for example, the load balancers of examples/ with real pods behind them:
  go run ./playground -- sh -c '
    kubectl apply -f scenarios/testdata/backends.yaml
    for file in ../examples/*.yaml; do
      sed "s|arn:aws:acm:[^ ]*|$CERTIFICATE|" $file | kubectl apply -f -
    done
    kubectl wait -n app-ns gateway --all --for=condition=Programmed --timeout=120s
    kubectl get -n app-ns gateway,httproute,tcproute,targetgroupbinding
    curl -sH "Host: app.example.com" $(kubectl get -n app-ns gateway my-alb -o "jsonpath={.status.addresses[0].value}")'
`

// exitFailure and exitUsage are statuses beside those of the command.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() { os.Exit(testcluster.RunInside(inside)) }

func inside() int {
	var options system.Options
	var version string
	flags := flag.NewFlagSet("playground", flag.ContinueOnError)
	flags.StringVar(&version, "gateway-api", "", "")
	flags.IntVar(&options.Speed, "speed", 10, "")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	if version != "" {
		parsed, _, err := gatewayapi.Parse(version + "-" + string(gatewayapi.Experimental))
		if err != nil {
			fmt.Fprintf(os.Stderr, "error: --gateway-api: %v\n", err)
			return exitUsage
		}
		options.GatewayAPI = parsed
	}
	status, err := play(options, flags.Args())
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		return max(status, exitFailure)
	}
	return status
}

// play starts everything and runs the command, or what comes nearest to none.
func play(options system.Options, command []string) (int, error) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	cluster, err := testcluster.Up(ctx, testcluster.Options{})
	if err != nil {
		return exitFailure, err
	}
	defer cluster.Down()
	s, err := system.Start(ctx, cluster, options)
	if err != nil {
		return exitFailure, err
	}
	defer s.Close()
	fmt.Fprintf(os.Stderr, "elbow works in the cluster; its log and AWS's calls are in %s\n", s.Logs())
	if len(command) == 0 {
		if !testcluster.OnTerminal() {
			fmt.Fprintf(os.Stderr, "in there: export KUBECONFIG=%s PATH=%s:$PATH\nan interrupt ends it\n", cluster.Kubeconfig, cluster.Programs)
			<-ctx.Done()
			return 0, nil
		}
		fmt.Fprintln(os.Stderr, "try kubectl, aws and curl; it all ends with this shell")
		command = []string{shell()}
	}
	// From here on an interrupt is for the command.
	cancel()
	return cluster.RunCommand(command, environment(s)...)
}

// environment is what clients of AWS need, and what manifests may name.
func environment(s *system.System) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.Emulator.Endpoint, "AWS_REGION=" + s.Emulator.Region,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"CERTIFICATE=" + s.Emulator.Certificate, "LOGS=" + s.Logs(),
		"CALLS=" + filepath.Join(s.Logs(), "calls.jsonl"),
	}
}

func shell() string {
	if shell := os.Getenv("SHELL"); shell != "" {
		return shell
	}
	return "sh"
}
