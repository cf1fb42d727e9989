package controlplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// killTimeout is longer than the kernel takes to end a process, on a machine that does much else.
const killTimeout = 20 * time.Second

// server is one of the programs of the control plane. It is started at most once at a time.
type server struct {
	name    string
	program string
	args    []string
	logFile string

	mutex   sync.Mutex
	command *exec.Cmd
	// ended is closed when the process has ended; nil before the first start.
	ended chan struct{}
}

// start starts the process; its output is added to the log file.
func (s *server) start() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.command != nil {
		return fmt.Errorf("%s runs already", s.name)
	}
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the log of %s: %w", s.name, err)
	}
	defer log.Close()
	command := exec.Command(s.program, s.args...)
	command.Stdout, command.Stderr = log, log
	// A group of its own: an interrupt from the terminal is for us, who then end the servers in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", s.name, err)
	}
	ended := make(chan struct{})
	s.command, s.ended = command, ended
	go func() {
		_ = command.Wait()
		s.mutex.Lock()
		s.command = nil
		s.mutex.Unlock()
		close(ended)
	}()
	return nil
}

// kill ends the process at once: nothing that a server here holds is needed after it, and some take
// minutes to end by themselves.
func (s *server) kill() error {
	s.mutex.Lock()
	command, ended := s.command, s.ended
	s.mutex.Unlock()
	if command == nil {
		return nil
	}
	_ = command.Process.Kill()
	select {
	case <-ended:
		return nil
	case <-time.After(killTimeout):
		return fmt.Errorf("%s does not end, not even by SIGKILL", s.name)
	}
}

// waitReady asks probe until it is content. It gives up when the process has ended or ctx does, and
// then shows the end of its log.
func (s *server) waitReady(ctx context.Context, probe func(context.Context) error) error {
	s.mutex.Lock()
	ended := s.ended
	s.mutex.Unlock()
	// Short, as every start waits for it; the probes are cheap.
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		if last = probe(ctx); last == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended instead of getting ready; the end of %s:\n%s", s.name, s.logFile, s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not get ready (%w); the end of %s:\n%s", s.name, last, s.logFile, s.logTail())
		case <-ticker.C:
		}
	}
}

// logTail is the last lines of the log.
func (s *server) logTail() string {
	const lines = 15
	text, err := os.ReadFile(s.logFile)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// newServer describes a server whose log is in folder.
func newServer(name, program, logs string, args ...string) *server {
	return &server{name: name, program: program, args: args, logFile: filepath.Join(logs, name+".log")}
}
