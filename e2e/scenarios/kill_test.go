package scenarios

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elbow-project/elbow/e2e/system"
)

// moments is how many calls that change something AWS has seen in a phase when the controller is killed.
// Twenty in all, close together where a load balancer comes into being.
var moments = []struct {
	phase   string
	changes []int
}{
	{"creating", []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
	{"changing", []int{1, 2, 3, 4, 5}},
	{"deleting", []int{1, 2, 3, 4, 5}},
}

// phaseTime is longer than any phase takes.
const phaseTime = 10 * time.Second

// slow makes each call take longer than a look at the call log, so that moments are apart.
var slow = system.Fault{Effect: map[string]any{"delay": map[string]any{"milliseconds": 50}}}

// TestKilled kills the controller in the middle of things. The next one must finish, make nothing twice
// and leave nothing behind.
func TestKilled(t *testing.T) {
	s := startShop(t, system.Options{ControllerFlags: []string{"--enable-leader-election=false"}})
	ctx := t.Context()
	require.NoError(t, s.Emulator.Disturb(ctx, slow))
	phases := map[string]func(name string) error{
		"creating": func(name string) error { return s.ApplyText(ctx, shop(name, "a", "b")) },
		"changing": func(name string) error { return s.ApplyText(ctx, shop(name, "a", "b", "c", "d")) },
		"deleting": func(name string) error {
			_, err := s.Kubectl(ctx, "delete", "-n", "app-ns", "httproute,gateway", "--all", "--wait=false")
			return err
		},
	}
	for _, moment := range moments {
		for _, changes := range moment.changes {
			t.Run(fmt.Sprintf("%s, after %d changes", moment.phase, changes), func(t *testing.T) {
				name := "shop"
				if moment.phase != "creating" {
					require.NoError(t, phases["creating"](name))
					answers(t, s, name, "a")
				}
				mark, err := s.Emulator.Mark()
				require.NoError(t, err)
				require.NoError(t, phases[moment.phase](name))
				killAfter(t, s, mark, changes)
				require.NoError(t, s.StartController(ctx))

				if moment.phase != "deleting" {
					for _, path := range []string{"a", "b"} {
						answers(t, s, name, path)
					}
					if moment.phase == "changing" {
						answers(t, s, name, "d")
					}
					requireOnce(t, s)
					require.NoError(t, phases["deleting"](name))
				}
				_, err = s.Kubectl(ctx, "wait", "-n", "app-ns", "--for=delete", "gateway", "--all", "--timeout=90s")
				require.NoError(t, err)
				require.NoError(t, s.Emulator.BecomesEmpty(ctx, settled))
			})
		}
	}
}

// killAfter kills the controller when AWS has seen so many changes, or when no more come: a phase that
// has fewer ends with a kill too.
func killAfter(t *testing.T, s *system.System, mark int64, changes int) {
	t.Helper()
	seen := 0
	_ = system.Eventually(t.Context(), phaseTime, func(context.Context) error {
		calls, err := s.Emulator.Calls(mark)
		if err != nil {
			return err
		}
		seen = 0
		for _, call := range calls {
			if !call.Read {
				seen++
			}
		}
		if seen < changes {
			return fmt.Errorf("AWS has seen %d changes", seen)
		}
		return nil
	})
	require.Positive(t, seen, "the controller does something")
	require.NoError(t, s.KillController())
}

// requireOnce requires that there is one of each: a load balancer, a listener, a target group for the one
// Service port, the managed security group and the shared one.
func requireOnce(t *testing.T, s *system.System) {
	t.Helper()
	eventually(t, "one of each in AWS", func(ctx context.Context) error {
		found, err := s.Emulator.Inventory(ctx)
		if err != nil {
			return err
		}
		if len(found.LoadBalancers) != 1 || len(found.Listeners) != 1 || len(found.SecurityGroups) != 2 {
			return fmt.Errorf("AWS has %v", found)
		}
		return nil
	})
}
