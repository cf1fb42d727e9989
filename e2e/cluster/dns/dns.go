// Package dns is the DNS server of the VPC.
//
// In: questions of programs and pods. Out: the addresses of Services, and of everything else what the
// server that knows the load balancers says.
// Always: it asks nobody but that server, so that no name of the world outside is ever looked up.
package dns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// clusterDomain is what all names of the cluster end in, as in every cluster.
	clusterDomain = ".cluster.local."
	// serviceDomain is what the names of Services end in.
	serviceDomain = ".svc" + clusterDomain
)

// answerSeconds is for how long an answer may be kept: hardly, as tests move fast.
const answerSeconds = 1

// Server answers until it is stopped.
type Server struct {
	address netip.AddrPort
	servers []*dns.Server
}

// Start answers on address, by UDP and TCP. lookup knows the addresses of Services by namespace and
// name; other names are asked of balancers.
func Start(address, balancers netip.AddrPort, lookup func(namespace, name string) (netip.Addr, bool)) (*Server, error) {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := answerOf(question, lookup)
		if answer == nil {
			answer = forward(question, balancers, w.LocalAddr().Network())
		}
		// Who asked has gone, or asks again.
		_ = w.WriteMsg(answer)
	})
	datagrams, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, fmt.Errorf("cannot answer questions for names on %s: %w", address, err)
	}
	// The same port, also where the system chose it.
	server := &Server{address: datagrams.LocalAddr().(*net.UDPAddr).AddrPort()}
	connections, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(server.address))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot answer questions for names on %s: %w", address, err), datagrams.Close())
	}
	for _, one := range []*dns.Server{
		{PacketConn: datagrams, Handler: handler},
		{Listener: connections, Handler: handler},
	} {
		started := make(chan struct{})
		one.NotifyStartedFunc = func() { close(started) }
		// It ends with an error only when it is stopped.
		go func() { _ = one.ActivateAndServe() }()
		<-started
		server.servers = append(server.servers, one)
	}
	return server, nil
}

// Address is where it answers.
func (s *Server) Address() netip.AddrPort {
	return s.address
}

// Stop ends it.
func (s *Server) Stop() {
	for _, server := range s.servers {
		// It fails only for a server that does not run, which is well.
		_ = server.Shutdown()
	}
}

// answerOf answers questions for names of the cluster. Of other names it says nothing.
func answerOf(question *dns.Msg, lookup func(namespace, name string) (netip.Addr, bool)) *dns.Msg {
	if len(question.Question) != 1 {
		return new(dns.Msg).SetRcode(question, dns.RcodeFormatError)
	}
	asked := question.Question[0]
	asLower := strings.ToLower(asked.Name)
	if !strings.HasSuffix(asLower, clusterDomain) {
		return nil
	}
	answer := new(dns.Msg).SetReply(question)
	answer.Authoritative = true
	service, _ := strings.CutSuffix(asLower, serviceDomain)
	name, namespace, _ := strings.Cut(service, ".")
	address, ok := lookup(namespace, name)
	if !ok {
		answer.Rcode = dns.RcodeNameError
		return answer
	}
	if asked.Qtype == dns.TypeA {
		answer.Answer = append(answer.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: answerSeconds},
			A:   address.AsSlice(),
		})
	}
	return answer
}

// forward asks another server, by the protocol by which it was asked.
func forward(question *dns.Msg, server netip.AddrPort, network string) *dns.Msg {
	// Shorter than the second after which resolvers ask again.
	client := &dns.Client{Net: network, Timeout: 900 * time.Millisecond}
	answer, _, err := client.Exchange(question, server.String())
	if err != nil {
		return new(dns.Msg).SetRcode(question, dns.RcodeServerFailure)
	}
	return answer
}
