package proxy

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// endpoint is a pod, or what stands for one, behind a port of a Service.
type endpoint struct {
	address netip.AddrPort
	node    string
	ready   bool
	// lastResort serves although it is about to end.
	lastResort bool
}

// endpointsOf are those of one port, in the order of their addresses.
func endpointsOf(of []*discoveryv1.EndpointSlice, port corev1.ServicePort) []endpoint {
	var found []endpoint
	for _, slice := range of {
		for _, slicePort := range slice.Ports {
			if value(slicePort.Name) != port.Name || slicePort.Port == nil || value(slicePort.Protocol) != port.Protocol {
				continue
			}
			for _, candidate := range slice.Endpoints {
				for _, text := range candidate.Addresses {
					address, err := netip.ParseAddr(text)
					if err != nil {
						continue
					}
					found = append(found, endpoint{
						address: netip.AddrPortFrom(address, uint16(*slicePort.Port)),
						node:    value(candidate.NodeName),
						// Absent means that it is ready, as the API says.
						ready:      candidate.Conditions.Ready == nil || *candidate.Conditions.Ready,
						lastResort: value(candidate.Conditions.Serving) && value(candidate.Conditions.Terminating),
					})
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b endpoint) int { return a.address.Compare(b.address) })
	return slices.CompactFunc(found, func(a, b endpoint) bool { return a.address == b.address })
}

// choose takes the ready ones, and when there are none those that end but still serve; only of one node,
// unless that is empty.
func choose(from []endpoint, node string) []netip.AddrPort {
	var ready, ending []netip.AddrPort
	for _, candidate := range from {
		switch {
		case node != "" && candidate.node != node:
		case candidate.ready:
			ready = append(ready, candidate.address)
		case candidate.lastResort:
			ending = append(ending, candidate.address)
		}
	}
	if len(ready) > 0 {
		return ready
	}
	return ending
}

// value is what a pointer points to, or the type's zero.
func value[T any](pointer *T) T {
	var zero T
	if pointer == nil {
		return zero
	}
	return *pointer
}
