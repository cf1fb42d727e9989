// Package sandbox runs this program once more in Linux namespaces of its own.
//
// In: the program's own arguments. Out: its exit status.
// Always: inside, the program is root, has a network with nothing but loopback, its own mounts and its
// own process numbers. The first process inside is an [initProcess]: when it ends, for whatever reason
// and by whatever signal, the kernel ends all others, and with the last of them go the network, the
// mounts and all that was written to file systems mounted inside.
//
// Start at [Run]. A program that uses it calls [Stage] first thing.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideVariable is set in the environment of every process inside.
const insideVariable = "ELBOW_E2E_SANDBOX"

// ErrNotAllowed is why no namespaces could be made; its text says what to do about it.
var ErrNotAllowed = errors.New("this system lets the user make no namespaces")

// Inside tells whether this process runs inside of a sandbox.
func Inside() bool {
	return os.Getenv(insideVariable) != ""
}

// Stage runs the parts of the sandbox that are processes of their own, and then does not return. In
// any other process it does nothing.
func Stage() {
	if os.Args[0] == initName {
		os.Exit(initProcess())
	}
}

// Options of a sandbox.
type Options struct {
	// Env is added to the environment of the program inside.
	Env []string
	// Started, if there is one, is called with the number of the first process inside.
	Started func(pid int)
}

// Run runs this program, with the arguments that it was called with, in new namespaces, and gives the
// exit status. When ctx ends, the program inside is asked to end by SIGTERM.
func Run(ctx context.Context, options Options) (int, error) {
	endWithGo()
	// The kernel sends the parent's-death signal when the *thread* that started the child ends, so
	// that thread has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Args[0] = initName
	child.Env = append(os.Environ(), options.Env...)
	child.Env = append(child.Env, insideVariable+"=1", programVariable+"="+os.Args[0])
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		child.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		return 1, explain(err)
	}
	if options.Started != nil {
		options.Started(child.Process.Pid)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	stop := ctx.Done()
	for {
		select {
		case received := <-signals:
			if received == syscall.SIGINT && terminalSends() {
				continue
			}
			_ = child.Process.Signal(syscall.SIGTERM)
		case <-stop:
			_ = child.Process.Signal(syscall.SIGTERM)
			stop = nil
		case err := <-ended:
			return exitStatus(child.ProcessState), ignoreExit(err)
		}
	}
}

// EnterCommand is how a shell outside gets into the sandbox of a process.
func EnterCommand(pid int) string {
	user := ""
	if os.Geteuid() != 0 {
		user = "--user --preserve-credentials "
	}
	return fmt.Sprintf("nsenter --target %d %s--mount --net --ipc --uts --pid", pid, user)
}

// terminalSends tells whether an interrupt reaches the processes inside from the terminal, as it does
// all that run in its foreground. It must not reach them twice.
func terminalSends() bool {
	foreground, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// endWithGo has this process ended when `go run`, which started it, is killed: that passes on no signal.
func endWithGo() {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", os.Getppid()))
	if err == nil && strings.TrimSpace(string(name)) == "go" {
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0)
	}
}

// explain says what to do when the kernel refuses namespaces.
func explain(err error) error {
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("cannot start in new namespaces: %w", err)
	}
	if os.Geteuid() == 0 {
		return fmt.Errorf("%w (%w): in a container, start it with the capability SYS_ADMIN and without a seccomp profile (docker run --privileged)", ErrNotAllowed, err)
	}
	var switches []string
	for _, setting := range []struct{ file, bad, allow string }{
		{"/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
	} {
		value, readErr := os.ReadFile(setting.file)
		if readErr == nil && strings.TrimSpace(string(value)) == setting.bad {
			switches = append(switches, setting.allow)
		}
	}
	if len(switches) == 0 {
		return fmt.Errorf("%w (%w): run it as root, or allow user namespaces (in a container: without its seccomp profile)", ErrNotAllowed, err)
	}
	return fmt.Errorf("%w (%w): run it as root, or allow user namespaces as root by: %s", ErrNotAllowed, err, strings.Join(switches, "; "))
}

// exitStatus is the status of a process that ended; that of one ended by a signal is as a shell has it.
func exitStatus(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// ignoreExit drops the error that only says that the status was not 0.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
