package controlplane

import (
	"fmt"
	"strings"
)

const (
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
	// KubeletUser is the user as whom the kubelet, and what stands for kube-proxy, come.
	KubeletUser = "system:elbow-e2e-nodes"
)

// auditPolicy has each request in the log once, when it is answered: who, what, and whether it was
// allowed. The cluster's own parts are left out, as nobody asks what they did.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver", "` + controllerManagerUser + `", "` + schedulerUser + `", "` + KubeletUser + `", "elbow-e2e-probe"]
- level: Metadata
  omitManagedFields: true
`

// schedulerConfiguration leaves out the election, and tries again soon what did not fit: here nobody
// pays for a scheduler that looks often.
const schedulerConfiguration = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: "%s", qps: 500, burst: 1000}
podMaxBackoffSeconds: 2
`

// controllers that tests see the work of. The others would only take time and memory.
func controllers() []string {
	return []string{
		"clusterrole-aggregation-controller", "cronjob-controller", "daemonset-controller", "deployment-controller",
		"disruption-controller", "endpointslice-controller", "endpointslice-mirroring-controller", "endpoints-controller",
		"garbage-collector-controller", "job-controller", "namespace-controller", "node-lifecycle-controller",
		"pod-garbage-collector-controller", "replicaset-controller", "root-ca-certificate-publisher-controller",
		"serviceaccount-controller", "statefulset-controller", "taint-eviction-controller", "ttl-after-finished-controller",
	}
}

func (p *ControlPlane) etcdArgs() []string {
	return []string{
		"--data-dir=" + p.file("etcd"),
		"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
		"--log-level=warn",
		// The data is gone with the cluster, so nothing is won by waiting for a disk.
		"--unsafe-no-fsync",
	}
}

func (p *ControlPlane) apiServerArgs() []string {
	return []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=0.0.0.0", fmt.Sprintf("--secure-port=%d", apiPort),
		"--advertise-address=" + p.options.Address.String(),
		"--tls-cert-file=" + p.file("serving.crt"), "--tls-private-key-file=" + p.file("serving.key"),
		"--client-ca-file=" + p.file("ca.crt"),
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=" + p.options.ServiceCIDR.String(),
		"--service-account-issuer=" + serviceAccountIssuer,
		"--service-account-key-file=" + p.file("tokens.crt"), "--service-account-signing-key-file=" + p.file("tokens.key"),
		"--kubelet-client-certificate=" + p.file("kubelet-client.crt"), "--kubelet-client-key=" + p.file("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--audit-policy-file=" + p.file("audit-policy.yaml"), "--audit-log-path=" + p.AuditLog(),
		// In MiB: never begun anew in the course of a run, whose whole log is wanted.
		"--audit-log-maxsize=4096",
		// Pods with any settings: they are ours.
		"--allow-privileged=true",
		"--profiling=false",
	}
}

func (p *ControlPlane) controllerManagerArgs() []string {
	return []string{
		"--kubeconfig=" + p.file(controllerManagerUser+".kubeconfig"),
		"--controllers=" + strings.Join(controllers(), ","),
		"--leader-elect=false",
		// No port: nobody asks it for metrics.
		"--secure-port=0",
		"--root-ca-file=" + p.file("ca.crt"), "--service-account-private-key-file=" + p.file("tokens.key"),
		// Without its usual restraint, which spares a control plane that many share.
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--concurrent-namespace-syncs=20", "--concurrent-gc-syncs=20", "--concurrent-deployment-syncs=10",
		"--concurrent-replicaset-syncs=10", "--concurrent-service-endpoint-syncs=10",
	}
}

func (p *ControlPlane) schedulerArgs() []string {
	return []string{"--config=" + p.file("scheduler.yaml"), "--secure-port=0"}
}
