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

// class is the GatewayClass of the tests' own Gateways.
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

// startShop gives a system with the backends of all tests.
func startShop(t *testing.T, options system.Options) *system.System {
	t.Helper()
	s := start(t, options)
	require.NoError(t, s.Apply(t.Context(), "testdata/backends.yaml"))
	require.NoError(t, s.ApplyText(t.Context(), class))
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
