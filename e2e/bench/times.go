package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/elbow-project/elbow/e2e/system"
)

const (
	// leaseName is LBC's, and so elbow's.
	leaseName = "aws-load-balancer-controller-leader"
	// recordsName is the ConfigMap in which elbow keeps what it knows for the next one.
	recordsName = "elbow-records"
	// apart is longer than endpoints that change count as a burst, whose later changes cost less: then elbow has
	// put down what it knows, and takes that back before it changes anything.
	apart = 6 * time.Second
	// unwatched is how long nobody looks at the call log after a change: that takes time from those who are
	// measured.
	unwatched = 200 * time.Millisecond
)

// moves gives a Service a second endpoint and takes it away again, so many times. For each: milliseconds
// from the API server's answer until AWS has registered it, or deregistered; and from the question.
func (b *bench) moves(ctx context.Context, times int) (register, deregister, whole []float64, err error) {
	const n, group = 0, 1
	one := address(n, group)
	for range times {
		// Each at another moment of whatever the machine does every so often.
		in, inWhole, err := b.timed(ctx, "RegisterTargets", n, group, one, otherAddress)
		if err != nil {
			return nil, nil, nil, err
		}
		out, outWhole, err := b.timed(ctx, "DeregisterTargets", n, group, one)
		if err != nil {
			return nil, nil, nil, err
		}
		register, deregister, whole = append(register, in), append(deregister, out), append(whole, inWhole, outWhole)
	}
	return register, deregister, whole, nil
}

// timed gives a Service these endpoints, and says how long AWS was not asked for what follows.
func (b *bench) timed(ctx context.Context, operation string, n, group int, to ...string) (sinceAnswer, sinceQuestion float64, err error) {
	if err := pause(ctx, apart+time.Duration(rand.IntN(100))*time.Millisecond); err != nil {
		return 0, 0, err
	}
	mark, err := b.system.Emulator.Mark()
	if err != nil {
		return 0, 0, err
	}
	asked, answered, err := b.move(ctx, n, group, to...)
	if err != nil {
		return 0, 0, err
	}
	if err := pause(ctx, unwatched); err != nil {
		return 0, 0, err
	}
	calls, err := b.until(ctx, mark, func(calls []Call) bool {
		_, is := first(calls, operation, "")
		return is
	})
	if err != nil {
		return 0, 0, err
	}
	at, _ := first(calls, operation, "")
	return float64(at - answered.UnixMilli()), float64(at - asked.UnixMilli()), nil
}

// keepRecords leaves for the next controller what this one keeps.
func (b *bench) keepRecords(context.Context) error { return nil }

// dropRecords has the next controller look at everything.
func (b *bench) dropRecords(ctx context.Context) error {
	err := b.system.Clientset.CoreV1().ConfigMaps(system.Namespace).Delete(ctx, recordsName, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there are no records to drop: %w", err)
	}
	return err
}

// restartWithoutRecords is a restart at which nothing is known.
func (b *bench) restartWithoutRecords(ctx context.Context) ([]Call, error) {
	if err := b.system.StopController(ctx); err != nil {
		return nil, err
	}
	if err := b.dropRecords(ctx); err != nil {
		return nil, err
	}
	return b.after(ctx, func(ctx context.Context) error { return b.system.StartController(ctx) })
}

// freshChanges restarts the controller while AWS throttles, and changes a route as soon as the new one
// calls. For each time: milliseconds until AWS has the new rules.
func (b *bench) freshChanges(ctx context.Context, chosen options, prepare func(*bench, context.Context) error) ([]float64, error) {
	var samples []float64
	for i := range chosen.repeats {
		if err := b.system.StopController(ctx); err != nil {
			return nil, err
		}
		if err := prepare(b, ctx); err != nil {
			return nil, err
		}
		if err := b.system.Emulator.Throttle(ctx, system.Throttled); err != nil {
			return nil, err
		}
		// Each time another Gateway, from all over the order in which they have their turns.
		took, err := b.freshChange(ctx, (7*i+3)%chosen.gateways)
		if err != nil {
			return nil, err
		}
		samples = append(samples, took)
	}
	return samples, nil
}

// freshChange starts a controller and changes the route of a Gateway.
func (b *bench) freshChange(ctx context.Context, n int) (float64, error) {
	mark, err := b.system.Emulator.Mark()
	if err != nil {
		return 0, err
	}
	started := make(chan error, 1)
	go func() { started <- b.system.StartController(ctx) }()
	if _, err := b.until(ctx, mark, func(calls []Call) bool { return len(calls) > 0 }); err != nil {
		return 0, err
	}
	b.rules++
	changed := time.Now()
	if err := b.addExact(ctx, n, fmt.Sprintf("/new-%d", b.rules)); err != nil {
		return 0, err
	}
	calls, err := b.until(ctx, mark, func(calls []Call) bool { return operations(done(calls))["CreateRule"] >= 2 })
	if err != nil {
		return 0, err
	}
	if err := <-started; err != nil {
		return 0, err
	}
	if _, err := b.quiet(ctx, mark); err != nil {
		return 0, err
	}
	if err := b.system.Emulator.Throttle(ctx, system.Unthrottled); err != nil {
		return 0, err
	}
	if err := b.dropRules(ctx, n); err != nil {
		return 0, err
	}
	var applied int64
	for _, call := range done(calls) {
		if call.Operation == "CreateRule" {
			applied = call.Time
		}
	}
	return float64(applied - changed.UnixMilli()), nil
}

// done are the calls that were carried out.
func done(calls []Call) []Call {
	var done []Call
	for _, call := range calls {
		if call.Error == "" {
			done = append(done, call)
		}
	}
	return done
}

// stopLeader and killLeader end the controller that leads.
func (b *bench) stopLeader(ctx context.Context) error { return b.system.StopController(ctx) }

func (b *bench) killLeader(context.Context) error { return b.system.KillController() }

// handOvers ends the leader while another instance stands by. For each time: milliseconds until AWS has
// answered the other one's first call.
func (b *bench) handOvers(ctx context.Context, times int, end func(*bench, context.Context) error) ([]float64, error) {
	var samples []float64
	for range times {
		if err := b.system.StartStandby(ctx); err != nil {
			return nil, err
		}
		if err := pause(ctx, still+time.Duration(rand.IntN(2000))*time.Millisecond); err != nil {
			return nil, err
		}
		before, err := b.holder(ctx)
		if err != nil {
			return nil, err
		}
		mark, err := b.system.Emulator.Mark()
		if err != nil {
			return nil, err
		}
		signalled := time.Now()
		if err := end(b, ctx); err != nil {
			return nil, err
		}
		calls, err := b.until(ctx, mark, func(calls []Call) bool { return len(calls) > 0 })
		if err != nil {
			return nil, err
		}
		after, err := b.holder(ctx)
		if err != nil {
			return nil, err
		}
		if after == before || after == "" {
			return nil, fmt.Errorf("%q called AWS while the lease was that of %q", before, after)
		}
		samples = append(samples, float64(calls[0].Time-signalled.UnixMilli()))
		if _, err := b.quiet(ctx, mark); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// holder of the lease.
func (b *bench) holder(ctx context.Context) (string, error) {
	lease, err := b.system.Clientset.CoordinationV1().Leases(system.Namespace).Get(ctx, leaseName, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot read the lease: %w", err)
	}
	if lease.Spec.HolderIdentity == nil {
		return "", nil
	}
	return *lease.Spec.HolderIdentity, nil
}

// lateness creates Gateways one after the other whose load balancers take their time. For each: milliseconds
// from when it was active until the API server said Programmed. And how often AWS was asked about them.
func (b *bench) lateness(ctx context.Context, times int) (late []float64, looks int, err error) {
	if err := b.provisioningTakes(ctx, provisioning); err != nil {
		return nil, 0, err
	}
	mark, err := b.system.Emulator.Mark()
	if err != nil {
		return nil, 0, err
	}
	seen, err := b.watchProgrammed(ctx)
	if err != nil {
		return nil, 0, err
	}
	for i := range times {
		if err := b.system.ApplyText(ctx, lateGateway(i)); err != nil {
			return nil, 0, err
		}
		if err := pause(ctx, time.Second+time.Duration(rand.IntN(1000))*time.Millisecond); err != nil {
			return nil, 0, err
		}
	}
	programmed := map[string]time.Time{}
	deadline := time.After(2 * provisioning)
	for len(programmed) < times {
		select {
		case gateway := <-seen:
			if _, known := programmed[gateway.name]; !known && strings.HasPrefix(gateway.name, latePrefix) {
				programmed[gateway.name] = gateway.at
			}
		case <-deadline:
			return nil, 0, fmt.Errorf("%d of %d Gateways are programmed", len(programmed), times)
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	calls, err := b.quiet(ctx, mark)
	if err != nil {
		return nil, 0, err
	}
	for i := range times {
		name := lateName(i)
		// A load balancer is named after its Gateway.
		created, ok := first(calls, "CreateLoadBalancer", name)
		if !ok {
			return nil, 0, fmt.Errorf("no load balancer was created for %s", name)
		}
		active := created + provisioning.Milliseconds()
		late = append(late, float64(programmed[name].UnixMilli()-active))
	}
	_, err = b.system.Kubectl(ctx, "delete", "gateway,httproute", "-n", namespace, "-l", "bench.example.com/late=true", "--timeout=120s")
	return late, operations(calls)["DescribeLoadBalancers"], err
}

// sighting of a Gateway that is programmed.
type sighting struct {
	name string
	at   time.Time
}

// watchProgrammed tells of Gateways when the API server says that they are programmed.
func (b *bench) watchProgrammed(ctx context.Context) (<-chan sighting, error) {
	config, err := b.cluster.RESTConfig()
	if err != nil {
		return nil, err
	}
	watcher, err := client.NewWithWatch(config, client.Options{Scheme: b.system.Client.Scheme()})
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	events, err := watcher.Watch(ctx, &gatewayv1.GatewayList{}, client.InNamespace(namespace))
	if err != nil {
		return nil, fmt.Errorf("cannot watch Gateways: %w", err)
	}
	seen := make(chan sighting, 1000)
	go func() {
		defer events.Stop()
		for event := range events.ResultChan() {
			gateway, ok := event.Object.(*gatewayv1.Gateway)
			if ok && event.Type != watch.Deleted && isProgrammed(gateway) {
				select {
				case seen <- sighting{gateway.Name, time.Now()}:
				default:
				}
			}
		}
	}()
	return seen, nil
}
