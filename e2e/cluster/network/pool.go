package network

import (
	"fmt"
	"net/netip"
)

// pool has the addresses of a zone's pods. An address that becomes free is taken again as late as
// possible: clients that still hold it should meet nobody rather than a stranger.
type pool struct {
	first, last netip.Addr
	next        netip.Addr
	taken       map[netip.Addr]bool
}

// take finds a free address.
func (n *Network) take(zone string) (netip.Addr, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	p, ok := n.pools[zone]
	if !ok {
		first, last := n.world.PodRange(zone)
		p = &pool{first: first, last: last, next: first, taken: make(map[netip.Addr]bool)}
		n.pools[zone] = p
	}
	for begin := p.next; ; {
		address := p.next
		p.next = address.Next()
		if address == p.last {
			p.next = p.first
		}
		if !p.taken[address] {
			p.taken[address] = true
			return address, nil
		}
		if p.next == begin {
			return netip.Addr{}, fmt.Errorf("all addresses for pods in %s are taken", zone)
		}
	}
}

// release makes an address free.
func (n *Network) release(zone string, address netip.Addr) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if p, ok := n.pools[zone]; ok {
		delete(p.taken, address)
	}
}
