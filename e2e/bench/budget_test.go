package main

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
)

func TestMain(m *testing.M) { os.Exit(testcluster.RunTests(m)) }

// gatewaysShort are enough to tell what is shared from what is not; AWS's rate of changes makes more slow.
const gatewaysShort = 5

// TestCallBudget holds elbow to the aims that do not depend on the machine's speed: how many calls it
// makes. `go run ./bench` measures all of them, and times and memory.
func TestCallBudget(t *testing.T) {
	ctx := t.Context()
	b, err := start(ctx)
	t.Cleanup(b.stop)
	require.NoError(t, err)
	within := func(t *testing.T, calls []Call, err error, most int) {
		t.Helper()
		require.NoError(t, err)
		t.Logf("%d calls: %s", len(calls), listed(operations(calls)))
		require.LessOrEqualf(t, len(calls), most, "%s", listed(operations(calls)))
	}

	t.Run("create the ALB of examples/", func(t *testing.T) {
		calls, err := b.createArticle(ctx)
		within(t, calls, err, createMax)
		within(t, mutating(calls), nil, createChangesMax)
		require.NoError(t, b.deleteArticle(ctx))
	})
	require.NoError(t, b.create(ctx, gatewaysShort))
	_, err = b.after(ctx, func(context.Context) error { return nil })
	require.NoError(t, err)

	for _, object := range touched {
		t.Run("touch "+object, func(t *testing.T) {
			calls, err := b.touch(ctx, object)
			within(t, calls, err, 0)
		})
	}
	t.Run("touch the GatewayClass", func(t *testing.T) {
		calls, err := b.touch(ctx, "gatewayclass/"+namespace)
		within(t, calls, err, 0)
	})
	t.Run("edits that ask for nothing else", func(t *testing.T) {
		calls, err := b.noOps(ctx)
		within(t, calls, err, 0)
	})
	t.Run("a new rule", func(t *testing.T) {
		calls, err := b.addRule(ctx, 0)
		within(t, calls, err, newRuleMax)
	})
	t.Run("an endpoint that comes and goes", func(t *testing.T) {
		calls, err := b.flip(ctx, 0, 1)
		within(t, calls, err, flipsMax)
		require.NotEmpty(t, calls, "the endpoint is followed")
	})
	t.Run("restart", func(t *testing.T) {
		calls, err := b.restart(ctx)
		within(t, calls, err, restartMax)
		require.NotEmpty(t, calls, "a new controller looks at what is there")
		require.Emptyf(t, unshared(calls), "%s", listed(operations(calls)))
	})
	t.Run("a new rule after a restart", func(t *testing.T) {
		calls, err := b.addRule(ctx, 1)
		within(t, calls, err, newRuleAfterRestartMax)
	})
}
