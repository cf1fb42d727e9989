package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/elbow-project/elbow/e2e/system"
)

// front is an NLB in front of the ALB of a Gateway.
const front = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: front
  namespace: app-ns
spec:
  gatewayClassName: nlb
  listeners:
    - {name: tcp, protocol: TCP, port: 80}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata:
  name: front
  namespace: app-ns
spec:
  parentRefs: [{name: front}]
  rules:
    - backendRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: behind, port: 80}]
`

// TestChain makes an NLB before the ALB that is its target, asks it, gives it another ALB, and deletes the ALB first,
// which AWS refuses while it is a target.
func TestChain(t *testing.T) {
	s := startShop(t, system.Options{})
	ctx := t.Context()
	require.NoError(t, s.ApplyText(ctx, front))
	require.NoError(t, s.ApplyText(ctx, shop("behind", "first")))
	answers(t, s, "front", "first")

	require.NoError(t, s.ApplyText(ctx, shop("other", "second")))
	const toOther = `{"spec":{"rules":[{"backendRefs":[
		{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"other","port":80}]}]}}`
	_, err := s.Kubectl(ctx, "patch", "-n", "app-ns", "tcproute", "front", "--type=merge", "--patch", toOther)
	require.NoError(t, err)
	answers(t, s, "front", "second")

	_, err = s.Kubectl(ctx, "delete", "-n", "app-ns", "gateway/behind", "gateway/other", "--wait=false")
	require.NoError(t, err)
	_, err = s.Kubectl(ctx, "delete", "-n", "app-ns", "gateway,httproute,tcproute", "--all", "--timeout=90s")
	require.NoError(t, err)
	require.NoError(t, s.Emulator.BecomesEmpty(ctx, settled))
}
