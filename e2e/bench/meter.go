package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elbow-project/elbow/e2e/system"
)

// Call is a call that AWS has answered.
type Call = system.Call

const (
	// still is for how long AWS hears nothing once the controller is quiet: longer than it waits between two
	// looks at a load balancer that is being set up.
	still = 4 * time.Second
	// patience is how long anything may take that has no aim.
	patience = 5 * time.Minute
	// poll is how often the call log is looked at. No figure comes from when it was looked at.
	poll = 5 * time.Millisecond
)

// quiet waits until AWS hears nothing any more, and gives what it has heard since the mark.
func (b *bench) quiet(ctx context.Context, mark int64) ([]Call, error) {
	since, seen := time.Now(), -1
	return b.until(ctx, mark, func(calls []Call) bool {
		if len(calls) != seen {
			since, seen = time.Now(), len(calls)
		}
		return time.Since(since) >= still
	})
}

// after does something and gives what AWS hears because of it.
func (b *bench) after(ctx context.Context, do func(context.Context) error) ([]Call, error) {
	mark, err := b.system.Emulator.Mark()
	if err != nil {
		return nil, err
	}
	if err := do(ctx); err != nil {
		return nil, err
	}
	return b.quiet(ctx, mark)
}

// until waits for calls that are enough, and gives all since the mark.
func (b *bench) until(ctx context.Context, mark int64, enough func([]Call) bool) ([]Call, error) {
	begin := time.Now()
	for {
		calls, err := b.system.Emulator.Calls(mark)
		if err != nil || enough(calls) {
			return calls, err
		}
		if time.Since(begin) > patience {
			return nil, fmt.Errorf("after %v it is not as waited for; AWS was asked for %s", patience, listed(operations(calls)))
		}
		if err := pause(ctx, poll); err != nil {
			return nil, err
		}
	}
}

// operations counts calls by what they ask for.
func operations(calls []Call) map[string]int {
	counted := map[string]int{}
	for _, call := range calls {
		counted[call.Operation]++
	}
	return counted
}

// mutating are the calls that change something.
func mutating(calls []Call) []Call {
	return slices.DeleteFunc(slices.Clone(calls), func(call Call) bool { return call.Read })
}

// ofOneObject are operations that tell of one load balancer, listener, target group or certificate at a time.
var ofOneObject = []string{
	"DescribeLoadBalancerAttributes", "DescribeTargetGroupAttributes", "DescribeTargetHealth", "DescribeListeners",
	"DescribeListenerAttributes", "DescribeListenerCertificates", "DescribeRules", "DescribeCertificate",
}

// unshared are the calls that look at one object each.
func unshared(calls []Call) []Call {
	return slices.DeleteFunc(slices.Clone(calls), func(call Call) bool { return !slices.Contains(ofOneObject, call.Operation) })
}

// lasted is from the first call to the answer of the last.
func lasted(calls []Call) float64 {
	if len(calls) == 0 {
		return 0
	}
	return float64(calls[len(calls)-1].Time - calls[0].Time)
}

// first is when an operation about something was answered for the first time, in milliseconds since 1970.
func first(calls []Call, operation, about string) (int64, bool) {
	for _, call := range calls {
		isAbout := about == "" || slices.ContainsFunc(call.Resources, func(name string) bool { return strings.Contains(name, about) })
		if call.Operation == operation && call.Error == "" && isAbout {
			return call.Time, true
		}
	}
	return 0, false
}
