package sandbox_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elbow-project/elbow/e2e/cluster/sandbox"
)

// roleVariable has this test program be the one that enters a sandbox, and says what to do inside.
const roleVariable = "ELBOW_E2E_TEST_ROLE"

func TestMain(m *testing.M) {
	sandbox.Stage()
	role := os.Getenv(roleVariable)
	switch {
	case role == "":
		os.Exit(m.Run())
	case role == "limit":
		os.Exit(limit())
	case !sandbox.Inside():
		status, err := sandbox.Run(context.Background(), sandbox.Options{Env: []string{"ELBOW_E2E_TEST_EXTRA=given"}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(status)
	default:
		os.Exit(inside(role))
	}
}

// inside is what the program does in the sandbox.
func inside(role string) int {
	switch role {
	case "look":
		interfaces, err := net.Interfaces()
		if err != nil || len(interfaces) != 1 || interfaces[0].Name != "lo" {
			fmt.Printf("interfaces: %v %v\n", interfaces, err)
			return 1
		}
		// The first process is 1, and this is its child.
		if os.Getppid() != 1 || os.Geteuid() != 0 || os.Getenv("ELBOW_E2E_TEST_EXTRA") != "given" {
			fmt.Println("parent", os.Getppid(), "user", os.Geteuid(), "arguments", os.Args)
			return 1
		}
		return 42
	case "hold":
		// A process that nobody here waits for, and that ignores everything but SIGKILL.
		child := exec.Command("sh", "-c", "trap '' TERM INT HUP; sleep 31536019")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
		namespace, err := os.Readlink("/proc/self/ns/pid")
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(namespace)
		// Until SIGTERM, which ends a Go program by itself.
		select {}
	default:
		return 2
	}
}

// limit runs this program as a user who may make no more namespaces.
func limit() int {
	// One user namespace: the one in which the user is not root.
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("1"), 0); err != nil {
		fmt.Println(err)
		return 2
	}
	program := exec.Command("/proc/self/exe")
	program.Env = append(os.Environ(), roleVariable+"=look")
	program.Stdout, program.Stderr = os.Stdout, os.Stderr
	program.SysProcAttr = inUserNamespace(1000)
	_ = program.Run()
	return program.ProcessState.ExitCode()
}

// inUserNamespace starts a program in a user namespace in which it has the given user.
func inUserNamespace(user int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getgid(), Size: 1}},
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	program := enter(t, "limit")
	program.SysProcAttr = inUserNamespace(0)
	output, err := program.CombinedOutput()
	if program.ProcessState == nil || program.ProcessState.ExitCode() != 1 {
		t.Fatalf("it ended with %v:\n%s", err, output)
	}
	for _, wanted := range []string{sandbox.ErrNotAllowed.Error(), "run it as root", "allow user namespaces"} {
		if !strings.Contains(string(output), wanted) {
			t.Errorf("it does not say %q, but\n%s", wanted, output)
		}
	}
}

func TestUserWithoutRightsIsRootInside(t *testing.T) {
	program := enter(t, "look")
	program.SysProcAttr = inUserNamespace(1000)
	output, err := program.CombinedOutput()
	if program.ProcessState.ExitCode() != 42 {
		t.Errorf("it ended with %v:\n%s", err, output)
	}
}

func TestStatusAndSurroundings(t *testing.T) {
	program := enter(t, "look")
	output, err := program.CombinedOutput()
	if program.ProcessState.ExitCode() != 42 {
		t.Errorf("it ended with %v:\n%s", err, output)
	}
}

func TestNothingIsLeft(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			program := enter(t, "hold")
			output, err := program.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := program.Start(); err != nil {
				t.Fatal(err)
			}
			namespace, err := bufio.NewReader(output).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			namespace = strings.TrimSpace(namespace)
			// The program itself, the one above it, the shell and its sleep.
			if count := processesIn(t, namespace); count < 3 {
				t.Fatalf("only %d processes are in %s", count, namespace)
			}
			if err := program.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = program.Wait()
			deadline := time.After(30 * time.Second)
			for processesIn(t, namespace) > 0 {
				select {
				case <-deadline:
					t.Fatalf("%d processes are left", processesIn(t, namespace))
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
}

// enter is this program, to be run in a role.
func enter(t *testing.T, role string) *exec.Cmd {
	t.Helper()
	program := exec.CommandContext(t.Context(), "/proc/self/exe")
	program.Env = append(os.Environ(), roleVariable+"="+role)
	return program
}

// processesIn counts the processes in a process namespace.
func processesIn(t *testing.T, namespace string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, link := range links {
		// One that has just ended cannot be read.
		if of, err := os.Readlink(link); err == nil && of == namespace {
			count++
		}
	}
	return count
}
