// Command audit compares the role that elbow is shipped with with what `elbow controller` asked of real API
// servers.
//
// In: deploy/controller/rbac.yaml, and what the test suites kept of the API servers' audit logs. Out: what
// was denied, what was allowed by no role of ours, and the rules that nothing used, with file and line.
// Exit status 1 when there is any of it, or when a suite has not run with this elbow.
//
// Run the suites first: `just conformance scenarios audit`.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/elbow-project/elbow/e2e/cluster/programs"
	"github.com/elbow-project/elbow/e2e/system"
)

// roleFile is the role, from the repository's top.
const roleFile = "deploy/controller/rbac.yaml"

func main() {
	needed := flag.String("suites", "conformance,scenarios", "suites that must have run with this elbow")
	flag.Parse()
	findings, err := run(strings.Split(*needed, ","))
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
	for _, finding := range findings {
		fmt.Println(finding)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
}

// run compares and says what is wrong.
func run(needed []string) ([]string, error) {
	source, err := programs.Source()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(source), roleFile))
	if err != nil {
		return nil, fmt.Errorf("cannot read the role: %w", err)
	}
	permissions, err := readRole(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", roleFile, err)
	}
	kept, err := system.KeptRequests()
	if err != nil {
		return nil, err
	}
	distinct := map[system.Request]bool{}
	runs := map[string]int{}
	for _, system := range kept {
		runs[system.Suite]++
		for _, request := range system.Requests {
			distinct[request] = true
		}
	}
	for _, suite := range needed {
		if suite != "" && runs[suite] == 0 {
			return nil, fmt.Errorf("the suite %s has not run with this elbow: `just %s` runs it", suite, suite)
		}
	}
	findings := compare(permissions, slices.Collect(maps.Keys(distinct)))
	fmt.Fprintf(os.Stderr, "%d rules of one verb, %d different requests in %d clusters: %d findings\n",
		len(permissions), len(distinct), len(kept), len(findings))
	return findings, nil
}
