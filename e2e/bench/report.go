package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Unit of a figure.
type Unit string

const (
	// Calls to AWS.
	Calls Unit = "calls"
	// Milliseconds on the machine's clock.
	Milliseconds Unit = "ms"
	// MiB of memory.
	MiB Unit = "MiB"
	// Gateways.
	Gateways Unit = "Gateways"
)

// Figure is a number that was measured, and what it may be.
type Figure struct {
	// What the number is of.
	What string `json:"what"`
	Unit Unit   `json:"unit"`
	// Value is the median of the samples, or the largest where every one has to be good.
	Value float64 `json:"value"`
	// AtMost is the aim; none where the number is for the reader alone.
	AtMost *float64 `json:"atMost,omitempty"`
	// Samples in the order in which they were taken.
	Samples []float64 `json:"samples,omitempty"`
	// Operations that AWS was asked for, and how often, in the sample that counts.
	Operations map[string]int `json:"operations,omitempty"`
}

// Met tells whether the aim is reached.
func (f Figure) Met() bool { return f.AtMost == nil || f.Value <= *f.AtMost }

// String is the number as the table has it.
func (f Figure) String() string {
	if f.Unit == Milliseconds && f.Value >= 1000 {
		return fmt.Sprintf("%.1f s", f.Value/1000)
	}
	if f.Unit == Calls || f.Unit == Gateways {
		return fmt.Sprintf("%.0f", f.Value)
	}
	return fmt.Sprintf("%.0f %s", f.Value, f.Unit)
}

// Row is a line of the table.
type Row struct {
	Measure string `json:"measure"`
	// LBC is what the AWS Load Balancer Controller v3.5.0 needs, measured in the same way on the same kind of machine.
	LBC string `json:"lbc"`
	// Aim is what elbow may need at most.
	Aim     string   `json:"aim"`
	Figures []Figure `json:"figures"`
	// Notes say how it was measured, where that is not plain, or why an aim is missed.
	Notes []string `json:"notes,omitempty"`
}

// Met tells whether all aims of the row are reached.
func (r Row) Met() bool {
	return !slices.ContainsFunc(r.Figures, func(f Figure) bool { return !f.Met() })
}

// Verdict is the last word on a row.
func (r Row) Verdict() string {
	switch {
	case !r.Met():
		return "**missed**"
	case slices.ContainsFunc(r.Figures, func(f Figure) bool { return f.AtMost != nil }):
		return "met"
	default:
		return ""
	}
}

// Report is all that was measured.
type Report struct {
	Machine  Machine `json:"machine"`
	Gateways int     `json:"gateways"`
	Pods     int     `json:"unrelatedPods"`
	Rows     []Row   `json:"rows"`
}

// Print writes the table as Markdown.
func (r Report) Print(out io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\n", r.Machine)
	text.WriteString("| measure | LBC v3.5.0 | elbow, at most | elbow | |\n|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		var figures []string
		for _, figure := range row.Figures {
			figures = append(figures, fmt.Sprintf("%s: %v", figure.What, figure))
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", row.Measure, row.LBC, row.Aim, strings.Join(figures, "<br>"), row.Verdict())
	}
	for _, row := range r.Rows {
		if len(row.Notes) > 0 {
			fmt.Fprintf(&text, "\n%s:\n\n", row.Measure)
		}
		for _, note := range row.Notes {
			fmt.Fprintf(&text, "- %s\n", note)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// Missed are the rows with an aim that is not reached.
func (r Report) Missed() []Row {
	var missed []Row
	for _, row := range r.Rows {
		if !row.Met() {
			missed = append(missed, row)
		}
	}
	return missed
}

// count is a figure of calls: of several samples the one with the most, for each has to be good.
func count(what string, atMost float64, samples ...[]Call) Figure {
	figure := Figure{What: what, Unit: Calls, AtMost: &atMost, Operations: map[string]int{}}
	for _, calls := range samples {
		n := float64(len(calls))
		figure.Samples = append(figure.Samples, n)
		if n >= figure.Value {
			figure.Value, figure.Operations = n, operations(calls)
		}
	}
	return figure
}

// median is a figure of several samples.
func median(what string, unit Unit, atMost float64, samples []float64) Figure {
	return Figure{What: what, Unit: unit, Value: middle(samples), AtMost: &atMost, Samples: samples}
}

// without takes the aim away.
func (f Figure) without() Figure {
	f.AtMost = nil
	return f
}

// middle is the median; NaN of nothing, which meets no aim.
func middle(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(samples))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// spread is the range of samples, for notes.
func spread(figure Figure) string {
	if len(figure.Samples) == 0 {
		return "no samples"
	}
	least, most := figure, figure
	least.Value, most.Value = slices.Min(figure.Samples), slices.Max(figure.Samples)
	return fmt.Sprintf("%d samples from %v to %v", len(figure.Samples), least, most)
}

// listed is the operations of a figure, for notes.
func listed(operations map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		parts = append(parts, fmt.Sprintf("%d %s", operations[name], name))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
