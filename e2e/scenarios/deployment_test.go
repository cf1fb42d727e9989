package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
	"github.com/elbow-project/elbow/e2e/system"
)

// TestDeployment runs elbow as deploy/ has it: two pods, with the flags, settings, probes, certificate and role
// that users apply by an overlay.
func TestDeployment(t *testing.T) {
	images, err := system.Image()
	require.NoError(t, err)
	s := startIn(t, testcluster.Options{Images: images}, system.Options{})
	ctx := t.Context()
	require.NoError(t, s.Apply(ctx, "testdata/backends.yaml"))
	require.NoError(t, s.ApplyText(ctx, class))
	require.NoError(t, s.Deploy(ctx))
	// From here on, the pods are all there is.
	require.NoError(t, s.StopController(ctx))

	require.NoError(t, s.ApplyText(ctx, shop("shop", "a")))
	answers(t, s, "shop", "a")
	_, err = s.Kubectl(ctx, "label", "namespace", "app-ns", "elbv2.k8s.aws/pod-readiness-gate-inject=enabled")
	require.NoError(t, err)
	_, err = s.Kubectl(ctx, "rollout", "restart", "-n", "app-ns", "deployment/app")
	require.NoError(t, err)
	_, err = s.Kubectl(ctx, "rollout", "status", "-n", "app-ns", "deployment/app", "--timeout=90s")
	require.NoError(t, err)
	pods, err := s.Clientset.CoreV1().Pods("app-ns").List(ctx, metav1.ListOptions{LabelSelector: "app=app"})
	require.NoError(t, err)
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil {
			require.NotEmptyf(t, pod.Spec.ReadinessGates, "the webhook has answered for %s", pod.Name)
		}
	}

	leader := holder(t, s)
	_, err = s.Kubectl(ctx, "delete", "pod", "-n", system.Namespace, leader)
	require.NoError(t, err)
	require.NoError(t, s.ApplyText(ctx, shop("shop", "a", "b")))
	answers(t, s, "shop", "b")
	require.NotEqual(t, leader, holder(t, s))

	_, err = s.Kubectl(ctx, "delete", "gateway", "--all", "--all-namespaces", "--timeout=60s")
	require.NoError(t, err)
	require.NoError(t, s.Emulator.BecomesEmpty(ctx, settled))
}

// holder is the pod that leads.
func holder(t *testing.T, s *system.System) string {
	t.Helper()
	const name = "aws-load-balancer-controller-leader"
	var pod string
	eventually(t, "a pod that leads", func(ctx context.Context) error {
		lease, err := s.Clientset.CoordinationV1().Leases(system.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || !strings.HasPrefix(*lease.Spec.HolderIdentity, "elbow-") {
			return fmt.Errorf("no pod has the lease %s", name)
		}
		pod, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_")
		return nil
	})
	return pod
}
