package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/elbow-project/elbow/e2e/system"
)

// TestBadInput applies what is wrong beside what is right: the one is told where it is wrong, the other
// works all the while.
func TestBadInput(t *testing.T) {
	s := startShop(t, system.Options{})
	ctx := t.Context()
	require.NoError(t, s.ApplyText(ctx, shop("good", "a")))
	answers(t, s, "good", "a")

	t.Run("a route with a filter that an ALB has not", func(t *testing.T) {
		bad := strings.Replace(route("good", "mirrored"), "      backendRefs:", `      filters:
        - type: RequestMirror
          requestMirror:
            backendRef:
              name: app-service
              port: 8080
      backendRefs:`, 1)
		require.NoError(t, s.ApplyText(ctx, bad))
		routeCondition(t, s, "good-mirrored", "Accepted", metav1.ConditionFalse, "")
	})
	t.Run("a route to a Service that is not there", func(t *testing.T) {
		bad := strings.ReplaceAll(route("good", "nowhere"), "app-service", "no-such-service")
		require.NoError(t, s.ApplyText(ctx, bad))
		routeCondition(t, s, "good-nowhere", "ResolvedRefs", metav1.ConditionFalse, "BackendNotFound")
	})
	t.Run("a Gateway of 64 listeners with one in conflict", func(t *testing.T) {
		var text strings.Builder
		text.WriteString(shop("wide"))
		for i := range 62 {
			fmt.Fprintf(&text, "    - {name: p%[1]d, protocol: HTTP, port: %[1]d}\n", 8000+i)
		}
		text.WriteString("    - {name: conflict, protocol: TLS, port: 80, tls: {mode: Passthrough}}\n")
		require.NoError(t, s.ApplyText(ctx, text.String()))
		eventually(t, "one listener in conflict and the others accepted", func(ctx context.Context) error {
			var gateway gatewayv1.Gateway
			if err := s.Client.Get(ctx, types.NamespacedName{Namespace: "app-ns", Name: "wide"}, &gateway); err != nil {
				return err
			}
			refused := 0
			for _, listener := range gateway.Status.Listeners {
				if condition(listener.Conditions, "Accepted", metav1.ConditionFalse) == nil {
					refused++
				}
			}
			if len(gateway.Status.Listeners) != 64 || refused == 0 {
				return fmt.Errorf("%d listeners have a status, %d are refused", len(gateway.Status.Listeners), refused)
			}
			return nil
		})
	})
	t.Run("a Secret that is no certificate", func(t *testing.T) {
		bad := shop("insecure", "a")
		bad = strings.Replace(bad, "---", `    - name: https
      protocol: HTTPS
      port: 443
      tls:
        certificateRefs:
          - name: malformed
---`, 1) + `---
apiVersion: v1
kind: Secret
metadata:
  name: malformed
  namespace: app-ns
type: kubernetes.io/tls
stringData:
  tls.crt: this is no certificate
  tls.key: this is no key
`
		require.NoError(t, s.ApplyText(ctx, bad))
		eventually(t, "the listener is refused", func(ctx context.Context) error {
			var gateway gatewayv1.Gateway
			if err := s.Client.Get(ctx, types.NamespacedName{Namespace: "app-ns", Name: "insecure"}, &gateway); err != nil {
				return err
			}
			for _, listener := range gateway.Status.Listeners {
				if listener.Name == "https" {
					return because(listener.Conditions, "ResolvedRefs", metav1.ConditionFalse, "InvalidCertificateRef")
				}
			}
			return errors.New("the listener has no status")
		})
		answers(t, s, "insecure", "a")
	})
	t.Run("a class whose parameters are not there", func(t *testing.T) {
		bad := strings.Replace(class, "name: alb", "name: bad", 1) + `  parametersRef:
    group: gateway.k8s.aws
    kind: LoadBalancerConfiguration
    name: no-such-configuration
    namespace: app-ns
`
		require.NoError(t, s.ApplyText(ctx, bad))
		eventually(t, "the class is refused", func(ctx context.Context) error {
			var refused gatewayv1.GatewayClass
			if err := s.Client.Get(ctx, types.NamespacedName{Name: "bad"}, &refused); err != nil {
				return err
			}
			return condition(refused.Status.Conditions, "Accepted", metav1.ConditionFalse)
		})
	})
	t.Run("an action that is denied", func(t *testing.T) {
		require.NoError(t, s.Emulator.Disturb(ctx, system.Fault{Operation: "CreateLoadBalancer", Effect: system.Deny}))
		require.NoError(t, s.ApplyText(ctx, shop("denied", "a")))
		eventually(t, "an event that names the action", func(ctx context.Context) error {
			return event(ctx, s, "denied", "elasticloadbalancing:CreateLoadBalancer")
		})
		require.NoError(t, s.Emulator.Calm(ctx))
		answers(t, s, "denied", "a")
	})
	t.Run("a quota that is used up", func(t *testing.T) {
		found, err := s.Emulator.Inventory(ctx)
		require.NoError(t, err)
		require.NoError(t, s.Emulator.Limit(ctx, map[string]int{"applicationLoadBalancers": len(found.LoadBalancers)}))
		require.NoError(t, s.ApplyText(ctx, shop("crowded", "a")))
		eventually(t, "an event that names the quota", func(ctx context.Context) error {
			return event(ctx, s, "crowded", "Application Load Balancers")
		})
		require.NoError(t, s.Emulator.Calm(ctx))
		answers(t, s, "crowded", "a")
	})
	t.Run("a configuration that is not there, while all pods are replaced", func(t *testing.T) {
		require.NoError(t, s.ApplyText(ctx, shop("lost", "a")))
		answers(t, s, "lost", "a")
		const reference = `{"spec":{"infrastructure":{"parametersRef":{"group":"gateway.k8s.aws","kind":"LoadBalancerConfiguration","name":"no-such-configuration"}}}}`
		_, err := s.Kubectl(ctx, "patch", "-n", "app-ns", "gateway", "lost", "--type=merge", "-p", reference)
		require.NoError(t, err)
		eventually(t, "the Gateway is refused", func(ctx context.Context) error {
			var gateway gatewayv1.Gateway
			if err := s.Client.Get(ctx, types.NamespacedName{Namespace: "app-ns", Name: "lost"}, &gateway); err != nil {
				return err
			}
			return because(gateway.Status.Conditions, "Accepted", metav1.ConditionFalse, "InvalidParameters")
		})
		replacePods(t, s)
		answers(t, s, "lost", "a")
	})

	answers(t, s, "good", "a")
}

// replacePods replaces the pods behind all Gateways, and waits until none of the old ones is left.
func replacePods(t *testing.T, s *system.System) {
	t.Helper()
	pods := func(ctx context.Context) (map[types.UID]bool, error) {
		found, err := s.Clientset.CoreV1().Pods("app-ns").List(ctx, metav1.ListOptions{LabelSelector: "app=app"})
		if err != nil {
			return nil, err
		}
		uids := map[types.UID]bool{}
		for _, pod := range found.Items {
			uids[pod.UID] = true
		}
		return uids, nil
	}
	before, err := pods(t.Context())
	require.NoError(t, err)
	_, err = s.Kubectl(t.Context(), "rollout", "restart", "-n", "app-ns", "deployment/app")
	require.NoError(t, err)
	_, err = s.Kubectl(t.Context(), "rollout", "status", "-n", "app-ns", "deployment/app", "--timeout=120s")
	require.NoError(t, err)
	eventually(t, "the old pods to be gone", func(ctx context.Context) error {
		left, err := pods(ctx)
		if err != nil {
			return err
		}
		for uid := range left {
			if before[uid] {
				return fmt.Errorf("the pod %s is still there", uid)
			}
		}
		return nil
	})
}

// routeCondition waits for a condition of a route at its one parent; any reason is good if none is given.
func routeCondition(t *testing.T, s *system.System, name, kind string, want metav1.ConditionStatus, reason string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s of %s to be %s", kind, name, want), func(ctx context.Context) error {
		var found gatewayv1.HTTPRoute
		if err := s.Client.Get(ctx, types.NamespacedName{Namespace: "app-ns", Name: name}, &found); err != nil {
			return err
		}
		if len(found.Status.Parents) != 1 {
			return fmt.Errorf("it has the status of %d parents", len(found.Status.Parents))
		}
		return because(found.Status.Parents[0].Conditions, kind, want, reason)
	})
}

// because complains when a condition is not as wanted; any reason is good if none is given.
func because(conditions []metav1.Condition, kind string, want metav1.ConditionStatus, reason string) error {
	if err := condition(conditions, kind, want); err != nil {
		return err
	}
	for _, c := range conditions {
		if c.Type == kind && reason != "" && c.Reason != reason {
			return fmt.Errorf("the reason is %s: %s", c.Reason, c.Message)
		}
	}
	return nil
}

// event complains unless there is an event of a Gateway that has this text.
func event(ctx context.Context, s *system.System, gateway, text string) error {
	events, err := s.Clientset.CoreV1().Events("app-ns").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var messages []string
	for _, e := range events.Items {
		if e.InvolvedObject.Kind == "Gateway" && e.InvolvedObject.Name == gateway {
			if strings.Contains(e.Message, text) {
				return nil
			}
			messages = append(messages, e.Message)
		}
	}
	return fmt.Errorf("no event of %s has %q: %q", gateway, text, messages)
}
