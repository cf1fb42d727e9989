package kubelet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// containerName and insideName are the names under which this program is started to become a
	// container, or a command in a container that runs.
	containerName = "elbow-e2e-container"
	insideName    = "elbow-e2e-inside"
	// Files that such a process is started with, after the three usual ones: what to do, as JSON; where
	// to say what failed; the network namespace.
	orderFile   = 3
	failureFile = 4
	networkFile = 5
)

// order says how to become a process of a container.
type order struct {
	// Root is an empty folder, on which the root folder is built.
	Root string `json:"root,omitempty"`
	// Hostname of the pod.
	Hostname string `json:"hostname,omitempty"`
	// Etc are files of /etc by their names.
	Etc map[string]string `json:"etc,omitempty"`
	// Program is a file to show in the root folder, if there is one.
	Program string `json:"program,omitempty"`
	// Mounts are volumes.
	Mounts []mount `json:"mounts,omitempty"`
	// Process is a process of the container to join; for a command in one.
	Process int `json:"process,omitempty"`
	// Folder to run in.
	Folder string `json:"folder,omitempty"`
	// Args are the program's name or path, and its arguments.
	Args []string `json:"args"`
	// Variables are its environment.
	Variables []string `json:"variables"`
}

// mount shows Source as Target.
type mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly"`
}

// Stage runs the part of the kubelet that is a process of its own, in which case it does not return: it
// becomes the program of a container.
func Stage() {
	if os.Args[0] != containerName && os.Args[0] != insideName {
		return
	}
	// All that is done to this thread is what the program starts with.
	runtime.LockOSThread()
	failures := os.NewFile(failureFile, "failures")
	unix.CloseOnExec(failureFile)
	err := become(os.Args[0] == containerName)
	fmt.Fprint(failures, err)
	// As shells have it for a command that cannot be run.
	os.Exit(126)
}

// become executes the program; it returns only when that fails.
func become(fresh bool) error {
	var todo order
	orders := os.NewFile(orderFile, "order")
	if err := json.NewDecoder(orders).Decode(&todo); err != nil {
		return fmt.Errorf("cannot read what to run: %w", err)
	}
	_ = orders.Close()
	// Before any folder changes: /proc is then another.
	if err := unix.Setns(networkFile, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("cannot enter the pod's network: %w", err)
	}
	unix.CloseOnExec(networkFile)
	var err error
	if fresh {
		err = todo.build()
	} else {
		err = join(todo.Process)
	}
	if err != nil {
		return err
	}
	if err := os.Chdir(filepath.Join("/", todo.Folder)); err != nil {
		return fmt.Errorf("cannot work in %s: %w", todo.Folder, err)
	}
	path, _ := lastValue(todo.Variables, "PATH")
	if err := os.Setenv("PATH", path); err != nil {
		return err
	}
	program, err := exec.LookPath(todo.Args[0])
	if err != nil {
		return fmt.Errorf("cannot find the program %s among those of this machine: %w", todo.Args[0], err)
	}
	if err := syscall.Exec(program, todo.Args, todo.Variables); err != nil {
		return fmt.Errorf("cannot run %s: %w", program, err)
	}
	return nil
}

// join enters the mounts of a process.
func join(process int) error {
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", process))
	if err != nil {
		return fmt.Errorf("cannot find the container: %w", err)
	}
	// Threads share their root folder, and one that does cannot change to other mounts.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("cannot leave the other threads: %w", err)
	}
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot enter the container: %w", err)
	}
	return nil
}

// build makes the root folder and changes to it.
func (o *order) build() error {
	if err := unix.Sethostname([]byte(o.Hostname)); err != nil {
		return fmt.Errorf("cannot set the host's name: %w", err)
	}
	if err := unix.Mount("container", o.Root, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		return fmt.Errorf("cannot mount a root folder: %w", err)
	}
	for _, step := range []func() error{o.showPrograms, o.writeEtc, o.makeDevices, o.mountVolumes} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := os.Chdir(o.Root); err != nil {
		return err
	}
	// The old root folder ends up on top of the new one, from where it is taken away.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("cannot change the root folder: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("cannot leave the old root folder: %w", err)
	}
	return nil
}

// showPrograms shows the folders of the host's programs, and the image's program.
func (o *order) showPrograms() error {
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr"} {
		path := "/" + name
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if err := os.Symlink(to, filepath.Join(o.Root, name)); err != nil {
				return err
			}
			continue
		}
		if err := o.show(mount{Source: path, Target: path, ReadOnly: true}); err != nil {
			return err
		}
	}
	if o.Program == "" {
		return nil
	}
	return o.show(mount{Source: o.Program, Target: shownPath(o.Program), ReadOnly: true})
}

// writeEtc makes /etc: the pod's own files, and what programs need of the host's.
func (o *order) writeEtc() error {
	for _, folder := range []string{"etc", "tmp", "run", "var", "root", "proc", "dev", "home"} {
		if err := os.MkdirAll(filepath.Join(o.Root, folder), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(o.Root, "tmp"), fs.ModeSticky|0o777); err != nil {
		return err
	}
	for name, text := range o.Etc {
		if err := os.WriteFile(filepath.Join(o.Root, "etc", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"ssl", "ca-certificates", "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "mime.types", "localtime", "python3"} {
		path := filepath.Join("/etc", name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if err := o.show(mount{Source: path, Target: path, ReadOnly: true}); err != nil {
			return err
		}
	}
	return nil
}

// makeDevices shows the devices that any program may use, and the container's processes.
func (o *order) makeDevices() error {
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		path := filepath.Join("/dev", name)
		if err := o.show(mount{Source: path, Target: path}); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(to, filepath.Join(o.Root, "dev", name)); err != nil {
			return err
		}
	}
	shared := filepath.Join(o.Root, "dev/shm")
	if err := os.MkdirAll(shared, 0o755); err != nil {
		return err
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if err := unix.Mount("proc", filepath.Join(o.Root, "proc"), "proc", flags, ""); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	return nil
}

func (o *order) mountVolumes() error {
	for _, volume := range o.Mounts {
		if err := o.show(volume); err != nil {
			return err
		}
	}
	return nil
}

// show mounts a folder or file of the host inside of the new root.
func (o *order) show(wanted mount) error {
	info, err := os.Stat(wanted.Source)
	if err != nil {
		return fmt.Errorf("cannot show %s: %w", wanted.Target, err)
	}
	target := filepath.Join(o.Root, wanted.Target)
	folder := target
	if !info.IsDir() {
		folder = filepath.Dir(target)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("cannot show %s: %w", wanted.Target, err)
	}
	if !info.IsDir() {
		file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("cannot show %s: %w", wanted.Target, err)
		}
		_ = file.Close()
	}
	// With all that is mounted below: in a user namespace the kernel refuses to uncover what that hides.
	if err := unix.Mount(wanted.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("cannot show %s as %s: %w", wanted.Source, wanted.Target, err)
	}
	if !wanted.ReadOnly {
		return nil
	}
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, readOnly); err != nil {
		return fmt.Errorf("cannot protect %s: %w", wanted.Target, err)
	}
	return nil
}
