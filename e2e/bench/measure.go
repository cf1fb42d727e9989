package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// Aims: what elbow may need at most.
const (
	createMax        = 25
	createChangesMax = 12
	newRuleMax       = 5
	flipsMax         = 6
	restartMax       = 120

	freshMax        = 2_000 // milliseconds
	targetsMax      = 10    // milliseconds
	programmedMax   = 3_000 // milliseconds
	handOverMax     = 2_000 // milliseconds
	memoryMax       = 45    // MiB
	provisioning    = 90 * time.Second
	leaseWhenKilled = 15_000 // milliseconds: LBC's default for --leader-elect-lease-duration
)

// newRuleAfterRestartMax is for a load balancer that nobody has looked at since the restart: it is looked at
// in full before it is changed.
const newRuleAfterRestartMax = 30

// measure takes all figures, in an order in which none disturbs the next.
func (b *bench) measure(ctx context.Context, chosen options) (*Report, error) {
	machine, err := machine(b.system.Program())
	if err != nil {
		return nil, err
	}
	version, err := b.system.Clientset.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("cannot ask for the version of Kubernetes: %w", err)
	}
	machine.Kubernetes, machine.GatewayAPI = version.GitVersion, string(b.system.GatewayAPI())
	report := &Report{Machine: machine, Gateways: chosen.gateways, Pods: chosen.pods}
	steps := []struct {
		what string
		take func(context.Context, options) ([]Row, error)
	}{
		{"the ALB of examples/", b.articleRows},
		{fmt.Sprintf("%d Gateways at once", chosen.gateways), b.creationRows},
		{"rounds that come to nothing, a new rule", b.steadyRows},
		{"endpoints", b.endpointRows},
		{"restarts", b.restartRows},
		{"restarts while AWS throttles", b.throttledRows},
		{"hand-over", b.handOverRows},
		{"a load balancer that takes its time", b.programmedRows},
		{"memory", b.memoryRows},
	}
	for i, step := range steps {
		// Nothing can be measured without the Gateways, which are the second step.
		if i != 1 && !strings.Contains(step.what, chosen.only) {
			continue
		}
		begin := time.Now()
		fmt.Fprintf(os.Stderr, "measuring: %s\n", step.what)
		rows, err := step.take(ctx, chosen)
		if err != nil {
			// What was measured so far is worth reading.
			return report, fmt.Errorf("%s: %w", step.what, err)
		}
		report.Rows = append(report.Rows, rows...)
		fmt.Fprintf(os.Stderr, "  %s\n", time.Since(begin).Round(100*time.Millisecond))
	}
	return report, nil
}

func (b *bench) articleRows(ctx context.Context, _ options) ([]Row, error) {
	calls, err := b.createArticle(ctx)
	if err != nil {
		return nil, err
	}
	all := count("calls", createMax, calls)
	return []Row{{
		Measure: "calls to create the article's ALB",
		LBC:     "67, 12 mutating",
		Aim:     "25, 12 mutating",
		Figures: []Figure{all, count("mutating", createChangesMax, mutating(calls))},
		Notes: []string{
			"while AWS sets the load balancer up, one call every 2.5 s looks at all that are being set up; here it takes half a second",
			listed(all.Operations),
		},
	}}, b.deleteArticle(ctx)
}

func (b *bench) creationRows(ctx context.Context, chosen options) ([]Row, error) {
	mark, err := b.system.Emulator.Mark()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := b.create(ctx, chosen.gateways); err != nil {
		return nil, err
	}
	took := float64(time.Since(begin).Milliseconds())
	calls, err := b.quiet(ctx, mark)
	if err != nil {
		return nil, err
	}
	all := count("calls", 0, calls).without()
	return []Row{{
		Measure: fmt.Sprintf("%d Gateways created at once, until all are programmed", chosen.gateways),
		Figures: []Figure{{What: "time", Unit: Milliseconds, Value: took}, all},
		Notes: []string{
			"this is AWS's rate and not the controller's: 10 load balancers at once and then one every 5 s, 20 other changes at once and then 3 a second; elbow keeps to it instead of being refused",
			listed(all.Operations),
		},
	}}, nil
}

func (b *bench) steadyRows(ctx context.Context, chosen options) ([]Row, error) {
	noOps, err := b.noOps(ctx)
	if err != nil {
		return nil, err
	}
	touches, err := b.touch(ctx, touched...)
	if err != nil {
		return nil, err
	}
	class, err := b.touch(ctx, "gatewayclass/"+namespace)
	if err != nil {
		return nil, err
	}
	nothing := Row{
		Measure: fmt.Sprintf("no-op round; touch of any metadata; touch of a GatewayClass over %d Gateways", chosen.gateways),
		LBC:     "15; 15; 570",
		Aim:     "0; 0; 0",
		Figures: []Figure{count("no-op", 0, noOps), count("metadata", 0, touches), count("class", 0, class)},
		Notes: []string{
			fmt.Sprintf("metadata: a label and an annotation of each of %d kinds of objects; the figure is of all together", len(touched)),
			"drift is looked for beside this, on a budget of its own: each load balancer once in 30 minutes",
		},
	}
	var samples [][]Call
	for n := range min(3, chosen.gateways) {
		calls, err := b.addRule(ctx, n)
		if err != nil {
			return nil, err
		}
		samples = append(samples, calls)
		if err := b.dropRules(ctx, n); err != nil {
			return nil, err
		}
	}
	rule := count("calls", newRuleMax, samples...)
	return []Row{nothing, {
		Measure: "one new rule in steady state",
		LBC:     "42",
		Aim:     "5",
		Figures: []Figure{rule},
		Notes:   []string{"a rule that comes before all others, on both listeners: " + listed(rule.Operations)},
	}}, nil
}

func (b *bench) endpointRows(ctx context.Context, chosen options) ([]Row, error) {
	register, deregister, whole, err := b.moves(ctx, chosen.repeats)
	if err != nil {
		return nil, err
	}
	calls, err := b.flip(ctx, 1, 1)
	if err != nil {
		return nil, err
	}
	flipped := count("10 flips", flipsMax, calls)
	return []Row{{
		Measure: "EndpointSlice change to Register or Deregister; 10 flips in 0.6 s",
		LBC:     "10 ms; 20 calls",
		Aim:     "10 ms; 6 calls",
		Figures: []Figure{
			median("Register", Milliseconds, targetsMax, register), median("Deregister", Milliseconds, targetsMax, deregister), flipped,
		},
		Notes: []string{
			"from the API server's answer to the change until AWS has answered the call; each change after 6 s in which there was none",
			"from the moment at which the API server was asked: " + median("", Milliseconds, 0, whole).String(),
			listed(flipped.Operations),
		},
	}}, nil
}

func (b *bench) restartRows(ctx context.Context, chosen options) ([]Row, error) {
	var samples [][]Call
	var took []float64
	for range 3 {
		calls, err := b.restart(ctx)
		if err != nil {
			return nil, err
		}
		samples, took = append(samples, calls), append(took, lasted(calls))
	}
	all := count("calls", restartMax, samples...)
	alone := 0
	for _, calls := range samples {
		alone = max(alone, len(unshared(calls)))
	}
	own := Figure{What: "for one object", Unit: Calls, Value: float64(alone), AtMost: new(float64)}
	afterwards, err := b.addRule(ctx, 4)
	if err != nil {
		return nil, err
	}
	if err := b.dropRules(ctx, 4); err != nil {
		return nil, err
	}
	next := count("calls", 0, afterwards).without()
	without, err := b.restartWithoutRecords(ctx)
	if err != nil {
		return nil, err
	}
	first := count("calls", 0, without).without()
	return []Row{
		{
			Measure: fmt.Sprintf("restart with %d Gateways, calls until quiet", chosen.gateways),
			LBC:     "683",
			Aim:     "120, none for what is told of many objects in one answer",
			Figures: []Figure{all, own, median("quiet after", Milliseconds, 0, took).without()},
			Notes:   []string{listed(all.Operations)},
		},
		{
			Measure: "one new rule right after a restart",
			Figures: []Figure{next},
			Notes: []string{
				"a restart takes for true what records vouch for and lists do not contradict; before its first change a load balancer is looked at in full",
				listed(next.Operations),
			},
		},
		{
			Measure: fmt.Sprintf("first start with %d Gateways that another controller left (no records)", chosen.gateways),
			LBC:     "683",
			Figures: []Figure{first, {What: "quiet after", Unit: Milliseconds, Value: lasted(without)}},
			Notes:   []string{listed(first.Operations)},
		},
	}, nil
}

func (b *bench) throttledRows(ctx context.Context, chosen options) ([]Row, error) {
	fresh, err := b.freshChanges(ctx, chosen, (*bench).keepRecords)
	if err != nil {
		return nil, err
	}
	unknown, err := b.freshChanges(ctx, options{gateways: chosen.gateways, repeats: 3}, (*bench).dropRecords)
	if err != nil {
		return nil, err
	}
	applied := median("with records", Milliseconds, freshMax, fresh)
	first := median("without", Milliseconds, freshMax, unknown)
	return []Row{{
		Measure: "the same under AWS's read throttle (40 tokens, 10 a second): a fresh route change is applied after",
		LBC:     "12 to 58 s, median 38 s",
		Aim:     "2 s",
		Figures: []Figure{applied, first},
		Notes: []string{
			"the change is made when AWS hears the first call of the new controller, and applied when AWS has answered CreateRule on the second listener",
			"with records: " + spread(applied),
			"without, as at a first start: " + spread(first),
		},
	}}, nil
}

func (b *bench) handOverRows(ctx context.Context, chosen options) ([]Row, error) {
	normal, err := b.handOvers(ctx, max(3, chosen.repeats/2), (*bench).stopLeader)
	if err != nil {
		return nil, err
	}
	killed, err := b.handOvers(ctx, max(3, chosen.repeats/2), (*bench).killLeader)
	if err != nil {
		return nil, err
	}
	stopped := median("restart", Milliseconds, handOverMax, normal)
	// A standby sees a renewal by a look, and the end of the lease by another one.
	const look = 500
	crashed := median("kill", Milliseconds, leaseWhenKilled+look, killed)
	return []Row{{
		Measure: "hand-over at a normal restart; after a kill",
		LBC:     "19 s; lease time",
		Aim:     "2 s; lease time",
		Figures: []Figure{stopped, crashed},
		Notes: []string{
			"from the signal to the first call of the instance that stood by; the lease is 15 s, and a standby looks at it every 0.5 s",
			"restart: " + spread(stopped),
			"kill: " + spread(crashed),
		},
	}}, nil
}

func (b *bench) programmedRows(ctx context.Context, chosen options) ([]Row, error) {
	late, looks, err := b.lateness(ctx, min(5, chosen.repeats))
	if err != nil {
		return nil, err
	}
	figure := median("late", Milliseconds, programmedMax, late)
	return []Row{{
		Measure: "load balancer active after 90 s: Programmed",
		LBC:     "30 s late",
		Aim:     "3 s late",
		Figures: []Figure{figure},
		Notes: []string{
			"at AWS's speed: " + spread(figure),
			fmt.Sprintf("one look for all load balancers that are being set up, every 2.5 s: %d calls for %d of them", looks, len(late)),
		},
	}}, nil
}

func (b *bench) memoryRows(ctx context.Context, chosen options) ([]Row, error) {
	before, err := b.restartedMemory(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.createPods(ctx, chosen.pods); err != nil {
		return nil, err
	}
	running, err := b.memory()
	if err != nil {
		return nil, err
	}
	after, err := b.restartedMemory(ctx)
	if err != nil {
		return nil, err
	}
	file, err := mapped(b.system.Program())
	if err != nil {
		return nil, err
	}
	figure := func(what string, value float64) Figure {
		most := float64(memoryMax)
		return Figure{What: what, Unit: MiB, Value: value, AtMost: &most}
	}
	return []Row{{
		Measure: fmt.Sprintf("memory with %d Gateways; with %d unrelated pods", chosen.gateways, chosen.pods),
		LBC:     "89 MiB; 115 MiB",
		Aim:     "45 MiB; 45 MiB",
		Figures: []Figure{
			figure("resident", before.resident), figure("with pods", after.resident),
			figure("anonymous", before.anonymous).without(), figure("anonymous with pods", after.anonymous).without(),
		},
		Notes: []string{
			"resident set and anonymous memory by the kernel's smaps_rollup, a while after a restart",
			fmt.Sprintf("pods that come while it runs: %.0f MiB resident, %.0f MiB anonymous", running.resident, running.anonymous),
			fmt.Sprintf("what is resident and not anonymous are pages of files, which the kernel drops where memory is short: the program's, of which %.0f MiB are mapped, and the C library's", file),
		},
	}}, nil
}
