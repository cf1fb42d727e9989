package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerdicts(t *testing.T) {
	read := Call{Operation: "DescribeRules", Read: true}
	tests := []struct {
		name    string
		figures []Figure
		want    string
	}{
		{"a count at its aim", []Figure{count("", 1, []Call{read})}, "met"},
		{"the worst of several counts", []Figure{count("", 1, []Call{read}, []Call{read, read}, nil)}, "**missed**"},
		{"the median of times", []Figure{median("", Milliseconds, 10, []float64{40, 8, 10})}, "met"},
		{"one aim of two", []Figure{count("", 1), median("", MiB, 45, []float64{45, 46})}, "**missed**"},
		{"nothing measured", []Figure{median("", Milliseconds, 10, nil)}, "**missed**"},
		{"no aim", []Figure{count("", 0, []Call{read}).without()}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, Row{Figures: test.figures}.Verdict())
		})
	}
}

func TestTheTableHasEveryFigure(t *testing.T) {
	report := Report{Rows: []Row{{
		Measure: "restart", LBC: "683", Aim: "120",
		Figures: []Figure{count("calls", 120, []Call{{Operation: "DescribeRules"}}), median("time", Milliseconds, 2000, []float64{1500})},
		Notes:   []string{"a note"},
	}}}
	var text strings.Builder
	require.NoError(t, report.Print(&text))
	require.Contains(t, text.String(), "| restart | 683 | 120 | calls: 1<br>time: 1.5 s | met |\n")
	require.Contains(t, text.String(), "\nrestart:\n\n- a note\n")
}

func TestCallsAreTakenApart(t *testing.T) {
	calls := []Call{
		{Time: 10, Operation: "DescribeLoadBalancers", Read: true},
		{Time: 12, Operation: "DescribeRules", Read: true},
		{Time: 15, Operation: "CreateRule", Error: "Throttling"},
		{Time: 19, Operation: "CreateRule", Resources: []string{"arn:…/k8s-bench-late1/…"}},
	}
	require.Len(t, mutating(calls), 2)
	require.Equal(t, calls[1:2], unshared(calls))
	require.InDelta(t, 9, lasted(calls), 0)
	at, ok := first(calls, "CreateRule", "late1")
	require.True(t, ok)
	require.Equal(t, int64(19), at, "a call that was refused is none")
	_, ok = first(calls, "CreateRule", "late2")
	require.False(t, ok)
	require.Equal(t, "2 CreateRule, 1 DescribeLoadBalancers, 1 DescribeRules", listed(operations(calls)))
}
