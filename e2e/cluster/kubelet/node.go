package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

const (
	// leaseSeconds and leasePeriod are those of the real kubelet.
	leaseSeconds = 40
	leasePeriod  = 10 * time.Second
	// podsPerNode is more than tests want, as no pod here takes much.
	podsPerNode = "250"
)

// NodeName is the name that EKS would give a node in region.
func NodeName(region string, node vpc.Node) string {
	return "ip-" + strings.ReplaceAll(node.Address.String(), ".", "-") + "." + region + ".compute.internal"
}

// AddNode registers a node and keeps it alive.
func (k *Kubelet) AddNode(ctx context.Context, node vpc.Node) error {
	name := NodeName(k.options.Region, node)
	// First of all, as a pod can be bound to the node as soon as there is one.
	k.mutex.Lock()
	k.nodes[name] = node
	k.mutex.Unlock()
	object := k.nodeObject(name, node)
	created, err := k.client.CoreV1().Nodes().Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot register the node %s: %w", name, err)
	}
	// A patch, as controllers write to the node as soon as it is there.
	patch, err := json.Marshal(map[string]any{"status": object.Status})
	if err != nil {
		return err
	}
	if _, err := k.client.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("cannot write the status of the node %s: %w", name, err)
	}
	lease, err := k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(ctx, newLease(created), metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("cannot take the lease of the node %s: %w", name, err)
	}
	if err := k.serveLogs(node); err != nil {
		return err
	}
	k.options.OnNode(name, node)
	k.work.Go(func() { k.keepLease(lease) })
	return nil
}

// keepLease tells the cluster every few seconds that the node lives.
func (k *Kubelet) keepLease(lease *coordinationv1.Lease) {
	leases := k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	for sleep(k.running, leasePeriod) {
		now := metav1.NowMicro()
		lease.Spec.RenewTime = &now
		if updated, err := leases.Update(k.running, lease, metav1.UpdateOptions{}); err == nil {
			lease = updated
		} else if current, err := leases.Get(k.running, lease.Name, metav1.GetOptions{}); err == nil {
			// Otherwise the API server is away, and the next time it may be back.
			lease = current
		}
	}
}

func newLease(node *corev1.Node) *coordinationv1.Lease {
	seconds, now := int32(leaseSeconds), metav1.NowMicro()
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name,
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID},
			},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &node.Name, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
}

// nodeObject describes the node as the kubelet and AWS's cloud controller would.
func (k *Kubelet) nodeObject(name string, node vpc.Node) *corev1.Node {
	now := metav1.Now()
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	resources := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("16"),
		corev1.ResourceMemory:           resource.MustParse("64Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
		corev1.ResourcePods:             resource.MustParse(podsPerNode),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				corev1.LabelHostname:           name,
				corev1.LabelTopologyZone:       node.Zone,
				corev1.LabelTopologyRegion:     k.options.Region,
				corev1.LabelInstanceTypeStable: "m7i.4xlarge",
				corev1.LabelOSStable:           "linux",
				corev1.LabelArchStable:         architecture(),
			},
		},
		Spec: corev1.NodeSpec{ProviderID: "aws:///" + node.Zone + "/" + node.InstanceID},
		Status: corev1.NodeStatus{
			Capacity:    resources,
			Allocatable: resources,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: node.Address.String()},
				{Type: corev1.NodeInternalDNS, Address: name},
				{Type: corev1.NodeHostName, Address: name},
			},
			Conditions: []corev1.NodeCondition{
				condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady"),
				condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory"),
				condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure"),
				condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID"),
			},
			NodeInfo: corev1.NodeSystemInfo{
				KubeletVersion: k.version, OperatingSystem: "linux", Architecture: architecture(),
				OSImage: "processes in namespaces", ContainerRuntimeVersion: "elbow-e2e://1",
			},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: logsPort}},
		},
	}
}
