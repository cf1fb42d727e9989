package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// createArticle creates the ALB of examples/ and gives AWS's share of it.
func (b *bench) createArticle(ctx context.Context) ([]Call, error) {
	manifest, err := b.example("alb-http.yaml")
	if err != nil {
		return nil, err
	}
	if err := b.system.Apply(ctx, b.path("e2e/scenarios/testdata/backends.yaml")); err != nil {
		return nil, err
	}
	if _, err := b.system.Kubectl(ctx, "rollout", "status", "-n", "app-ns", "deployment/app", "--timeout=120s"); err != nil {
		return nil, err
	}
	return b.after(ctx, func(ctx context.Context) error {
		if err := b.system.ApplyText(ctx, manifest); err != nil {
			return err
		}
		return b.programmed(ctx, "app-ns", 1)
	})
}

// deleteArticle takes it away again.
func (b *bench) deleteArticle(ctx context.Context) error {
	if _, err := b.system.Kubectl(ctx, "delete", "namespace", "app-ns", "--timeout=180s"); err != nil {
		return err
	}
	if _, err := b.system.Kubectl(ctx, "delete", "gatewayclass", "aws-alb-class", "--timeout=60s"); err != nil {
		return err
	}
	return b.system.Emulator.BecomesEmpty(ctx, patience)
}

// noOps are edits after which all is wanted that was wanted before: the rounds come to nothing.
func (b *bench) noOps(ctx context.Context) ([]Call, error) {
	return b.after(ctx, func(ctx context.Context) error {
		name := gatewayName(0)
		// A port that no route names, and a route's own name for a rule.
		const port = `{"spec":{"ports":[{"name":"http","port":80,"targetPort":8080},{"name":"other","port":81,"targetPort":8081}]}}`
		if _, err := b.system.Kubectl(ctx, "patch", "-n", namespace, "service", service(0, 0), "--patch", port); err != nil {
			return err
		}
		const rule = `[{"op":"add","path":"/spec/rules/0/name","value":"first"}]`
		_, err := b.system.Kubectl(ctx, "patch", "-n", namespace, "httproute", name, "--type=json", "--patch", rule)
		return err
	})
}

// touched are the objects of a Gateway whose metadata is touched.
var touched = []string{
	"gateway/" + gatewayName(0), "httproute/" + gatewayName(0), "service/" + service(0, 0),
	"endpointslice/" + service(0, 0), "targetgroupconfiguration/" + service(0, 0), "loadbalancerconfiguration/" + namespace,
}

// touch changes metadata of objects, one after the other.
func (b *bench) touch(ctx context.Context, objects ...string) ([]Call, error) {
	return b.after(ctx, func(ctx context.Context) error {
		for _, object := range objects {
			b.touches++
			for _, change := range []string{"label", "annotate"} {
				mark := fmt.Sprintf("bench.example.com/touched=%d", b.touches)
				if _, err := b.system.Kubectl(ctx, change, "-n", namespace, "--overwrite", object, mark); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// addRule adds a rule to a Gateway's route. An exact path comes before all prefixes, on both listeners.
func (b *bench) addRule(ctx context.Context, n int) ([]Call, error) {
	b.rules++
	path := fmt.Sprintf("/new-%d", b.rules)
	calls, err := b.after(ctx, func(ctx context.Context) error { return b.addExact(ctx, n, path) })
	if err != nil {
		return nil, err
	}
	if operations(calls)["CreateRule"] != 2 {
		return nil, fmt.Errorf("a new rule on two listeners led to %s", listed(operations(calls)))
	}
	return calls, nil
}

// addExact adds a rule for one path. By the API, as that is faster than by kubectl.
func (b *bench) addExact(ctx context.Context, n int, path string) error {
	name := client.ObjectKey{Namespace: namespace, Name: gatewayName(n)}
	var route gatewayv1.HTTPRoute
	if err := b.system.Client.Get(ctx, name, &route); err != nil {
		return err
	}
	before := route.DeepCopy()
	port := gatewayv1.PortNumber(80)
	kind := gatewayv1.PathMatchExact
	rule := gatewayv1.HTTPRouteRule{
		Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: &kind, Value: &path}}},
	}
	backend := gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(service(n, 0)), Port: &port}
	rule.BackendRefs = []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{BackendObjectReference: backend}}}
	route.Spec.Rules = append(route.Spec.Rules, rule)
	return b.system.Client.Patch(ctx, &route, client.MergeFrom(before))
}

// dropRules leaves a Gateway's route the rules that it always has.
func (b *bench) dropRules(ctx context.Context, n int) error {
	_, err := b.after(ctx, func(ctx context.Context) error {
		name := client.ObjectKey{Namespace: namespace, Name: gatewayName(n)}
		var route gatewayv1.HTTPRoute
		if err := b.system.Client.Get(ctx, name, &route); err != nil {
			return err
		}
		before := route.DeepCopy()
		route.Spec.Rules = route.Spec.Rules[:groupsEach]
		return b.system.Client.Patch(ctx, &route, client.MergeFrom(before))
	})
	return err
}

// move gives a Service other endpoints, and says when the API server was asked and when it had answered.
func (b *bench) move(ctx context.Context, n, group int, to ...string) (asked, answered time.Time, err error) {
	var endpoints []discoveryv1.Endpoint
	node := nodeName()
	for _, address := range to {
		endpoints = append(endpoints, discoveryv1.Endpoint{Addresses: []string{address}, NodeName: &node})
	}
	patch, err := json.Marshal(map[string]any{"endpoints": endpoints})
	if err != nil {
		return asked, answered, err
	}
	slices := b.system.Clientset.DiscoveryV1().EndpointSlices(namespace)
	asked = time.Now()
	_, err = slices.Patch(ctx, service(n, group), types.MergePatchType, patch, metav1.PatchOptions{})
	return asked, time.Now(), err
}

// flips are how often an endpoint comes and goes, in this time.
const (
	flips    = 10
	flipping = 600 * time.Millisecond
)

// flip has an endpoint of a Service come and go.
func (b *bench) flip(ctx context.Context, n, group int) ([]Call, error) {
	return b.after(ctx, func(ctx context.Context) error {
		begin := time.Now()
		for i := range flips {
			to := address(n, group)
			if i%2 == 0 {
				to = otherAddress
			}
			if _, _, err := b.move(ctx, n, group, to); err != nil {
				return err
			}
			next := begin.Add(time.Duration(i+1) * flipping / flips)
			if err := pause(ctx, time.Until(next)); err != nil {
				return err
			}
		}
		return nil
	})
}

// restart stops the controller in good order and starts the next one, and gives that one's calls.
func (b *bench) restart(ctx context.Context) ([]Call, error) {
	if err := b.system.StopController(ctx); err != nil {
		return nil, err
	}
	return b.after(ctx, func(ctx context.Context) error { return b.system.StartController(ctx) })
}
