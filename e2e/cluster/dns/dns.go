// Package dns is the DNS server of the VPC.
//
// In: questions of programs and pods. Out: the addresses of Services, and of everything else what the
// server that knows the load balancers says.
// Always: it asks nobody but that server, so that no name of the world outside is ever looked up.
package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// clusterDomain is what the names of Services end in, as in every cluster.
const clusterDomain = "svc.cluster.local."

// answerSeconds is for how long an answer may be kept: hardly, as tests move fast.
const answerSeconds = 1

// Server answers until it is stopped.
type Server struct {
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
	server := &Server{}
	for _, network := range []string{"udp", "tcp"} {
		started := make(chan error, 1)
		one := &dns.Server{
			Addr: address.String(), Net: network, Handler: handler,
			NotifyStartedFunc: func() { started <- nil },
		}
		go func() {
			if err := one.ListenAndServe(); err != nil {
				started <- err
			}
		}()
		if err := <-started; err != nil {
			server.Stop()
			return nil, fmt.Errorf("cannot answer questions for names on %s: %w", address, err)
		}
		server.servers = append(server.servers, one)
	}
	return server, nil
}

// Stop ends it.
func (s *Server) Stop() {
	var failures []error
	for _, server := range s.servers {
		failures = append(failures, server.Shutdown())
	}
	// A server that has ended already cannot be ended, which is well.
	_ = errors.Join(failures...)
}

// answerOf answers questions for names of the cluster. Of other names it says nothing.
func answerOf(question *dns.Msg, lookup func(namespace, name string) (netip.Addr, bool)) *dns.Msg {
	if len(question.Question) != 1 {
		return new(dns.Msg).SetRcode(question, dns.RcodeFormatError)
	}
	asked := question.Question[0]
	service, ok := strings.CutSuffix(strings.ToLower(asked.Name), "."+clusterDomain)
	if !ok {
		return nil
	}
	answer := new(dns.Msg).SetReply(question)
	answer.Authoritative = true
	name, namespace, ok := strings.Cut(service, ".")
	var address netip.Addr
	if ok {
		address, ok = lookup(namespace, name)
	}
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
