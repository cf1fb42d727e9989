package main

import (
	"fmt"
	"strings"

	"github.com/elbow-project/elbow/e2e/cluster/kubelet"
	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

const (
	// namespace of the Gateways that are measured.
	namespace = "bench"
	// groupsEach is how many target groups, and rules on each of its two listeners, a Gateway has.
	groupsEach = 5
)

// common is what all Gateways share. Nobody listens at the addresses of its endpoints, so that health checks find
// nobody: what is measured does not wait for health.
func common(certificate string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata:
  name: %[1]s
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: %[1]s
spec:
  controllerName: gateway.k8s.aws/alb
---
apiVersion: gateway.k8s.aws/v1beta1
kind: LoadBalancerConfiguration
metadata:
  name: %[1]s
  namespace: %[1]s
spec:
  scheme: internet-facing
  listenerConfigurations:
    - protocolPort: HTTPS:443
      defaultCertificate: %[2]s
`, namespace, certificate)
}

// gateway is the nth of the Gateways: an ALB of 2 listeners, 10 rules and 5 target groups.
func gateway(n int) string {
	var text strings.Builder
	// In the order in which installers apply kinds: what routes name comes first.
	for group := range groupsEach {
		fmt.Fprintf(&text, `---
apiVersion: v1
kind: Service
metadata:
  name: %[2]s
  namespace: %[1]s
spec:
  ports:
    - name: http
      port: 80
      targetPort: 8080
`, namespace, service(n, group))
		text.WriteString(endpoints(n, group, address(n, group)))
	}
	fmt.Fprintf(&text, `---
apiVersion: gateway.k8s.aws/v1beta1
kind: TargetGroupConfiguration
metadata:
  name: %[3]s
  namespace: %[1]s
spec:
  targetReference:
    name: %[3]s
  defaultConfiguration:
    healthCheckConfig:
      healthCheckPath: /health
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: %[2]s
  namespace: %[1]s
spec:
  gatewayClassName: %[1]s
  infrastructure:
    parametersRef:
      group: gateway.k8s.aws
      kind: LoadBalancerConfiguration
      name: %[1]s
  listeners:
    - name: http
      protocol: HTTP
      port: 80
    - name: https
      protocol: HTTPS
      port: 443
`, namespace, gatewayName(n), service(n, 0))
	text.WriteString(route(n))
	return text.String()
}

// route of the nth Gateway.
func route(n int) string {
	var text strings.Builder
	fmt.Fprintf(&text, `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: %[2]s
  namespace: %[1]s
spec:
  hostnames: [app.example.com]
  parentRefs:
    - name: %[2]s
  rules:
`, namespace, gatewayName(n))
	for group := range groupsEach {
		fmt.Fprintf(&text, `    - matches: [{path: {type: PathPrefix, value: /group-%d}}]
      backendRefs: [{name: %s, port: 80}]
`, group, service(n, group))
	}
	return text.String()
}

// endpoints of a Service, with one address.
func endpoints(n, group int, address string) string {
	return fmt.Sprintf(`---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: %[2]s
  namespace: %[1]s
  labels:
    kubernetes.io/service-name: %[2]s
addressType: IPv4
ports:
  - name: http
    port: 8080
    protocol: TCP
endpoints:
  - addresses: [%[3]s]
    nodeName: %[4]s
    conditions: {ready: true}
`, namespace, service(n, group), address, nodeName())
}

func gatewayName(n int) string { return fmt.Sprintf("gateway-%d", n) }

func service(n, group int) string { return fmt.Sprintf("gateway-%d-%d", n, group) }

// world is the one that every cluster begins with.
var world = vpc.New()

// nodeName is that of the node whose network interface has the addresses of all endpoints.
func nodeName() string { return kubelet.NodeName(world.Region, world.Nodes[0]) }

// address of the one endpoint of a Service: on the node, as a pod's, which is why its security group has to let
// the load balancers in; at the end of the range, where pods do not come that really run.
func address(n, group int) string { return fromLast(1 + n*groupsEach + group) }

// otherAddress is one that no Service has at first.
var otherAddress = fromLast(0)

// fromLast is the address so many before the last one of pods on the node.
func fromLast(n int) string {
	_, last := world.PodRange(world.Nodes[0].Zone)
	for range n {
		last = last.Prev()
	}
	return last.String()
}

// latePrefix begins the names of Gateways whose load balancers take their time.
const latePrefix = "late"

func lateName(n int) string { return fmt.Sprintf("%s%d", latePrefix, n) }

// lateGateway is the nth of them, with one rule.
func lateGateway(n int) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: %[2]s
  namespace: %[1]s
  labels: {bench.example.com/late: "true"}
spec:
  gatewayClassName: %[1]s
  listeners:
    - name: http
      protocol: HTTP
      port: 80
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: %[2]s
  namespace: %[1]s
  labels: {bench.example.com/late: "true"}
spec:
  parentRefs:
    - name: %[2]s
  rules:
    - backendRefs: [{name: %[3]s, port: 80}]
`, namespace, lateName(n), service(0, 0))
}
