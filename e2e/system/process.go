package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is a running part.
type process struct {
	name    string
	command *exec.Cmd
	log     string
	ended   chan struct{}
	err     error
}

// startProcess starts a program whose output goes to a file.
func startProcess(name, log string, environment []string, program string, args ...string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("cannot write the log of %s: %w", name, err)
	}
	defer file.Close()
	command := exec.Command(program, args...)
	command.Env = environment
	command.Stdout, command.Stderr = file, file
	// Whatever ends the tests ends what they started.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	p := &process{name: name, command: command, log: log, ended: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// ready waits until look has no complaint, and gives up when the process has ended.
func (p *process) ready(ctx context.Context, look func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := Eventually(ctx, readyTimeout, look)
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended at once (%v): %s", p.name, p.err, p.tail())
	default:
	}
	if err != nil {
		return fmt.Errorf("%s is not ready: %w; its log: %s", p.name, err, p.log)
	}
	return nil
}

// stop asks the process to end and waits for it.
func (p *process) stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM; its log: %s", p.name, stopTimeout, p.log)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, p.err, p.tail())
	}
	return nil
}

// kill ends the process without asking.
func (p *process) kill() error {
	err := p.signal(syscall.SIGKILL)
	<-p.ended
	return err
}

func (p *process) signal(signal os.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot signal %s: %w", p.name, err)
	}
	return nil
}

// tail is the end of the log.
func (p *process) tail() string {
	const lines = 20
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
