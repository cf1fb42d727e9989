package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/elbow-project/elbow/e2e/cluster/programs"
	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
	"github.com/elbow-project/elbow/e2e/system"
)

// soon is how long AWS takes for what is not measured: its waits are not elbow's. All else runs at AWS's
// speed, so that no time has to be scaled.
const soon = 500 * time.Millisecond

// bench is a cluster with elbow in it.
type bench struct {
	cluster *testcluster.Cluster
	system  *system.System
	// touches and rules make each change another one.
	touches, rules int
}

// start starts all parts. What has started is ended by stop, also after an error.
func start(ctx context.Context) (*bench, error) {
	cluster, err := testcluster.Up(ctx, testcluster.Options{})
	if err != nil {
		return nil, err
	}
	b := &bench{cluster: cluster}
	if b.system, err = system.Start(ctx, cluster, system.Options{Speed: 1}); err != nil {
		return b, err
	}
	return b, b.provisioningTakes(ctx, soon)
}

// provisioningTakes says how long AWS takes to set up a load balancer.
func (b *bench) provisioningTakes(ctx context.Context, time time.Duration) error {
	return b.system.Emulator.Take(ctx, map[string]int{
		"applicationLoadBalancerProvisioningMs": int(time.Milliseconds()), "eniReleaseMs": int(soon.Milliseconds()),
	})
}

func (b *bench) stop() {
	if b == nil {
		return
	}
	if b.system != nil {
		b.system.Close()
	}
	b.cluster.Down()
}

// create creates Gateways, all at once, and waits until all are programmed.
func (b *bench) create(ctx context.Context, gateways int) error {
	if err := b.system.ApplyText(ctx, common(b.system.Emulator.Certificate)); err != nil {
		return err
	}
	var text strings.Builder
	for n := range gateways {
		text.WriteString(gateway(n))
	}
	if err := b.system.ApplyText(ctx, text.String()); err != nil {
		return err
	}
	return b.programmed(ctx, namespace, gateways)
}

// programmed waits until so many Gateways of a namespace are programmed.
func (b *bench) programmed(ctx context.Context, namespace string, want int) error {
	return system.Eventually(ctx, patience, func(ctx context.Context) error {
		var gateways gatewayv1.GatewayList
		if err := b.system.Client.List(ctx, &gateways, client.InNamespace(namespace)); err != nil {
			return err
		}
		have := 0
		for _, gateway := range gateways.Items {
			if isProgrammed(&gateway) {
				have++
			}
		}
		if have < want {
			return fmt.Errorf("%d of %d Gateways are programmed", have, want)
		}
		return nil
	})
}

func isProgrammed(gateway *gatewayv1.Gateway) bool {
	for _, condition := range gateway.Status.Conditions {
		if condition.Type == string(gatewayv1.GatewayConditionProgrammed) {
			return condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == gateway.Generation
		}
	}
	return false
}

// path is a file of the repository.
func (b *bench) path(name string) string {
	source, err := programs.Source()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(source), name)
}

// example is a manifest of examples/, with the certificate that it leaves open.
func (b *bench) example(name string) (string, error) {
	content, err := os.ReadFile(b.path(filepath.Join("examples", name)))
	if err != nil {
		return "", fmt.Errorf("cannot read an example: %w", err)
	}
	const open = "arn:aws:acm:ap-northeast-2:123456789012:certificate/xxxx"
	return strings.ReplaceAll(string(content), open, b.system.Emulator.Certificate), nil
}

// pause lets time pass between samples: endpoints that change at once are followed together.
func pause(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}
