package main

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what was measured on, and what.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	MemoryMiB uint64 `json:"memoryMiB"`
	Kernel    string `json:"kernel"`
	// Elbow is the version of the program, and its build.
	Elbow      string `json:"elbow"`
	Kubernetes string `json:"kubernetes"`
	GatewayAPI string `json:"gatewayAPI"`
}

func (m Machine) String() string {
	return fmt.Sprintf("%s; Kubernetes %s, Gateway API %s; %d cores of %s, %d MiB, Linux %s",
		m.Elbow, m.Kubernetes, m.GatewayAPI, m.Cores, m.Processor, m.MemoryMiB, m.Kernel)
}

// machine describes this one.
func machine(program string) (Machine, error) {
	found := Machine{Processor: runtime.GOARCH, Cores: runtime.NumCPU()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				found.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	var system unix.Sysinfo_t
	if err := unix.Sysinfo(&system); err != nil {
		return Machine{}, fmt.Errorf("cannot ask for the machine's memory: %w", err)
	}
	found.MemoryMiB = system.Totalram * uint64(system.Unit) >> 20
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Machine{}, fmt.Errorf("cannot ask for the kernel's version: %w", err)
	}
	found.Kernel = unix.ByteSliceToString(name.Release[:])
	version, err := exec.Command(program, "--version").Output()
	if err != nil {
		return Machine{}, fmt.Errorf("cannot ask %s for its version: %w", program, err)
	}
	found.Elbow = strings.TrimSpace(string(version))
	return found, nil
}

// mapped is how much of a program's file a process maps, in MiB: its code and its tables.
func mapped(program string) (float64, error) {
	file, err := elf.Open(program)
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", program, err)
	}
	defer file.Close()
	size := uint64(0)
	for _, part := range file.Progs {
		if part.Type == elf.PT_LOAD {
			size += part.Filesz
		}
	}
	return float64(size) / (1 << 20), nil
}

// memory of a process.
type memory struct {
	// resident is all of it that is in memory, anonymous what is no page of a file.
	resident, anonymous float64
}

// memoryOf reads what the kernel counts, in MiB.
func memoryOf(pid int) (memory, error) {
	file := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	text, err := os.ReadFile(file)
	if err != nil {
		return memory{}, fmt.Errorf("cannot read the memory of the controller: %w", err)
	}
	found := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 3 && words[2] == "kB" {
			if kib, err := strconv.ParseFloat(words[1], 64); err == nil {
				found[strings.TrimSuffix(words[0], ":")] = kib / 1024
			}
		}
	}
	if found["Rss"] == 0 {
		return memory{}, fmt.Errorf("%s has no Rss", file)
	}
	return memory{resident: found["Rss"], anonymous: found["Anonymous"]}, nil
}
