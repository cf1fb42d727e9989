package dns_test

import (
	"net/netip"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/elbow-project/elbow/e2e/cluster/dns"
)

// Addresses of loopback, whose ports the test finds out.
func TestNamesAreAnswered(t *testing.T) {
	// Who knows the load balancers.
	balancers := &miekg.Server{Addr: "127.0.0.1:0", Net: "udp", Handler: miekg.HandlerFunc(func(w miekg.ResponseWriter, question *miekg.Msg) {
		answer := new(miekg.Msg).SetReply(question)
		if record, err := miekg.NewRR("web.elb.amazonaws.com. 60 A 10.0.12.1"); err == nil && question.Question[0].Name == "web.elb.amazonaws.com." {
			answer.Answer = append(answer.Answer, record)
		} else {
			answer.Rcode = miekg.RcodeNameError
		}
		_ = w.WriteMsg(answer)
	})}
	started := make(chan struct{})
	balancers.NotifyStartedFunc = func() { close(started) }
	go func() { _ = balancers.ListenAndServe() }()
	<-started
	t.Cleanup(func() { _ = balancers.Shutdown() })

	lookup := func(namespace, name string) (netip.Addr, bool) {
		return netip.MustParseAddr("172.20.0.7"), namespace == "app" && name == "web"
	}
	known := netip.MustParseAddrPort(balancers.PacketConn.LocalAddr().String())
	server, err := dns.Start(netip.MustParseAddrPort("127.0.0.1:0"), known, lookup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	for _, row := range []struct {
		name  string
		kind  uint16
		code  int
		value string
	}{
		{"web.app.svc.cluster.local.", miekg.TypeA, miekg.RcodeSuccess, "172.20.0.7"},
		{"WEB.app.svc.cluster.LOCAL.", miekg.TypeA, miekg.RcodeSuccess, "172.20.0.7"},
		{"web.app.svc.cluster.local.", miekg.TypeAAAA, miekg.RcodeSuccess, ""},
		{"web.other.svc.cluster.local.", miekg.TypeA, miekg.RcodeNameError, ""},
		{"web.app.cluster.local.", miekg.TypeA, miekg.RcodeNameError, ""},
		{"web.app.x.svc.cluster.local.", miekg.TypeA, miekg.RcodeNameError, ""},
		{"web.elb.amazonaws.com.", miekg.TypeA, miekg.RcodeSuccess, "10.0.12.1"},
		{"example.com.", miekg.TypeA, miekg.RcodeNameError, ""},
	} {
		t.Run(row.name+miekg.TypeToString[row.kind], func(t *testing.T) {
			answer, err := miekg.Exchange(new(miekg.Msg).SetQuestion(row.name, row.kind), server.Address().String())
			if err != nil {
				t.Fatal(err)
			}
			value := ""
			if len(answer.Answer) == 1 {
				value = answer.Answer[0].(*miekg.A).A.String()
			}
			if answer.Rcode != row.code || value != row.value {
				t.Errorf("%s %q and not %s %q", miekg.RcodeToString[answer.Rcode], value, miekg.RcodeToString[row.code], row.value)
			}
		})
	}
}
