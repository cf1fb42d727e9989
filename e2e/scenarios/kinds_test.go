package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/elbow-project/elbow/e2e/system"
)

// kinds are objects of kinds of which the conformance suite has no tests that apply to an ALB.
const kinds = `
apiVersion: gateway.k8s.aws/v1beta1
kind: LoadBalancerConfiguration
metadata:
  name: kinds
  namespace: app-ns
spec:
  listenerConfigurations:
    - protocolPort: HTTPS:443
      defaultCertificate: CERTIFICATE
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: kinds
  namespace: app-ns
spec:
  gatewayClassName: alb
  infrastructure:
    parametersRef: {group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: kinds}
  listeners:
    - {name: https, protocol: HTTPS, port: 443}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  name: grpc
  namespace: app-ns
spec:
  parentRefs: [{name: kinds}]
  rules:
    - matches: [{method: {service: echo.Echo}}]
      backendRefs: [{name: app-service, port: 8080}]
---
apiVersion: gateway.k8s.aws/v1beta1
kind: ListenerRuleConfiguration
metadata:
  name: sticky
  namespace: app-ns
spec:
  actions:
    - type: forward
      forwardConfig: {targetGroupStickinessConfig: {enabled: true, durationSeconds: 60}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: sticky
  namespace: app-ns
spec:
  parentRefs: [{name: kinds}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /sticky}}]
      filters:
        - type: ExtensionRef
          extensionRef: {group: gateway.k8s.aws, kind: ListenerRuleConfiguration, name: sticky}
      backendRefs: [{name: app-service, port: 8080}]
`

// TestKinds applies them, and looks at what each is told; and at AWS when they are gone.
func TestKinds(t *testing.T) {
	s := startShop(t, system.Options{})
	ctx := t.Context()
	require.NoError(t, s.ApplyText(ctx, strings.ReplaceAll(kinds, "CERTIFICATE", s.Emulator.Certificate)))
	eventually(t, "the GRPCRoute to be accepted", func(ctx context.Context) error {
		var route gatewayv1.GRPCRoute
		if err := s.Client.Get(ctx, types.NamespacedName{Namespace: "app-ns", Name: "grpc"}, &route); err != nil {
			return err
		}
		if len(route.Status.Parents) != 1 {
			return fmt.Errorf("it has the status of %d parents", len(route.Status.Parents))
		}
		return condition(route.Status.Parents[0].Conditions, "Accepted", "True")
	})
	routeCondition(t, s, "sticky", "Accepted", "True", "")
	eventually(t, "the ListenerRuleConfiguration to be accepted", func(ctx context.Context) error {
		accepted, err := s.Kubectl(ctx, "get", "-n", "app-ns", "listenerruleconfiguration/sticky", "-o=jsonpath={.status.accepted}")
		if err == nil && accepted != "true" {
			err = fmt.Errorf("status.accepted is %q", accepted)
		}
		return err
	})
	address(t, s, types.NamespacedName{Namespace: "app-ns", Name: "kinds"})

	_, err := s.Kubectl(ctx, "delete", "-n", "app-ns", "gateway,grpcroute,httproute,loadbalancerconfiguration,listenerruleconfiguration", "--all", "--timeout=90s")
	require.NoError(t, err)
	require.NoError(t, s.Emulator.BecomesEmpty(ctx, settled))
}
