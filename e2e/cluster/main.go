// Command cluster starts a Kubernetes cluster in a process: see [README.md].
//
//	go run ./cluster up [--image NAME=PROGRAM]... [-- COMMAND [ARGUMENT]...]
//	go run ./cluster build
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elbow-project/elbow/e2e/cluster/kubelet"
	"github.com/elbow-project/elbow/e2e/cluster/sandbox"
	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
)

const usage = `Starts a Kubernetes cluster in namespaces of its own, without touching this machine.

usage: go run ./cluster up [--image NAME=PROGRAM]... [-- COMMAND [ARGUMENT]...]
         starts a cluster, runs the command in it and ends with it;
         without a command, runs until it is interrupted
       go run ./cluster build
         builds the programs that a cluster consists of, and downloads what that takes
`

// Exit statuses, beside those of the command.
const (
	exitFailure = 1
	exitUsage   = 2
)

// commandGrace is how long the command may take to end when it is asked to.
const commandGrace = 10 * time.Second

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
		ctx, cancel := signalContext()
		defer cancel()
		err = testcluster.Build(ctx, os.Stderr)
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

// up starts a cluster and runs a command in it.
func up(args []string) (int, error) {
	images := imageFlag{}
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.Var(images, "image", "run this `NAME=PROGRAM` for containers of an image, by its name without registry and tag")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage); flags.PrintDefaults() }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0, nil
		}
		return exitUsage, err
	}
	if !sandbox.Inside() {
		ctx, cancel := signalContext()
		// What has to be compiled is compiled out here, where there may be a network.
		err := testcluster.Build(ctx, os.Stderr)
		cancel()
		if err != nil {
			return exitFailure, err
		}
		return sandbox.Run(context.Background())
	}
	ctx, cancel := signalContext()
	defer cancel()
	cluster, err := testcluster.Up(ctx, testcluster.Options{Images: images})
	if err != nil {
		return exitFailure, err
	}
	defer cluster.Down()
	if command := flags.Args(); len(command) > 0 {
		return runCommand(cluster, command)
	}
	explain(cluster)
	<-ctx.Done()
	return 0, nil
}

// runCommand runs the command in the cluster and gives its exit status.
func runCommand(cluster *testcluster.Cluster, command []string) (int, error) {
	// An interrupt from the terminal reaches the command by itself, and it decides what to do about it.
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGHUP}
	if _, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS); err == nil {
		signal.Ignore(syscall.SIGINT)
	} else {
		signals = append(signals, syscall.SIGINT)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), signals...)
	defer cancel()
	environment := cluster.Environment()
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	if path, err := lookIn(cluster.Programs, command[0]); err == nil {
		child.Path, child.Err = path, nil
	}
	child.Env = environment
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = commandGrace
	err := child.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() < 0:
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal()), nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	case err != nil:
		return exitFailure, fmt.Errorf("cannot run %s: %w", command[0], err)
	}
	return 0, nil
}

// lookIn finds a program of the cluster's, as kubectl is, by its bare name.
func lookIn(folder, name string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return "", exec.ErrNotFound
	}
	return exec.LookPath(folder + "/" + name)
}

// explain says how to get in.
func explain(cluster *testcluster.Cluster) {
	inside := fmt.Sprintf("nsenter --target %s --user --preserve-credentials --mount --net --pid", hostPID())
	fmt.Printf("In another terminal:\n  %s env KUBECONFIG=%s %s/kubectl get nodes\nlogs: %s\nInterrupt to end it.\n",
		inside, cluster.Kubeconfig, cluster.Programs, cluster.Logs)
}

// hostPID is the number by which those outside know this process, as far as it can be told from inside.
func hostPID() string {
	return "$(pgrep --newest --full 'cluster up')"
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

// signalContext ends when the user wants the program to.
func signalContext() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
}
