// Command bench measures `elbow controller` on a real API server, with the emulator's call log.
//
// In: an elbow, by ELBOW_BIN or cargo's target folder. Out: a table beside the figures of the AWS Load
// Balancer Controller and the aims, as Markdown on standard output and as JSON in a file.
// Always: counts and times of calls come from the call log, memory from the kernel, statuses from the API
// server; the emulator runs at AWS's speed. A row that misses its aim says so.
//
// Start at run. TestCallBudget holds the aims that are counts.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/elbow-project/elbow/e2e/cluster/programs"
	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
)

func main() { os.Exit(testcluster.RunInside(inside)) }

// options say how much is measured.
type options struct {
	gateways, pods, repeats int
	// only is part of the names of the steps that are taken.
	only, json, document string
}

func inside() int {
	var chosen options
	flag.IntVar(&chosen.gateways, "gateways", 30, "how many Gateways")
	flag.IntVar(&chosen.pods, "pods", 20_000, "how many pods that no Gateway leads to")
	flag.IntVar(&chosen.repeats, "repeats", 10, "how often a time is measured")
	flag.StringVar(&chosen.only, "only", "", "what to measure, by a part of what a run says of each step")
	flag.StringVar(&chosen.json, "json", "", "a file for all figures; bench.json in the folder of what is built if not given")
	flag.StringVar(&chosen.document, "document", "", "a page of documentation to write")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, chosen); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		return 1
	}
	return 0
}

// run measures, prints, and writes the file.
func run(ctx context.Context, chosen options) (err error) {
	b, err := start(ctx)
	defer b.stop()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w; logs are in %s", err, b.system.Logs())
		}
	}()
	report, err := b.measure(ctx, chosen)
	if report == nil {
		return err
	}
	isWhole := err == nil && chosen.only == ""
	err = errors.Join(err, report.Print(os.Stdout))
	if isWhole && chosen.document != "" {
		err = errors.Join(err, report.writeDocument(chosen.document))
	}
	file, fileErr := chosen.jsonFile()
	if fileErr != nil {
		return errors.Join(err, fileErr)
	}
	text, marshalErr := json.MarshalIndent(report, "", "  ")
	if marshalErr != nil {
		return errors.Join(err, marshalErr)
	}
	fmt.Fprintf(os.Stderr, "all figures: %s\n", file)
	return errors.Join(err, os.WriteFile(file, append(text, '\n'), 0o644))
}

func (o options) jsonFile() (string, error) {
	if o.json != "" {
		return o.json, nil
	}
	source, err := programs.Source()
	if err != nil {
		return "", err
	}
	cache, err := programs.Cache(source)
	return filepath.Join(cache, "bench.json"), err
}
