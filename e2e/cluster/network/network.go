// Package network makes the VPC's network out of a bridge, and a network namespace for each pod.
//
// In: the description of the VPC. Out: [Pod]s with addresses of their own.
// Always: everything belongs to the network namespace of this process and is gone with it. All pods and
// this namespace are in one Ethernet, so that nothing has to be forwarded; addresses that are no pod's
// (nodes, load balancers, Services) belong to this namespace, where any process can listen on them.
package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

const (
	bridgeName = "vpc"
	// podInterface is the name of a pod's only interface beside loopback, as everywhere.
	podInterface = "eth0"
)

// Network is the VPC's network.
type Network struct {
	world  *vpc.World
	bridge int
	routes []*netlink.Route

	mutex sync.Mutex
	pools map[string]*pool
}

// New makes the network in the namespace of this process, which must have no other. serviceCIDR has the
// addresses of Services.
func New(world *vpc.World, serviceCIDR netip.Prefix) (*Network, error) {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("cannot find the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return nil, fmt.Errorf("cannot start the loopback interface: %w", err)
	}
	router := world.Router()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName, HardwareAddr: hardwareAddress(router)}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("cannot make a bridge; the kernel needs the modules bridge and veth: %w", err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("cannot start the bridge: %w", err)
	}
	network := &Network{world: world, bridge: bridge.Index, pools: make(map[string]*pool)}
	if err := network.addAddress(router, world.VPC.CIDR.Bits()); err != nil {
		return nil, err
	}
	for _, resolver := range []netip.Addr{world.Resolver(), world.BalancerResolver()} {
		if err := network.addAddress(resolver, 32); err != nil {
			return nil, err
		}
	}
	for _, node := range world.Nodes {
		if err := network.AddNode(node); err != nil {
			return nil, err
		}
	}
	for _, ours := range append(world.BalancerRanges(), serviceCIDR) {
		// Every address in such a range is one of this host's, without being given to an interface.
		route := &netlink.Route{
			Dst: ipNet(ours), LinkIndex: loopback.Attrs().Index, Type: syscall.RTN_LOCAL,
			Table: syscall.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
		}
		if err := netlink.RouteAdd(route); err != nil {
			return nil, fmt.Errorf("cannot take the addresses %s: %w", ours, err)
		}
		network.routes = append(network.routes, route)
	}
	return network, nil
}

// AddNode takes the address of a node.
func (n *Network) AddNode(node vpc.Node) error {
	return n.addAddress(node.Address, 32)
}

// Close takes the network back. All pods are gone before.
func (n *Network) Close() {
	// Its addresses go with it.
	if bridge, err := netlink.LinkByIndex(n.bridge); err == nil {
		_ = netlink.LinkDel(bridge)
	}
	for _, route := range n.routes {
		_ = netlink.RouteDel(route)
	}
}

func (n *Network) addAddress(address netip.Addr, bits int) error {
	bridge, err := netlink.LinkByIndex(n.bridge)
	if err != nil {
		return fmt.Errorf("cannot find the bridge: %w", err)
	}
	if err := netlink.AddrAdd(bridge, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(address, bits))}); err != nil {
		return fmt.Errorf("cannot take the address %s: %w", address, err)
	}
	return nil
}

// Pod is a network namespace with an address.
type Pod struct {
	// Address of the pod.
	Address netip.Addr
	// Namespace is an open file of the network namespace, which lives as long as it or a process inside.
	Namespace *os.File

	network *Network
	zone    string
	link    string
}

// NewPod makes a network namespace with an address in the subnet of a zone's nodes.
func (n *Network) NewPod(zone string) (pod *Pod, err error) {
	address, err := n.take(zone)
	if err != nil {
		return nil, err
	}
	bytes := address.As4()
	pod = &Pod{Address: address, network: n, zone: zone, link: fmt.Sprintf("pod%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3])}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("cannot make the network of a pod: %w", err), pod.Close())
		}
	}()
	if pod.Namespace, err = newNamespace(); err != nil {
		return pod, err
	}
	veth := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: pod.link, MasterIndex: n.bridge},
		PeerName:         podInterface,
		PeerHardwareAddr: hardwareAddress(address),
		PeerNamespace:    netlink.NsFd(pod.Namespace.Fd()),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return pod, fmt.Errorf("cannot add a pair of interfaces: %w", err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return pod, fmt.Errorf("cannot start the interface %s: %w", pod.link, err)
	}
	return pod, pod.configure()
}

// configure starts the interfaces inside of the namespace.
func (p *Pod) configure() error {
	inside, err := netlink.NewHandleAt(netns.NsHandle(p.Namespace.Fd()))
	if err != nil {
		return fmt.Errorf("cannot reach into the namespace: %w", err)
	}
	defer inside.Close()
	loopback, err := inside.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("cannot find its loopback interface: %w", err)
	}
	if err := inside.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("cannot start its loopback interface: %w", err)
	}
	link, err := inside.LinkByName(podInterface)
	if err != nil {
		return fmt.Errorf("cannot find its interface: %w", err)
	}
	address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(p.Address, p.network.world.VPC.CIDR.Bits()))}
	if err := inside.AddrAdd(link, address); err != nil {
		return fmt.Errorf("cannot give it the address %s: %w", p.Address, err)
	}
	if err := inside.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot start its interface: %w", err)
	}
	router := p.network.world.Router()
	if err := inside.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: router.AsSlice()}); err != nil {
		return fmt.Errorf("cannot give it a route: %w", err)
	}
	return nil
}

// Close takes the address and the interfaces back. The namespace goes with the last process in it.
func (p *Pod) Close() error {
	var failures []error
	if link, err := netlink.LinkByName(p.link); err == nil {
		if err := netlink.LinkDel(link); err != nil {
			failures = append(failures, fmt.Errorf("cannot remove the interface %s: %w", p.link, err))
		}
	}
	if p.Namespace != nil {
		failures = append(failures, p.Namespace.Close())
	}
	p.network.release(p.zone, p.Address)
	return errors.Join(failures...)
}

// newNamespace makes a network namespace and stays in the old one.
func newNamespace() (*os.File, error) {
	// Namespaces are a thread's. Nothing else may run on this one as long as it is in the new one.
	runtime.LockOSThread()
	old, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("cannot find our own network namespace: %w", err)
	}
	defer old.Close()
	made, err := netns.New()
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("cannot make a network namespace: %w", err)
	}
	if err := netns.Set(old); err != nil {
		// The thread stays locked, and ends with this goroutine.
		return nil, errors.Join(fmt.Errorf("cannot return from a new network namespace: %w", err), made.Close())
	}
	runtime.UnlockOSThread()
	return os.NewFile(uintptr(made), "network namespace"), nil
}

// hardwareAddress is made of the IP address: whoever gets an address after another pod is reached by
// those who remember the other's.
func hardwareAddress(address netip.Addr) net.HardwareAddr {
	bytes := address.As4()
	// 02: given locally, to one interface.
	return net.HardwareAddr{0x02, 0x00, bytes[0], bytes[1], bytes[2], bytes[3]}
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32)}
}
