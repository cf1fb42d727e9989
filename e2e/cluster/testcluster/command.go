package testcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// commandGrace is how long a command may take to end when it is asked to.
	commandGrace = 10 * time.Second
	// exitFailure is the status of a command that did not begin.
	exitFailure = 1
)

// RunCommand runs a command of the user's in the cluster, at the terminal if there is one, and gives its exit
// status. Its environment is [Cluster.Environment] and what is named beside it.
func (c *Cluster) RunCommand(command []string, environment ...string) (int, error) {
	// An interrupt from the terminal reaches the command by itself, and it decides what to do about it.
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGHUP}
	if OnTerminal() {
		signal.Ignore(syscall.SIGINT)
	} else {
		signals = append(signals, syscall.SIGINT)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), signals...)
	defer cancel()
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	if path, err := lookIn(c.Programs, command[0]); err == nil {
		child.Path, child.Err = path, nil
	}
	child.Env = append(c.Environment(), environment...)
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

// OnTerminal tells whether somebody types at this process.
func OnTerminal() bool {
	_, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS)
	return err == nil
}

// lookIn finds a program of the cluster's, as kubectl is, by its bare name.
func lookIn(folder, name string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return "", exec.ErrNotFound
	}
	return exec.LookPath(filepath.Join(folder, name))
}
