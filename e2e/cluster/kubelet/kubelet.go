// Package kubelet runs pods as processes.
//
// In: the pods that the scheduler has bound to its nodes, by a watch. Out: for each container a process
// in namespaces of its own, with the pod's address and a root folder that shows the host's programs; the
// pods' status; a Node object and a lease for each node.
// Always: what a pod's author can see of a kubelet is as Kubernetes documents it (order of containers,
// restarts, probes, readiness gates, graceful termination). What needs a container runtime is not there
// (pulling images, limits, users); what is not understood is said in the status of the pod.
//
// Start at [Start]; a pod's life is pod.run.
package kubelet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/elbow-project/elbow/e2e/cluster/network"
	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

// Options say how to run pods.
type Options struct {
	// Config of a client that may do what a kubelet may.
	Config *rest.Config
	// Network that pods are attached to.
	Network *network.Network
	// Region that nodes are labelled with.
	Region string
	// Resolver is the DNS server of pods.
	Resolver netip.Addr
	// APIServer is the address of the Service kubernetes.
	APIServer netip.Addr
	// Images by their names without registry and tag.
	Images map[string]Image
	// State is a folder for volumes, on a file system that is in memory.
	State string
	// Logs is a folder for the output of containers.
	Logs string
	// Certificate with which nodes serve logs.
	Certificate tls.Certificate
	// OnNode is told of each node.
	OnNode func(name string, node vpc.Node)
}

// Kubelet runs the pods of all nodes.
type Kubelet struct {
	options Options
	client  kubernetes.Interface
	// version of Kubernetes, which nodes say is theirs.
	version string
	events  record.EventRecorder
	cancel  context.CancelFunc
	// running ends with the kubelet.
	running context.Context
	// work counts what goes on for pods and nodes.
	work sync.WaitGroup

	mutex sync.Mutex
	nodes map[string]vpc.Node
	pods  map[types.UID]*pod
	// stopped is set when no more pods may be begun.
	stopped bool
}

// Start starts to watch pods. Nodes come by [Kubelet.AddNode].
func Start(ctx context.Context, options Options) (*Kubelet, error) {
	client, err := kubernetes.NewForConfig(options.Config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("cannot ask the API server for its version: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	k := &Kubelet{
		options: options,
		client:  client,
		version: version.GitVersion,
		events:  broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet"}),
		cancel:  cancel,
		running: ctx,
		nodes:   make(map[string]vpc.Node),
		pods:    make(map[types.UID]*pod),
	}
	bound := informers.WithTweakListOptions(func(list *metav1.ListOptions) {
		list.FieldSelector = fields.OneTermNotEqualSelector("spec.nodeName", "").String()
	})
	informer := informers.NewSharedInformerFactoryWithOptions(client, 0, bound).Core().V1().Pods().Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.seen(object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) { k.seen(object.(*corev1.Pod)) },
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			if gone, ok := object.(*corev1.Pod); ok {
				k.gone(gone)
			}
		},
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("cannot watch pods: %w", err)
	}
	k.work.Go(func() { informer.RunWithContext(ctx) })
	return k, nil
}

// Stop ends all processes of all pods at once, and says nothing about it to anyone.
func (k *Kubelet) Stop() {
	k.mutex.Lock()
	k.stopped = true
	k.mutex.Unlock()
	k.cancel()
	k.work.Wait()
}

// seen takes note of a pod as it now is.
func (k *Kubelet) seen(object *corev1.Pod) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if known, ok := k.pods[object.UID]; ok {
		known.update(object)
		return
	}
	node, ours := k.nodes[object.Spec.NodeName]
	if !ours || k.stopped {
		return
	}
	fresh := newPod(k, node, object)
	k.pods[object.UID] = fresh
	k.work.Go(func() {
		fresh.run()
		k.mutex.Lock()
		defer k.mutex.Unlock()
		delete(k.pods, object.UID)
	})
}

// gone takes note of a pod whose object was removed: its processes have to end at once.
func (k *Kubelet) gone(object *corev1.Pod) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if known, ok := k.pods[object.UID]; ok {
		known.remove()
	}
}

// sleep waits, and tells whether ctx lasted that long.
func sleep(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
