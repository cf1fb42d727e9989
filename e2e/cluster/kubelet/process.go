package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that runs in a container.
type process struct {
	command *exec.Cmd
	// ended is closed when it has.
	ended chan struct{}
}

// begin starts this program anew, under a name by which it becomes what the order says, and returns when
// it has done so. What that prints goes to output.
func begin(name string, todo order, network *os.File, output io.Writer, flags uintptr) (*process, error) {
	orders, giveOrder, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer orders.Close()
	failures, sayFailure, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, giveOrder.Close())
	}
	defer failures.Close()
	command := exec.Command("/proc/self/exe")
	command.Args[0] = name
	// Nothing of our own environment is the container's business.
	command.Env = []string{}
	command.Stdout, command.Stderr = output, output
	// For a command whose children keep its output open.
	command.WaitDelay = time.Second
	// In the order of orderFile, failureFile and networkFile.
	command.ExtraFiles = []*os.File{orders, sayFailure, network}
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Setpgid: true}
	err = command.Start()
	_ = sayFailure.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start a process: %w", err), giveOrder.Close())
	}
	started := &process{command: command, ended: make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(started.ended)
	}()
	err = errors.Join(json.NewEncoder(giveOrder).Encode(todo), giveOrder.Close())
	// The other end is closed when the program is executed.
	failure, readErr := io.ReadAll(failures)
	if err = errors.Join(err, readErr); err == nil && len(failure) > 0 {
		err = errors.New(string(failure))
	}
	if err != nil {
		started.kill()
		<-started.ended
		return nil, err
	}
	return started, nil
}

// beginContainer starts the first process of a container. With it go all others.
func beginContainer(todo order, network *os.File, output io.Writer) (*process, error) {
	return begin(containerName, todo, network, output, unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS)
}

// runInside runs a command in the container of a process, until it or ctx ends, and fails when the
// command does.
func runInside(ctx context.Context, of *process, network *os.File, args, variables []string) error {
	var output strings.Builder
	todo := order{Process: of.command.Process.Pid, Args: args, Variables: variables}
	command, err := begin(insideName, todo, network, &output, 0)
	if err != nil {
		return err
	}
	select {
	case <-command.ended:
	case <-ctx.Done():
		command.kill()
		<-command.ended
		return fmt.Errorf("%s takes too long", args[0])
	}
	if status := command.exitStatus(); status != 0 {
		return fmt.Errorf("%s ended with %d: %s", args[0], status, strings.TrimSpace(output.String()))
	}
	return nil
}

// kill ends the process, and all others of its container if it was the first of one.
func (p *process) kill() {
	_ = p.command.Process.Kill()
}

// terminate asks the process to end and waits for it, until ctx ends; then it is killed.
func (p *process) terminate(ctx context.Context) {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.kill()
		<-p.ended
	}
}

// exitStatus is that of a process that has ended; for one that a signal ended, as shells have it.
func (p *process) exitStatus() int {
	state := p.command.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// withGrace is a context that ends after seconds, for what may take as long as a pod is given to end.
func withGrace(ctx context.Context, seconds int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
}
