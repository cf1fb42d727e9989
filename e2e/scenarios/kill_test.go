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
// Twenty in all, close together where load balancers come into being. The short form takes every fourth.
var moments = []struct {
	phase   string
	changes []int
}{
	{"creating", []int{1, 2, 4, 6, 8, 10, 12, 14, 16, 18}},
	{"changing", []int{1, 2, 3, 4, 5}},
	{"deleting", []int{1, 3, 5, 7, 9}},
}

// phaseTime is longer than any phase takes.
const phaseTime = 20 * time.Second

// slow makes each call take longer than a look at the call log, so that moments are apart.
var slow = system.Fault{Effect: map[string]any{"delay": map[string]any{"milliseconds": 50}}}

// TestKilled kills the controller in the middle of things that it does to an ALB and an NLB. The next one
// must finish, make nothing twice and leave nothing behind.
func TestKilled(t *testing.T) {
	s := startShop(t, system.Options{ControllerFlags: []string{"--enable-leader-election=false"}})
	ctx := t.Context()
	require.NoError(t, s.Emulator.Disturb(ctx, slow))
	phases := map[string]func() error{
		"creating": func() error { return s.ApplyText(ctx, shop("shop", "a", "b")+"---"+harbour("harbour", 9000)) },
		"changing": func() error {
			return s.ApplyText(ctx, shop("shop", "a", "b", "c", "d")+"---"+harbour("harbour", 9000, 9001))
		},
		"deleting": func() error {
			_, err := s.Kubectl(ctx, "delete", "-n", "app-ns", "httproute,tcproute,gateway", "--all", "--wait=false")
			return err
		},
	}
	number := 0
	for _, moment := range moments {
		for _, changes := range moment.changes {
			number++
			if testing.Short() && number%4 != 0 {
				continue
			}
			passed := t.Run(fmt.Sprintf("%s, after %d changes", moment.phase, changes), func(t *testing.T) {
				if moment.phase != "creating" {
					require.NoError(t, phases["creating"]())
					answers(t, s, "shop", "a")
					echoes(t, s, "harbour", 9000)
				}
				mark, err := s.Emulator.Mark()
				require.NoError(t, err)
				require.NoError(t, phases[moment.phase]())
				killAfter(t, s, mark, changes)
				require.NoError(t, s.StartController(ctx))

				if moment.phase != "deleting" {
					for _, path := range []string{"a", "b"} {
						answers(t, s, "shop", path)
					}
					echoes(t, s, "harbour", 9000)
					listeners, routes := 2, 3
					if moment.phase == "changing" {
						answers(t, s, "shop", "d")
						echoes(t, s, "harbour", 9001)
						listeners, routes = 3, 6
					}
					requireThere(t, s, 2, listeners, routes)
					require.NoError(t, phases["deleting"]())
				}
				_, err = s.Kubectl(ctx, "wait", "-n", "app-ns", "--for=delete", "gateway", "--all", "--timeout=90s")
				require.NoError(t, err)
				require.NoError(t, s.Emulator.BecomesEmpty(ctx, settled))
			})
			// The next one would begin with what this one has left.
			if !passed {
				return
			}
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

// requireThere requires that there is what Gateways ask for, once: a load balancer and a managed security
// group for each Gateway, a target group for each route, listeners, and one security group for all.
func requireThere(t *testing.T, s *system.System, gateways, listeners, routes int) {
	t.Helper()
	eventually(t, "one of each in AWS", func(ctx context.Context) error {
		found, err := s.Emulator.Inventory(ctx)
		if err != nil {
			return err
		}
		if len(found.LoadBalancers) != gateways || len(found.SecurityGroups) != gateways+1 ||
			len(found.Listeners) != listeners || len(found.TargetGroups) != routes {
			return fmt.Errorf("AWS has %v", found)
		}
		return nil
	})
}
