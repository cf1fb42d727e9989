package kubelet

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/elbow-project/elbow/e2e/cluster/network"
	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

// retryDelay is between tries of what waits for others: a Secret that is not there yet, the API server.
const retryDelay = 500 * time.Millisecond

// pod is the life of one pod on its node.
type pod struct {
	kubelet   *Kubelet
	node      vpc.Node
	namespace string
	name      string
	uid       types.UID
	// state is the pod's folder.
	state string

	// life ends when the pod has to end, kindly; hard when there is no time for that.
	life, hard       context.Context
	endLife, endHard context.CancelFunc
	// changed has an entry when the status may have changed.
	changed chan struct{}

	// Set once, before any container starts.
	network *network.Pod
	// namespaceFile is that of the pod's network.
	namespaceFile *os.File
	volumes       map[string]string

	mutex sync.Mutex
	// current is the object as it was last seen.
	current    *corev1.Pod
	containers []*container
	// phase of the set-up.
	setUpDone, initialized bool
	// failure is why the set-up does not succeed.
	failure    error
	conditions map[corev1.PodConditionType]corev1.PodCondition
	startTime  metav1.Time
}

func newPod(kubelet *Kubelet, node vpc.Node, object *corev1.Pod) *pod {
	p := &pod{
		kubelet: kubelet, node: node, namespace: object.Namespace, name: object.Name, uid: object.UID,
		state:      filepath.Join(kubelet.options.State, string(object.UID)),
		changed:    make(chan struct{}, 1),
		current:    object,
		conditions: make(map[corev1.PodConditionType]corev1.PodCondition),
		startTime:  metav1.Now(),
	}
	p.hard, p.endHard = context.WithCancel(kubelet.running)
	p.life, p.endLife = context.WithCancel(p.hard)
	for i := range object.Spec.InitContainers {
		p.containers = append(p.containers, newContainer(p, &object.Spec.InitContainers[i], true))
	}
	for i := range object.Spec.Containers {
		p.containers = append(p.containers, newContainer(p, &object.Spec.Containers[i], false))
	}
	if object.DeletionTimestamp != nil {
		p.endLife()
	}
	return p
}

// update takes note of the object as it now is.
func (p *pod) update(object *corev1.Pod) {
	p.mutex.Lock()
	p.current = object
	p.mutex.Unlock()
	if object.DeletionTimestamp != nil {
		p.endLife()
	}
	p.wake()
}

// remove takes note that the object is gone.
func (p *pod) remove() {
	p.endHard()
}

func (p *pod) object() *corev1.Pod {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.current
}

// wake has the status looked at.
func (p *pod) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// run is the whole life of the pod: its network and volumes, its init containers one after the other, its
// containers side by side, and when it has to end, their ends and that of the object.
func (p *pod) run() {
	defer p.endHard()
	var reporting sync.WaitGroup
	finished := make(chan struct{})
	reporting.Go(func() { p.report(finished) })
	p.wake()
	if p.setUp() {
		p.runContainers()
	}
	// A pod whose containers are all done stays until somebody deletes it.
	p.wake()
	<-p.life.Done()
	close(finished)
	reporting.Wait()
	p.tearDown()
	p.deleteObject()
}

// setUp makes the network and the volumes, however often that takes; false when the pod has to end before.
func (p *pod) setUp() bool {
	for {
		err := p.trySetUp()
		p.mutex.Lock()
		p.setUpDone, p.failure = err == nil, err
		p.mutex.Unlock()
		if err == nil {
			return p.life.Err() == nil
		}
		if p.life.Err() != nil {
			return false
		}
		p.event(corev1.EventTypeWarning, "FailedMount", "%v", err)
		p.wake()
		if !sleep(p.life, retryDelay) {
			return false
		}
	}
}

func (p *pod) trySetUp() error {
	if err := os.MkdirAll(filepath.Join(p.state, "root"), 0o755); err != nil {
		return fmt.Errorf("cannot make the pod's folder: %w", err)
	}
	var err error
	switch {
	case p.namespaceFile != nil:
	case p.object().Spec.HostNetwork:
		p.namespaceFile, err = os.Open("/proc/thread-self/ns/net")
	default:
		if p.network, err = p.kubelet.options.Network.NewPod(p.node.Zone); err == nil {
			p.namespaceFile = p.network.Namespace
		}
	}
	if err != nil {
		return err
	}
	p.volumes, err = p.makeVolumes(p.life)
	return err
}

// runContainers runs them and returns when all have ended for good.
func (p *pod) runContainers() {
	// Containers that stand by the others from the first init container to the end.
	sidecars, endSidecars := context.WithCancel(p.life)
	defer endSidecars()
	var all, main sync.WaitGroup
	defer all.Wait()
	for _, c := range p.containers {
		if !c.init {
			continue
		}
		if c.sidecar() {
			all.Go(func() { c.run(sidecars) })
			if !c.waitStarted(p.life) {
				return
			}
			continue
		}
		c.run(p.life)
		p.mutex.Lock()
		done := c.succeeded()
		p.mutex.Unlock()
		if p.life.Err() != nil || !done {
			endSidecars()
			return
		}
	}
	p.mutex.Lock()
	p.initialized = true
	p.mutex.Unlock()
	p.wake()
	for _, c := range p.containers {
		if !c.init {
			main.Go(func() { c.run(p.life) })
		}
	}
	main.Wait()
	endSidecars()
}

// tearDown takes back what the pod had of the machine.
func (p *pod) tearDown() {
	if p.network != nil {
		if err := p.network.Close(); err != nil {
			p.event(corev1.EventTypeWarning, "FailedKillPod", "%v", err)
		}
	} else if p.namespaceFile != nil {
		_ = p.namespaceFile.Close()
	}
	// In memory, in a folder that goes with the cluster.
	_ = os.RemoveAll(p.state)
}

// deleteObject removes the object of a pod that has ended, as only its kubelet may.
func (p *pod) deleteObject() {
	now := int64(0)
	options := metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.uid}}
	for p.hard.Err() == nil {
		err := p.kubelet.client.CoreV1().Pods(p.namespace).Delete(p.hard, p.name, options)
		if err == nil || errors.IsNotFound(err) || errors.IsConflict(err) {
			return
		}
		sleep(p.hard, retryDelay)
	}
}

// address of the pod; not valid before it has one.
func (p *pod) address() netip.Addr {
	switch {
	case p.network != nil:
		return p.network.Address
	case p.namespaceFile != nil:
		return p.node.Address
	default:
		return netip.Addr{}
	}
}

// graceSeconds is how long the containers have to end.
func (p *pod) graceSeconds() int64 {
	object := p.object()
	switch {
	case object.DeletionGracePeriodSeconds != nil:
		return *object.DeletionGracePeriodSeconds
	case object.Spec.TerminationGracePeriodSeconds != nil:
		return *object.Spec.TerminationGracePeriodSeconds
	default:
		return corev1.DefaultTerminationGracePeriodSeconds
	}
}

// etc are the files of /etc that differ from pod to pod.
func (p *pod) etc() map[string]string {
	object := p.object()
	name := hostname(object)
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1\tlocalhost\n")
	fmt.Fprintf(&hosts, "%s\t%s\n", p.address(), name)
	for _, alias := range object.Spec.HostAliases {
		fmt.Fprintf(&hosts, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
	}
	return map[string]string{
		"hosts":         hosts.String(),
		"hostname":      name + "\n",
		"resolv.conf":   fmt.Sprintf("search %s.svc.cluster.local svc.cluster.local cluster.local\nnameserver %s\noptions ndots:5\n", p.namespace, p.kubelet.options.Resolver),
		"passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
		"group":         "root:x:0:\nnogroup:x:65534:\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	}
}

func hostname(object *corev1.Pod) string {
	if object.Spec.Hostname != "" {
		return object.Spec.Hostname
	}
	return object.Name
}

// event tells those who look at the pod what happened.
func (p *pod) event(kind, reason, format string, args ...any) {
	if p.hard.Err() == nil {
		p.kubelet.events.Eventf(p.object(), kind, reason, format, args...)
	}
}
