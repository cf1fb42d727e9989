package vpc_test

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

func TestAddressesDoNotOverlap(t *testing.T) {
	world := vpc.New()
	for _, subnet := range world.Subnets {
		if subnet.Public {
			continue
		}
		first, last := world.PodRange(subnet.Zone)
		for _, address := range []netip.Addr{first, last} {
			if !subnet.CIDR.Contains(address) {
				t.Errorf("the pod address %s is not in %s", address, subnet.CIDR)
			}
			for _, balancers := range world.BalancerRanges() {
				if balancers.Contains(address) {
					t.Errorf("the pod address %s is one of load balancers, in %s", address, balancers)
				}
			}
		}
		if !first.Less(last) {
			t.Errorf("pods of %s have the addresses %s to %s", subnet.Zone, first, last)
		}
	}
	for _, node := range world.Nodes {
		for _, balancers := range world.BalancerRanges() {
			if balancers.Contains(node.Address) {
				t.Errorf("the node address %s is one of load balancers", node.Address)
			}
		}
	}
}

func TestNodesAreAdded(t *testing.T) {
	world := vpc.New()
	seen := make(map[netip.Addr]bool)
	for _, node := range world.Nodes {
		seen[node.Address] = true
	}
	for range 3 {
		node, err := world.AddNode("eu-west-1c")
		if err != nil {
			t.Fatal(err)
		}
		if seen[node.Address] || node.Zone != "eu-west-1c" {
			t.Errorf("%+v", node)
		}
		seen[node.Address] = true
	}
	if _, err := world.AddNode("eu-west-1z"); err == nil {
		t.Error("there is a node in a zone that is not there")
	}
}

// The emulator reads these names.
func TestDescriptionHasItsNames(t *testing.T) {
	text, err := json.Marshal(vpc.New())
	if err != nil {
		t.Fatal(err)
	}
	var world map[string]any
	if err := json.Unmarshal(text, &world); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		of    any
		names []string
	}{
		{world, []string{"region", "account", "vpc", "subnets", "nodes", "clusterName"}},
		{world["vpc"], []string{"id", "cidr"}},
		{world["subnets"].([]any)[0], []string{"id", "zone", "cidr", "public", "tags"}},
		{world["nodes"].([]any)[0], []string{"instanceId", "zone", "address", "podCidr", "securityGroups", "tags"}},
	} {
		object := row.of.(map[string]any)
		for _, name := range row.names {
			if _, ok := object[name]; !ok {
				t.Errorf("%v has no %s", object, name)
			}
		}
		if len(object) != len(row.names) {
			t.Errorf("%v has other names than %v", object, row.names)
		}
	}
}
