package testcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/elbow-project/elbow/e2e/cluster/controlplane"
	"github.com/elbow-project/elbow/e2e/cluster/dns"
	"github.com/elbow-project/elbow/e2e/cluster/kubelet"
	"github.com/elbow-project/elbow/e2e/cluster/network"
	"github.com/elbow-project/elbow/e2e/cluster/programs"
	"github.com/elbow-project/elbow/e2e/cluster/proxy"
	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

const (
	// serviceCIDR is that of EKS for a VPC in 10.0.0.0/8.
	serviceCIDR = "172.20.0.0/16"
	// dnsPort is where names are asked for.
	dnsPort = 53
	// readyTimeout is how long the start of the servers may take, on a machine that does much else.
	readyTimeout = 3 * time.Minute
)

// folders of a run.
type folders struct {
	// source is e2e/.
	source string
	// cache is for what outlives the run.
	cache    string
	programs programs.Folder
}

// host runs a cluster in this process.
type host struct {
	stateFile string
	progress  io.Writer

	plane    *controlplane.ControlPlane
	network  *network.Network
	kubelet  *kubelet.Kubelet
	cancel   context.CancelFunc
	undo     []func()
	stopOnce sync.Once

	mutex sync.Mutex
	world *vpc.World
	// worldFile has the description of world.
	worldFile string
}

// start starts everything. What it has started is undone when something fails.
func start(ctx context.Context, options Options) (h *host, err error) {
	begin := time.Now()
	built, err := build(ctx, options.Progress)
	if err != nil {
		return nil, err
	}
	ctx, cancelTimeout := context.WithTimeout(ctx, readyTimeout)
	defer cancelTimeout()
	running, cancel := context.WithCancel(context.Background())
	h = &host{progress: options.Progress, world: vpc.New(), cancel: cancel}
	defer func() {
		if err != nil {
			h.stop()
		}
	}()
	state, err := h.prepare(built)
	if err != nil {
		return nil, err
	}
	services := netip.MustParsePrefix(serviceCIDR)
	if running, err = h.logTo(running, filepath.Join(state.Logs, "nodes.log")); err != nil {
		return nil, err
	}
	if h.network, err = network.New(h.world, services); err != nil {
		return nil, err
	}
	h.undo = append(h.undo, h.network.Close)
	h.plane, err = controlplane.Start(ctx, controlplane.Options{
		Programs: built.programs, State: filepath.Join(state.Folder, "control-plane"), Logs: state.Logs,
		Address: h.world.Router(), ServiceCIDR: services,
	})
	if err != nil {
		return nil, err
	}
	h.undo = append(h.undo, h.plane.Stop)
	state.APIServer, state.AuditLog = h.plane.URL(), h.plane.AuditLog()
	if err := h.plane.WriteAdminKubeconfig(state.Kubeconfig); err != nil {
		return nil, err
	}
	if err := h.startNodes(ctx, running, options, built, state); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", state.Control)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for those who disturb the cluster: %w", err)
	}
	h.undo = append(h.undo, func() { _ = listener.Close() })
	go h.serveControl(listener)
	h.stateFile = filepath.Join(state.Folder, "state.json")
	if err := state.write(h.stateFile); err != nil {
		return nil, err
	}
	fmt.Fprintf(options.Progress, "the cluster is up after %s\n", time.Since(begin).Round(100*time.Millisecond))
	return h, nil
}

// startNodes starts what runs on nodes: the kubelet, what stands for kube-proxy, and the VPC's resolver.
func (h *host) startNodes(ctx, running context.Context, options Options, built folders, state *State) error {
	config, err := h.plane.NodesConfig()
	if err != nil {
		return err
	}
	certificate, err := h.plane.NodeCertificate()
	if err != nil {
		return err
	}
	forwarder, err := proxy.Start(running, config)
	if err != nil {
		return err
	}
	h.undo = append(h.undo, forwarder.Stop)
	resolver, err := dns.Start(state.Resolver, state.BalancerResolver, forwarder.Lookup)
	if err != nil {
		return err
	}
	h.undo = append(h.undo, resolver.Stop)
	h.kubelet, err = kubelet.Start(running, kubelet.Options{
		Config: config, Network: h.network, Region: h.world.Region, Resolver: state.Resolver.Addr(), APIServer: h.plane.Service(),
		Images: kubelet.Images(built.programs, options.Images),
		State:  filepath.Join(state.Folder, "pods"), Logs: filepath.Join(state.Logs, "pods"),
		Certificate: certificate, OnNode: forwarder.AddNode,
	})
	if err != nil {
		return err
	}
	h.undo = append(h.undo, h.kubelet.Stop)
	for _, node := range h.world.Nodes {
		if err := h.kubelet.AddNode(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the folders and the files that need no server.
func (h *host) prepare(built folders) (*State, error) {
	logs, unlock, err := claim(filepath.Join(built.cache, "logs"))
	if err != nil {
		return nil, err
	}
	h.undo = append(h.undo, unlock)
	// In memory: gone with the namespaces, whatever ends them, and no disk has to be waited for.
	folder := filepath.Join(built.cache, "run")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the run: %w", err)
	}
	if err := unix.Mount("elbow-e2e", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return nil, fmt.Errorf("cannot mount a file system in memory: %w", err)
	}
	h.undo = append(h.undo, func() { _ = unix.Unmount(folder, unix.MNT_DETACH) })
	state := &State{
		Folder: folder, Logs: logs, Programs: string(built.programs),
		Kubeconfig: filepath.Join(folder, "kubeconfig"), World: filepath.Join(folder, "world.json"),
		Control: filepath.Join(folder, "control"), Address: h.world.Router(),
		Resolver:         netip.AddrPortFrom(h.world.Resolver(), dnsPort),
		BalancerResolver: netip.AddrPortFrom(h.world.BalancerResolver(), dnsPort),
		BalancerRanges:   h.world.BalancerRanges(),
	}
	h.worldFile = state.World
	if err := h.writeWorld(); err != nil {
		return nil, err
	}
	return state, h.useResolver(folder, state.Resolver.Addr())
}

// logTo has what client-go says for this context written to a file.
func (h *host) logTo(ctx context.Context, file string) (context.Context, error) {
	log, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open a log: %w", err)
	}
	h.undo = append(h.undo, func() { _ = log.Close() })
	return klog.NewContext(ctx, logr.FromSlogHandler(slog.NewTextHandler(log, nil))), nil
}

// useResolver has all programs inside ask the given DNS server.
func (h *host) useResolver(folder string, server netip.Addr) error {
	const system = "/etc/resolv.conf"
	ours := filepath.Join(folder, "resolv.conf")
	if err := os.WriteFile(ours, fmt.Appendf(nil, "nameserver %s\noptions timeout:1 attempts:3\n", server), 0o644); err != nil {
		return fmt.Errorf("cannot write resolv.conf: %w", err)
	}
	target, err := filepath.EvalSymlinks(system)
	if errors.Is(err, os.ErrNotExist) {
		// Without the file, the C library and Go ask 127.0.0.1, where nobody answers.
		fmt.Fprintf(h.progress, "warning: there is no %s, so that programs outside of pods do not find load balancers by their names\n", system)
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot find %s: %w", system, err)
	}
	if err := unix.Mount(ours, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot put our own %s in its place: %w", system, err)
	}
	h.undo = append(h.undo, func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	return nil
}

// writeWorld writes down the description of the VPC, whole or not at all.
func (h *host) writeWorld() error {
	text, err := json.MarshalIndent(h.world, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(h.worldFile+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write down the VPC: %w", err)
	}
	return os.Rename(h.worldFile+".new", h.worldFile)
}

// addNode adds a node, which is registered when this returns.
func (h *host) addNode(ctx context.Context, zone string) (vpc.Node, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	node, err := h.world.AddNode(zone)
	if err != nil {
		return vpc.Node{}, err
	}
	if err := h.network.AddNode(node); err != nil {
		return vpc.Node{}, err
	}
	if err := h.kubelet.AddNode(ctx, node); err != nil {
		return vpc.Node{}, err
	}
	return node, h.writeWorld()
}

// stop undoes what was started, the last first.
func (h *host) stop() {
	h.stopOnce.Do(func() {
		for i := len(h.undo) - 1; i >= 0; i-- {
			h.undo[i]()
		}
		h.cancel()
	})
}

// claim empties a folder for this process alone; when another has it, one beside it.
func claim(folder string) (path string, release func(), err error) {
	// More clusters at a time than this fit on no machine.
	const clustersMax = 16
	for i := 1; i <= clustersMax; i++ {
		path = folder
		if i > 1 {
			path = fmt.Sprintf("%s-%d", folder, i)
		}
		lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return "", nil, fmt.Errorf("cannot make the folder of logs: %w", err)
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = lock.Close()
			continue
		}
		if err := errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Join(path, "pods"), 0o755)); err != nil {
			_ = lock.Close()
			return "", nil, fmt.Errorf("cannot empty the folder of logs: %w", err)
		}
		return path, func() { _ = lock.Close() }, nil
	}
	return "", nil, fmt.Errorf("%d clusters run already with logs in %s", clustersMax, folder)
}
