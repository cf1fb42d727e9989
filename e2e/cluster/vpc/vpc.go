// Package vpc describes the AWS network that the cluster stands in, for those who have to agree on it:
// the network that is made, the nodes, and the emulator.
//
// In: nothing, or a node to add. Out: a [World], which is also what the emulator reads as JSON.
// Always: the description is the same in every run, but for nodes that are added.
package vpc

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	region  = "eu-west-1"
	account = "123456789012"
	// ClusterName is what the controller gets as --cluster-name.
	ClusterName = "e2e"
	// nodeGroup is the security group of all nodes.
	nodeGroup = "sg-0e2e0000000000001"
	// firstNodeHost is the host part of the first node's address; AWS keeps the first four of a subnet.
	firstNodeHost = 10
	// nodesMax is how many nodes a zone takes.
	nodesMax = 246
)

// ClusterTag is the tag by which subnets, instances and security groups belong to the cluster.
const ClusterTag = "kubernetes.io/cluster/" + ClusterName

// World is the account's part of AWS that exists before any load balancer.
type World struct {
	Region      string   `json:"region"`
	Account     string   `json:"account"`
	VPC         VPC      `json:"vpc"`
	Subnets     []Subnet `json:"subnets"`
	Nodes       []Node   `json:"nodes"`
	ClusterName string   `json:"clusterName"`
}

// VPC is the one network.
type VPC struct {
	ID   string       `json:"id"`
	CIDR netip.Prefix `json:"cidr"`
}

// Subnet is a part of the VPC in one zone.
type Subnet struct {
	ID     string            `json:"id"`
	Zone   string            `json:"zone"`
	CIDR   netip.Prefix      `json:"cidr"`
	Public bool              `json:"public"`
	Tags   map[string]string `json:"tags"`
}

// Node is an EC2 instance that is a node of the cluster.
type Node struct {
	InstanceID string     `json:"instanceId"`
	Zone       string     `json:"zone"`
	Address    netip.Addr `json:"address"`
	// PodCIDR is where pods have their addresses, as a prefix that is delegated to the node's network
	// interface; the first node of a zone has it for all of them.
	PodCIDR        *netip.Prefix     `json:"podCidr,omitempty"`
	SecurityGroups []string          `json:"securityGroups"`
	Tags           map[string]string `json:"tags"`
}

// New is a VPC of three zones, each with a public and a private subnet, and a node in each private one.
func New() *World {
	world := &World{
		Region:      region,
		Account:     account,
		VPC:         VPC{ID: "vpc-0e2e0000000000001", CIDR: netip.MustParsePrefix("10.0.0.0/16")},
		ClusterName: ClusterName,
	}
	for i, zone := range []string{"a", "b", "c"} {
		world.Subnets = append(world.Subnets, Subnet{
			ID:     fmt.Sprintf("subnet-0e2e00000000000a%d", i+1),
			Zone:   region + zone,
			CIDR:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(16 * i), 0}), 20),
			Public: true,
			Tags:   map[string]string{"kubernetes.io/role/elb": "1", ClusterTag: "shared", "Name": "e2e-public-" + zone},
		})
	}
	for i, zone := range []string{"a", "b", "c"} {
		world.Subnets = append(world.Subnets, Subnet{
			ID:   fmt.Sprintf("subnet-0e2e00000000000b%d", i+1),
			Zone: region + zone,
			CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(128 + 16*i), 0}), 20),
			Tags: map[string]string{"kubernetes.io/role/internal-elb": "1", ClusterTag: "shared", "Name": "e2e-private-" + zone},
		})
	}
	for _, subnet := range world.Subnets {
		if !subnet.Public {
			// There is room for a first node in each.
			_, _ = world.AddNode(subnet.Zone)
		}
	}
	return world
}

// AddNode adds a node to the private subnet of a zone.
func (w *World) AddNode(zone string) (Node, error) {
	subnet, ok := w.privateSubnet(zone)
	if !ok {
		return Node{}, fmt.Errorf("there is no zone %s in %s", zone, w.Region)
	}
	host := uint32(firstNodeHost)
	for _, node := range w.Nodes {
		if node.Zone == zone {
			host++
		}
	}
	if host >= firstNodeHost+nodesMax {
		return Node{}, fmt.Errorf("%s has no address left for a node", zone)
	}
	node := Node{
		InstanceID:     fmt.Sprintf("i-0e2e%013d", len(w.Nodes)+1),
		Zone:           zone,
		Address:        hostAddress(subnet.CIDR, host),
		SecurityGroups: []string{nodeGroup},
		Tags:           map[string]string{ClusterTag: "owned"},
	}
	if host == firstNodeHost {
		pods := quarter(subnet.CIDR, 1)
		node.PodCIDR = &pods
	}
	w.Nodes = append(w.Nodes, node)
	return node, nil
}

// PodRange has the addresses from which the pods of a zone get theirs, both ends included.
func (w *World) PodRange(zone string) (first, last netip.Addr) {
	subnet, _ := w.privateSubnet(zone)
	return quarter(subnet.CIDR, 1).Addr(), quarter(subnet.CIDR, 2).Addr().Prev()
}

// BalancerRanges are addresses that no node and no pod has, the last quarter of each subnet: whoever is a
// load balancer may listen on any of them.
func (w *World) BalancerRanges() []netip.Prefix {
	var ranges []netip.Prefix
	for _, subnet := range w.Subnets {
		ranges = append(ranges, quarter(subnet.CIDR, 3))
	}
	return ranges
}

// Router is the address by which all is reached that is no pod. AWS has it in each subnet, at its first
// address; one is enough here, as all pods are in one Ethernet.
func (w *World) Router() netip.Addr {
	return hostAddress(w.VPC.CIDR, 1)
}

// Resolver is the address of the VPC's DNS server, where AWS has it: the network's second.
func (w *World) Resolver() netip.Addr {
	return hostAddress(w.VPC.CIDR, 2)
}

// BalancerResolver is where whoever knows the names of load balancers answers for them: the third, which
// AWS keeps free.
func (w *World) BalancerResolver() netip.Addr {
	return hostAddress(w.VPC.CIDR, 3)
}

func (w *World) privateSubnet(zone string) (Subnet, bool) {
	for _, subnet := range w.Subnets {
		if subnet.Zone == zone && !subnet.Public {
			return subnet, true
		}
	}
	return Subnet{}, false
}

// quarter of a subnet, counted from 0. Nodes are in the first, pods in the second, load balancers in the
// last.
func quarter(subnet netip.Prefix, number uint32) netip.Prefix {
	size := uint32(1) << (32 - subnet.Bits() - 2)
	return netip.PrefixFrom(hostAddress(subnet, number*size), subnet.Bits()+2)
}

// hostAddress is the address with a host part in a network.
func hostAddress(network netip.Prefix, host uint32) netip.Addr {
	base := network.Masked().Addr().As4()
	var address [4]byte
	binary.BigEndian.PutUint32(address[:], binary.BigEndian.Uint32(base[:])+host)
	return netip.AddrFrom4(address)
}
