// Package controlplane runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler.
//
// In: the programs, a folder for their state, the address under which nodes and pods reach the API.
// Out: configurations for clients, and the means to disturb: stop and start the API server, and
// have it forget what watches go on from.
// Always: authentication and authorization are those of a real cluster (certificates, tokens of service
// accounts, RBAC), and the API server writes an audit log. The ports are fixed, as the network belongs
// to this cluster alone.
package controlplane

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/elbow-project/elbow/e2e/cluster/programs"
)

const (
	// apiPort is where the API is served, as kubeadm has it.
	apiPort = 6443
	// etcdURL is where the API server, and nothing else, finds etcd.
	etcdURL = "http://127.0.0.1:2379"
	// serviceAccountIssuer is who signs the tokens of service accounts.
	serviceAccountIssuer = "https://kubernetes.default.svc"
	// masters may do everything: their group is known to the API server before any role is.
	masters = "system:masters"
)

// Options say what to run where.
type Options struct {
	// Programs to run.
	Programs programs.Folder
	// State is a folder for what this control plane needs and nobody else reads.
	State string
	// Logs is the folder for a log file of each server, and the audit log.
	Logs string
	// Address under which everybody reaches the API server.
	Address netip.Addr
	// ServiceCIDR has the addresses of Services.
	ServiceCIDR netip.Prefix
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	options   Options
	ca        *authority
	etcd      *server
	apiServer *server
	others    []*server
	probe     *http.Client
}

// Start starts the servers and returns when the API server is ready.
func Start(ctx context.Context, options Options) (*ControlPlane, error) {
	ca, err := newAuthority("elbow-e2e")
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate authority: %w", err)
	}
	plane := &ControlPlane{options: options, ca: ca}
	if err := plane.writeFiles(); err != nil {
		return nil, err
	}
	plane.etcd = newServer("etcd", options.Programs.Path("etcd"), options.Logs, plane.etcdArgs()...)
	plane.apiServer = newServer("kube-apiserver", options.Programs.Path("kube-apiserver"), options.Logs, plane.apiServerArgs()...)
	plane.others = []*server{
		newServer("kube-controller-manager", options.Programs.Path("kube-controller-manager"), options.Logs, plane.controllerManagerArgs()...),
		newServer("kube-scheduler", options.Programs.Path("kube-scheduler"), options.Logs, plane.schedulerArgs()...),
	}
	admin, err := plane.RESTConfig("elbow-e2e-probe", masters)
	if err != nil {
		return nil, err
	}
	if plane.probe, err = rest.HTTPClientFor(admin); err != nil {
		return nil, err
	}
	// A question that a starting server leaves unanswered is asked again.
	plane.probe.Timeout = 5 * time.Second
	if err := plane.startAll(ctx); err != nil {
		plane.Stop()
		return nil, err
	}
	return plane, nil
}

func (p *ControlPlane) startAll(ctx context.Context) error {
	if err := p.etcd.start(); err != nil {
		return err
	}
	if err := p.etcd.waitReady(ctx, func(ctx context.Context) error { return p.ok(ctx, etcdURL+"/health") }); err != nil {
		return err
	}
	if err := p.StartAPIServer(ctx); err != nil {
		return err
	}
	for _, other := range p.others {
		if err := other.start(); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all servers, at once: nothing that they hold is needed any more.
func (p *ControlPlane) Stop() {
	for _, server := range append(p.others, p.apiServer, p.etcd) {
		// One that does not end does so with the namespaces.
		_ = server.kill()
	}
}

// URL of the API.
func (p *ControlPlane) URL() string {
	return fmt.Sprintf("https://%s:%d", p.options.Address, apiPort)
}

// Service is the address of the Service kubernetes, which gets the first one.
func (p *ControlPlane) Service() netip.Addr {
	return p.options.ServiceCIDR.Masked().Addr().Next()
}

// AuditLog is the file with a line of JSON for each request to the API.
func (p *ControlPlane) AuditLog() string {
	return filepath.Join(p.options.Logs, "audit.log")
}

// StartAPIServer starts the API server and returns when it is ready.
func (p *ControlPlane) StartAPIServer(ctx context.Context) error {
	if err := p.apiServer.start(); err != nil {
		return err
	}
	return p.apiServer.waitReady(ctx, func(ctx context.Context) error { return p.ok(ctx, p.URL()+"/readyz") })
}

// StopAPIServer ends the API server as a crash would: connections and watches break.
func (p *ControlPlane) StopAPIServer() error {
	p.probe.CloseIdleConnections()
	return p.apiServer.kill()
}

// ExpireWatches starts the API server anew with nothing known of the past: whoever goes on with a watch
// from a version that it remembers is answered 410 Gone, and has to list again.
func (p *ControlPlane) ExpireWatches(ctx context.Context) error {
	if err := p.StopAPIServer(); err != nil {
		return err
	}
	// A watch may go on from the newest version at the start of the API server. One more, of a key that
	// is no object, makes all versions that anyone can know older than that.
	if err := forgetHistory(ctx, p.probe); err != nil {
		return err
	}
	return p.StartAPIServer(ctx)
}

// ok asks a URL and is content with the status 200.
func (p *ControlPlane) ok(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := p.probe.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

// writeFiles puts what the servers read into the folder of the state.
func (p *ControlPlane) writeFiles() error {
	if err := os.MkdirAll(p.options.State, 0o700); err != nil {
		return fmt.Errorf("cannot make the folder of the control plane: %w", err)
	}
	serving, err := p.ca.server(
		[]string{"kubernetes.default.svc", "kubernetes.default", "kubernetes", "kubernetes.default.svc.cluster.local", "localhost"},
		[]net.IP{p.options.Address.AsSlice(), net.IPv4(127, 0, 0, 1), p.Service().AsSlice()},
	)
	if err != nil {
		return fmt.Errorf("cannot sign the API server's certificate: %w", err)
	}
	// Tokens are signed with a key of its own, that of a certificate nobody looks at.
	tokens, err := p.ca.server([]string{"tokens"}, nil)
	if err != nil {
		return fmt.Errorf("cannot make the key of service accounts: %w", err)
	}
	kubelet, err := p.ca.client("kube-apiserver-kubelet-client", masters)
	if err != nil {
		return fmt.Errorf("cannot sign a certificate: %w", err)
	}
	for name, pair := range map[string]keyPair{"serving": serving, "tokens": tokens, "kubelet-client": kubelet} {
		if err := pair.write(p.options.State, name); err != nil {
			return fmt.Errorf("cannot write a key: %w", err)
		}
	}
	for name, text := range map[string][]byte{"ca.crt": p.ca.PEM, "audit-policy.yaml": []byte(auditPolicy)} {
		if err := os.WriteFile(p.file(name), text, 0o644); err != nil {
			return fmt.Errorf("cannot write %s: %w", name, err)
		}
	}
	for _, user := range []string{controllerManagerUser, schedulerUser} {
		if err := p.WriteKubeconfig(p.file(user+".kubeconfig"), user, masters); err != nil {
			return err
		}
	}
	return os.WriteFile(p.file("scheduler.yaml"), fmt.Appendf(nil, schedulerConfiguration, p.file(schedulerUser+".kubeconfig")), 0o644)
}

func (p *ControlPlane) file(name string) string {
	return filepath.Join(p.options.State, name)
}
