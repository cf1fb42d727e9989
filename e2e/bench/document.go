package main

import (
	"fmt"
	"os"
	"strings"
)

// preface is what a reader of the table has to know first.
const preface = `# What the controller costs

Calls to AWS, times and memory of ` + "`elbow controller`" + `, beside the [AWS Load Balancer Controller](https://github.com/kubernetes-sigs/aws-load-balancer-controller)
(LBC) v3.5.0, which was measured on the same kind of machine, and beside what elbow aims at. ` + "`just bench-controller`" + `
measures elbow anew, as it is shipped (the profile ` + "`dist`" + `), and writes this page; ` + "`TestCallBudget`" + ` in e2e/bench holds the counts.

A Gateway here is an ALB with 2 listeners, 10 rules (5 on each listener) and 5 target groups. The cluster is a real API server with
etcd; in AWS's place is ` + "`elbow emulator`" + `, reached over HTTP by the AWS SDKs, at AWS's speed but for how long AWS takes to
set up a load balancer (half a second where that is not the measure). Counts and times of calls are those of the
emulator's log, memory that of the kernel, statuses those of the API server. Times are medians, counts the worst case.
`

// writeDocument writes the page.
func (r Report) writeDocument(file string) error {
	var text strings.Builder
	text.WriteString(preface + "\n## Figures\n\n")
	if err := r.Print(&text); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}
