package proxy

import (
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestEndpointsAreThoseOfThePort(t *testing.T) {
	name, other, number, tcp, udp, no := "http", "admin", int32(3000), corev1.ProtocolTCP, corev1.ProtocolUDP, false
	slice := &discoveryv1.EndpointSlice{
		Ports: []discoveryv1.EndpointPort{
			{Name: &name, Port: &number, Protocol: &tcp},
			{Name: &name, Port: &number, Protocol: &udp},
			{Name: &other, Port: new(int32), Protocol: &tcp},
		},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.0.0.9"}},
			{Addresses: []string{"10.0.0.8"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
		},
	}
	// The same endpoint in two slices, as happens while one takes over from the other, counts once.
	found := endpointsOf([]*discoveryv1.EndpointSlice{slice, slice}, corev1.ServicePort{Name: name, Protocol: tcp})
	want := []endpoint{
		{address: netip.MustParseAddrPort("10.0.0.8:3000")},
		{address: netip.MustParseAddrPort("10.0.0.9:3000"), ready: true},
	}
	if !slices.Equal(found, want) {
		t.Errorf("%+v and not %+v", found, want)
	}
}

func TestReadyEndpointsAreChosen(t *testing.T) {
	at := netip.MustParseAddrPort
	ready := endpoint{address: at("10.0.0.1:1"), node: "a", ready: true}
	unready := endpoint{address: at("10.0.0.2:1"), node: "a"}
	ending := endpoint{address: at("10.0.0.3:1"), node: "b", lastResort: true}
	for _, row := range []struct {
		name string
		from []endpoint
		node string
		want []netip.AddrPort
	}{
		{"the ready ones", []endpoint{ready, unready, ending}, "", []netip.AddrPort{ready.address}},
		{"those that end, when none is ready", []endpoint{unready, ending}, "", []netip.AddrPort{ending.address}},
		{"none", []endpoint{unready}, "", nil},
		{"only those of the node", []endpoint{ready, ending}, "b", []netip.AddrPort{ending.address}},
		{"none of the node", []endpoint{ready}, "c", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := choose(row.from, row.node); !slices.Equal(got, row.want) {
				t.Errorf("%v and not %v", got, row.want)
			}
		})
	}
}
