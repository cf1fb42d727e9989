package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
)

// Document is docs/conformance.md: the report, and why what is not in it is not.
func Document(report *confv1.ConformanceReport) string {
	var page strings.Builder
	fmt.Fprintf(&page, `# Conformance

The [Gateway API's conformance suite](https://gateway-api.sigs.k8s.io/concepts/conformance/), unmodified, of
version %s (%s channel), run on a real API server with real pods, with the built-in AWS in the place of AWS.
The report itself is [e2e/conformance/report.yaml](../e2e/conformance/report.yaml); `+"`just conformance`"+` makes
it and this page.

The suite knows one GatewayClass; it runs once with the class of ALBs and once with that of NLBs. In the
second run it does not wait for the Gateways that it sets up for all tests, whose listeners speak HTTP.

| profile | core | extended |
|---|---|---|
`, report.GatewayAPIVersion, report.GatewayAPIChannel)
	for _, profile := range report.ProfileReports {
		extended := "–"
		if profile.Extended != nil {
			extended = count(profile.Extended.Statistics)
		}
		fmt.Fprintf(&page, "| %s | %s | %s |\n", profile.Name, count(profile.Core.Statistics), extended)
	}

	page.WriteString("\n## Features beyond the core\n")
	for _, profile := range report.ProfileReports {
		if profile.Extended == nil || len(profile.Extended.SupportedFeatures) == 0 {
			continue
		}
		fmt.Fprintf(&page, "\n%s: %s.\n", profile.Name,
			strings.Join(slices.Sorted(slices.Values(profile.Extended.SupportedFeatures)), ", "))
	}

	page.WriteString(`
## Tests that are left out

A test is left out only where AWS's documentation rules it out. The emulator refuses it too: it does nothing
that the service does not.

| class | test | what AWS says | page |
|---|---|---|---|
`)
	for _, skip := range Skips {
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", skip.Class, skip.Test, skip.Reason, skip.Page)
	}

	page.WriteString("\n## Features that are not claimed\n\n| class | feature | what AWS says | page |\n|---|---|---|---|\n")
	for _, feature := range UnsupportedFeatures {
		class := cmp.Or(feature.Class, "both")
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", class, feature.Feature, feature.Reason, feature.Page)
	}

	page.WriteString("\n## Defects\n\n")
	if len(failed(report))+len(Missing) == 0 {
		page.WriteString("None is known.\n")
	}
	for _, name := range failed(report) {
		fmt.Fprintf(&page, "- %s runs and fails.\n", name)
	}
	for _, name := range Missing {
		fmt.Fprintf(&page, "- %s: the load balancers can do it, elbow does not yet.\n", name)
	}
	return page.String()
}

func count(s confv1.Statistics) string {
	text := fmt.Sprintf("%d passed", s.Passed)
	if s.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", s.Skipped)
	}
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d failed", s.Failed)
	}
	return text
}

func failed(report *confv1.ConformanceReport) []string {
	var names []string
	for _, profile := range report.ProfileReports {
		names = append(names, profile.Core.FailedTests...)
		if profile.Extended != nil {
			names = append(names, profile.Extended.FailedTests...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
