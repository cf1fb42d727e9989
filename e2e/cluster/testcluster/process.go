package testcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Process is a program that runs beside the cluster, as the emulator and a controller do.
type Process struct {
	// Log is the file with what it prints.
	Log string

	command *exec.Cmd
	ended   chan struct{}
	err     error
}

// Start starts a program that finds the cluster by its environment; what it prints is added to NAME.log
// among the logs. Variables of command.Env come last, so that they count.
func (c *Cluster) Start(name string, command *exec.Cmd) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(c.Logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the log of %s: %w", name, err)
	}
	defer log.Close()
	command.Env = append(c.Environment(), command.Env...)
	command.Stdout, command.Stderr = log, log
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	// So that an interrupt from the terminal does not end it before the test has.
	command.SysProcAttr.Setpgid = true
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	process := &Process{Log: log.Name(), command: command, ended: make(chan struct{})}
	go func() {
		process.err = command.Wait()
		close(process.ended)
	}()
	return process, nil
}

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} {
	return p.ended
}

// PID is its number, in the namespaces of the cluster.
func (p *Process) PID() int {
	return p.command.Process.Pid
}

// Kill ends the program by SIGKILL.
func (p *Process) Kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// Stop asks the program to end by SIGTERM, and tells how it ended. When ctx ends before, it is killed.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot ask it to end: %w", err)
	}
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("it did not end when asked to: %w", ctx.Err())
	}
}
