// Package programs builds the programs that a cluster consists of: etcd and Kubernetes from their Go
// modules, and what the pods of the conformance suite run.
//
// In: the folder e2e/ of this repository, and a folder to build into. Out: a folder of programs.
// Always: what was built of the same sources by the same compiler is not looked at again, so that a
// second start costs nothing and needs no network; a build that is broken off leaves no half program.
package programs

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Folder is where the programs are, each under its name: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, kubectl, echo-basic and coredns.
type Folder string

// Path is the file of a program.
func (f Folder) Path(program string) string {
	return filepath.Join(string(f), program)
}

// target is something that one call of the compiler makes.
type target struct {
	// name of the file.
	name string
	// module is the folder of the Go module, from e2e/.
	module string
	// pkg is the package in it, as an import path or from the module's folder.
	pkg string
	// flags for the linker.
	flags string
	// links are further names of the file, which tells by its name what it has to be.
	links []string
}

// targets in the order in which they are built.
func targets(source string) ([]target, error) {
	version, err := required(filepath.Join(source, "binaries", "go.mod"), "k8s.io/kubernetes")
	if err != nil {
		return nil, err
	}
	numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(numbers) < 3 {
		return nil, fmt.Errorf("%s is no version of Kubernetes", version)
	}
	// What Kubernetes' own build sets. Programs of other modules do not know which version they are.
	const variable = "k8s.io/component-base/version"
	flags := fmt.Sprintf("-X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s", variable, version, numbers[0], numbers[1])
	return []target{
		{
			name: "kubernetes", module: "binaries", pkg: ".", flags: flags,
			links: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"},
		},
		{name: "coredns", module: "binaries", pkg: "./coredns"},
		{name: "echo-basic", module: ".", pkg: "sigs.k8s.io/gateway-api/conformance/echo-basic"},
	}, nil
}

// required is the version of a module that a go.mod requires.
func required(file, module string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cannot read which versions to build: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == module {
			return words[1], nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", file, module)
}

// Build makes sure that all programs are there, and says on progress what takes long.
//
// source is the folder e2e/, cache the folder to build into.
func Build(ctx context.Context, source, cache string, progress io.Writer) (Folder, error) {
	folder := filepath.Join(cache, "bin")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the folder of programs: %w", err)
	}
	compiler, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("cannot run go, which builds Kubernetes; Go 1.26 or newer is needed: %w", err)
	}
	all, err := targets(source)
	if err != nil {
		return "", err
	}
	for _, wanted := range all {
		stamp, err := wanted.stamp(source, compiler)
		if err != nil {
			return "", err
		}
		stampFile := filepath.Join(folder, "."+wanted.name)
		if built, readErr := os.ReadFile(stampFile); readErr == nil && string(built) == stamp {
			continue
		}
		if err := wanted.build(ctx, source, folder, progress); err != nil {
			return "", err
		}
		if err := os.WriteFile(stampFile, []byte(stamp), 0o644); err != nil {
			return "", fmt.Errorf("cannot note what was built: %w", err)
		}
	}
	return Folder(folder), nil
}

// stamp changes with everything that the program is made of: the module's own sources, the versions
// and checksums of the others, the compiler, the flags.
func (t target) stamp(source string, compiler []byte) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%+v\n", compiler, t)
	names := []string{"go.mod", "go.sum"}
	if strings.HasPrefix(t.pkg, ".") {
		files, err := filepath.Glob(filepath.Join(source, t.module, t.pkg, "*.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			name, err := filepath.Rel(filepath.Join(source, t.module), file)
			if err != nil {
				return "", err
			}
			names = append(names, name)
		}
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(source, t.module, name))
		if err != nil {
			return "", fmt.Errorf("cannot read what %s is built of: %w", t.name, err)
		}
		fmt.Fprintf(hash, "%s %d\n%s\n", name, len(text), text)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// build compiles the program beside its place and then moves it there.
func (t target) build(ctx context.Context, source, folder string, progress io.Writer) error {
	begin := time.Now()
	file := filepath.Join(folder, t.name)
	made := file + ".new"
	defer os.Remove(made)
	command := exec.CommandContext(ctx, "go", "build", "-v", "-mod=readonly", "-buildvcs=false",
		// Without symbol tables, which take a third of the file and that nobody reads here.
		"-ldflags=-s -w "+t.flags, "-o", made, t.pkg)
	command.Dir = filepath.Join(source, t.module)
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	output, err := command.StderrPipe()
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "building %s; the first time this takes minutes\n", t.description())
	if err := command.Start(); err != nil {
		return fmt.Errorf("cannot run go: %w", err)
	}
	messages := report(output, progress, t.name, begin)
	if err := command.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("cannot build %s: %w\n%s", t.name, err, messages)
	}
	if err := os.Rename(made, file); err != nil {
		return fmt.Errorf("cannot put %s in its place: %w", t.name, err)
	}
	for _, link := range t.links {
		path := filepath.Join(folder, link)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot replace %s: %w", link, err)
		}
		if err := os.Symlink(t.name, path); err != nil {
			return fmt.Errorf("cannot name %s: %w", link, err)
		}
	}
	fmt.Fprintf(progress, "built %s in %s\n", t.name, time.Since(begin).Round(time.Second))
	return nil
}

// description is what a person knows the program as.
func (t target) description() string {
	if len(t.links) > 0 {
		return strings.Join(t.links, ", ")
	}
	return t.name
}

// report reads what the compiler says, and every few seconds passes on how far it is. It gives back
// what is neither a package nor a download: what went wrong.
func report(output io.Reader, progress io.Writer, name string, begin time.Time) string {
	const interval = 10 * time.Second
	var compiled, downloaded int
	var messages strings.Builder
	last := begin
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading "):
			downloaded++
		case line != "" && !strings.ContainsAny(line, " :"):
			compiled++
		default:
			messages.WriteString(line + "\n")
		}
		if now := time.Now(); now.Sub(last) >= interval {
			last = now
			fmt.Fprintf(progress, "building %s: %s, %d modules downloaded, %d packages compiled\n",
				name, now.Sub(begin).Round(time.Second), downloaded, compiled)
		}
	}
	return messages.String()
}
