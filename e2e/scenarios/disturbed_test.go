package scenarios

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/elbow-project/elbow/e2e/system"
)

// TestDisturbed has the API server and AWS fail in the ways in which they do fail, while routes are
// added. In the end all of them answer, nothing was made twice, and deleting leaves nothing behind.
func TestDisturbed(t *testing.T) {
	tests := []struct {
		name    string
		disturb func(context.Context, *system.System) error
	}{
		{
			name: "the API server restarts",
			disturb: func(ctx context.Context, s *system.System) error {
				return errors.Join(s.Cluster.StopAPIServer(ctx), s.Cluster.StartAPIServer(ctx))
			},
		},
		{
			name:    "watches are too old",
			disturb: func(ctx context.Context, s *system.System) error { return s.Cluster.ExpireWatches(ctx) },
		},
		{
			name: "AWS does the work and its answers are lost",
			disturb: func(ctx context.Context, s *system.System) error {
				return s.Emulator.Disturb(ctx,
					system.Fault{Operation: "Create*", Effect: system.LoseAnswer, Times: 3},
					system.Fault{Operation: "Register*", Effect: system.LoseAnswer, Times: 1},
					system.Fault{Operation: "Authorize*", Effect: system.LoseAnswer, Times: 1})
			},
		},
		{
			name: "AWS throttles",
			disturb: func(ctx context.Context, s *system.System) error {
				throttling := map[string]any{"error": map[string]any{"code": "Throttling", "message": "Rate exceeded"}}
				return s.Emulator.Disturb(ctx, system.Fault{Service: "elbv2", Effect: throttling, Times: 15})
			},
		},
		{
			name: "AWS is down for 30 seconds",
			disturb: func(ctx context.Context, s *system.System) error {
				return s.Emulator.Disturb(ctx, system.Fault{Effect: system.Disconnect, Seconds: 30})
			},
		},
	}
	s := startShop(t, system.Options{})
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx := t.Context()
			name := fmt.Sprintf("shop-%d", i)
			require.NoError(t, s.ApplyText(ctx, shop(name, "a")))
			// What is disturbed is the creation.
			require.NoError(t, test.disturb(ctx, s))
			require.NoError(t, s.ApplyText(ctx, route(name, "b")))
			answers(t, s, name, "a")
			answers(t, s, name, "b")
			requireThere(t, s, 1, 1, 2)
			require.NoError(t, s.Emulator.Calm(ctx))
			_, err := s.Kubectl(ctx, "delete", "-n", "app-ns", "gateway,httproute", "--all", "--timeout=90s")
			require.NoError(t, err)
			require.NoError(t, s.Emulator.BecomesEmpty(ctx, settled))
		})
	}
}
