package sandbox

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// initName is the name under which the first process inside runs.
	initName = "elbow-e2e-init"
	// programVariable holds the name under which the user started the program.
	programVariable = "ELBOW_E2E_PROGRAM"
)

// initProcess is process 1 inside: it makes the mounts private, starts the program, hands signals on,
// and collects processes whose parents are gone. It ends with the program.
func initProcess() int {
	// Signals that come before the program runs would be lost otherwise: the kernel drops those that
	// process 1 does not handle.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	runtime.LockOSThread()
	program, err := startProgram()
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot start inside the namespaces: %v\n", err)
		return 1
	}
	go func() {
		for received := range signals {
			// An interrupt here is the terminal's, which sends it to the program as well.
			if received != syscall.SIGINT {
				_ = syscall.Kill(program, syscall.SIGTERM)
			}
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			fmt.Fprintf(os.Stderr, "cannot wait for the program inside the namespaces: %v\n", err)
			return 1
		case pid == program && status.Exited():
			return status.ExitStatus()
		case pid == program && status.Signaled():
			return 128 + int(status.Signal())
		}
	}
}

// startProgram starts the program that the user started, now inside, and gives its process number.
func startProgram() (int, error) {
	// What is mounted inside stays inside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return 0, fmt.Errorf("cannot make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return 0, fmt.Errorf("cannot mount /proc: %w", err)
	}
	name := os.Getenv(programVariable)
	if err := os.Unsetenv(programVariable); err != nil {
		return 0, err
	}
	process, err := os.StartProcess("/proc/self/exe", append([]string{name}, os.Args[1:]...), &os.ProcAttr{
		Env:   os.Environ(),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 0, err
	}
	return process.Pid, nil
}
