package network

import (
	"testing"

	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

const zone = "eu-west-1a"

func TestAddressesAreTakenAgainLate(t *testing.T) {
	network := &Network{world: vpc.New(), pools: make(map[string]*pool)}
	first, err := network.take(zone)
	if err != nil {
		t.Fatal(err)
	}
	network.release(zone, first)
	count := 1
	for {
		address, err := network.take(zone)
		if err != nil {
			t.Fatal(err)
		}
		if address == first {
			break
		}
		network.release(zone, address)
		count++
	}
	// The pods' part of a subnet with 4096 addresses: a quarter.
	if want := 4096 / 4; count != want {
		t.Errorf("an address is taken again after %d others and not %d", count, want)
	}
}

func TestTakenAddressesAreNotGivenAgain(t *testing.T) {
	network := &Network{world: vpc.New(), pools: make(map[string]*pool)}
	kept, err := network.take(zone)
	if err != nil {
		t.Fatal(err)
	}
	for taken := 1; ; taken++ {
		address, err := network.take(zone)
		if err != nil {
			if want := 4096 / 4; taken != want {
				t.Errorf("after %d addresses: %v", taken, err)
			}
			break
		}
		if address == kept {
			t.Fatalf("%s is given twice", address)
		}
	}
	network.release(zone, kept)
	if again, err := network.take(zone); err != nil || again != kept {
		t.Errorf("the only free address is not given, but %s (%v)", again, err)
	}
}
