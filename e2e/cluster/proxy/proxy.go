// Package proxy forwards what is sent to Services, as kube-proxy does on each node.
//
// In: Services and EndpointSlices, by watches, and the nodes' addresses. Out: sockets on the Services'
// ClusterIPs and on the NodePorts of all nodes, from which connections and datagrams go to pods.
// Always: an address is listened on only while there is an endpoint for it, so that connections to a
// Service without one are refused; who already has a connection keeps it.
package proxy

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

// Forwarder forwards for all nodes.
type Forwarder struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
	changed  chan struct{}
	ended    chan struct{}
	cancel   context.CancelFunc

	mutex sync.Mutex
	// nodes by the names that endpoints have them under.
	nodes map[string]netip.Addr
	// sockets that are listened on.
	sockets map[front]socket
}

// front is where something is sent to.
type front struct {
	protocol corev1.Protocol
	address  netip.AddrPort
}

// backends are where it goes.
type backends struct {
	endpoints []netip.AddrPort
	// sticky has all that comes from one client go to one endpoint.
	sticky bool
}

// socket is an open front.
type socket interface {
	// set replaces the backends for what comes next.
	set(backends)
	// close ends listening.
	close()
}

// Start starts forwarding, until ctx ends or Stop is called.
func Start(ctx context.Context, config *rest.Config) (*Forwarder, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	factory := informers.NewSharedInformerFactory(client, 0)
	f := &Forwarder{
		services: factory.Core().V1().Services().Lister(),
		slices:   factory.Discovery().V1().EndpointSlices().Lister(),
		changed:  make(chan struct{}, 1),
		ended:    make(chan struct{}),
		cancel:   cancel,
		nodes:    make(map[string]netip.Addr),
		sockets:  make(map[front]socket),
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Services().Informer(), factory.Discovery().V1().EndpointSlices().Informer(),
	} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { f.wake() },
			UpdateFunc: func(any, any) { f.wake() },
			DeleteFunc: func(any) { f.wake() },
		})
		if err != nil {
			cancel()
			return nil, fmt.Errorf("cannot watch: %w", err)
		}
	}
	factory.StartWithContext(ctx)
	go f.run(ctx, factory)
	return f, nil
}

// AddNode has the NodePorts forwarded on one more address.
func (f *Forwarder) AddNode(name string, node vpc.Node) {
	f.mutex.Lock()
	f.nodes[name] = node.Address
	f.mutex.Unlock()
	f.wake()
}

// Stop closes all sockets.
func (f *Forwarder) Stop() {
	f.cancel()
	<-f.ended
}

func (f *Forwarder) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// run brings the sockets in line with what is wanted, each time that something changes.
func (f *Forwarder) run(ctx context.Context, factory informers.SharedInformerFactory) {
	defer close(f.ended)
	factory.WaitForCacheSyncWithContext(ctx)
	for {
		select {
		case <-ctx.Done():
			f.apply(nil)
			return
		case <-f.changed:
			f.apply(f.wanted())
		}
	}
}

// apply opens, changes and closes sockets.
func (f *Forwarder) apply(wanted map[front]backends) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for at, open := range f.sockets {
		if _, ok := wanted[at]; !ok {
			open.close()
			delete(f.sockets, at)
		}
	}
	for at, to := range wanted {
		open, ok := f.sockets[at]
		if !ok {
			var err error
			if open, err = listen(at); err != nil {
				// As on a real node: something else listens there, and goes on to.
				continue
			}
			f.sockets[at] = open
		}
		open.set(to)
	}
}

// wanted are the fronts of all Services that have endpoints.
func (f *Forwarder) wanted() map[front]backends {
	wanted := make(map[front]backends)
	// Listers of caches in memory do not fail.
	services, _ := f.services.List(labels.Everything())
	slices, _ := f.slices.List(labels.Everything())
	byService := make(map[string][]*discoveryv1.EndpointSlice)
	for _, slice := range slices {
		if slice.AddressType == discoveryv1.AddressTypeIPv4 {
			key := slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]
			byService[key] = append(byService[key], slice)
		}
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, service := range services {
		for _, port := range service.Spec.Ports {
			endpoints := endpointsOf(byService[service.Namespace+"/"+service.Name], port)
			f.addFronts(wanted, service, port, endpoints)
		}
	}
	return wanted
}

// addFronts adds those of one port of a Service.
func (f *Forwarder) addFronts(wanted map[front]backends, service *corev1.Service, port corev1.ServicePort, endpoints []endpoint) {
	sticky := service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP
	add := func(address netip.Addr, number int32, node string) {
		to := backends{endpoints: choose(endpoints, node), sticky: sticky}
		if len(to.endpoints) > 0 {
			wanted[front{protocol: port.Protocol, address: netip.AddrPortFrom(address, uint16(number))}] = to
		}
	}
	if clusterIP, err := netip.ParseAddr(service.Spec.ClusterIP); err == nil && clusterIP.Is4() {
		add(clusterIP, port.Port, "")
	}
	if port.NodePort == 0 {
		return
	}
	for name, address := range f.nodes {
		if service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
			add(address, port.NodePort, name)
		} else {
			add(address, port.NodePort, "")
		}
	}
}

// Lookup is the address of a Service by its namespace and name.
func (f *Forwarder) Lookup(namespace, name string) (netip.Addr, bool) {
	service, err := f.services.Services(namespace).Get(name)
	if err != nil {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(service.Spec.ClusterIP)
	return address, err == nil
}
