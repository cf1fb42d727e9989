package scenarios

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"

	"github.com/elbow-project/elbow/e2e/system"
)

// classes are the GatewayClasses of the tests' own Gateways.
const classes = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: nlb
spec:
  controllerName: gateway.k8s.aws/nlb
---` + class

// class is the GatewayClass of those with an ALB.
const class = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: alb
spec:
  controllerName: gateway.k8s.aws/alb
`

// shop is a Gateway with a listener for HTTP, and a route for each path.
func shop(name string, paths ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: %[1]s
  namespace: app-ns
spec:
  gatewayClassName: alb
  listeners:
    - name: http
      protocol: HTTP
      port: 80
`, name)
	for _, path := range paths {
		text.WriteString("---\n" + route(name, path))
	}
	return text.String()
}

// route sends a path of a Gateway to the backend of all tests.
func route(gateway, path string) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: %[1]s-%[2]s
  namespace: app-ns
spec:
  parentRefs:
    - name: %[1]s
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: /%[2]s
      backendRefs:
        - name: app-service
          port: 8080
`, gateway, path)
}

// harbour is a Gateway with a TCP listener on each port, and a route from each of them.
func harbour(name string, ports ...int) string {
	var listeners, routes strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&listeners, "    - {name: p%[1]d, protocol: TCP, port: %[1]d}\n", port)
		fmt.Fprintf(&routes, `---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata:
  name: %[1]s-%[2]d
  namespace: app-ns
spec:
  parentRefs:
    - {name: %[1]s, sectionName: p%[2]d}
  rules:
    - backendRefs:
        - {name: my-tcp-service, port: 9000}
`, name, port)
	}
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: %s
  namespace: app-ns
spec:
  gatewayClassName: nlb
  listeners:
%s%s`, name, listeners.String(), routes.String())
}

// echoes waits until a port of a Gateway is answered by a pod.
func echoes(t *testing.T, s *system.System, gateway string, port int) {
	t.Helper()
	host := address(t, s, types.NamespacedName{Namespace: "app-ns", Name: gateway})
	eventually(t, fmt.Sprintf("an answer on port %d", port), func(ctx context.Context) error {
		return echo(ctx, fmt.Sprintf("%s:%d", host, port))
	})
}

// startShop gives a system with the backends of all tests.
func startShop(t *testing.T, options system.Options) *system.System {
	t.Helper()
	s := start(t, options)
	require.NoError(t, s.Apply(t.Context(), "testdata/backends.yaml"))
	require.NoError(t, s.ApplyText(t.Context(), classes))
	return s
}

// answers waits until a path of a Gateway is answered by a pod.
func answers(t *testing.T, s *system.System, gateway, path string) {
	t.Helper()
	host := address(t, s, types.NamespacedName{Namespace: "app-ns", Name: gateway})
	eventually(t, "an answer to /"+path, func(ctx context.Context) error {
		_, err := get(ctx, http.DefaultClient, "http://"+host+"/"+path)
		return err
	})
}
