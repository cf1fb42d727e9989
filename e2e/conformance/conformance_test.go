package conformance

import (
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
	"sigs.k8s.io/yaml"

	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
	"github.com/elbow-project/elbow/e2e/system"
)

// reportFile is what the run writes, beside the docs that are made of it.
const (
	reportFile   = "report.yaml"
	documentFile = "../../docs/conformance.md"
)

// featureGates of elbow's own, which a controller that takes over from another leaves off.
const featureGates = "--feature-gates=ListenerIsolation=true,HostnamePorts=true"

// check is for those who look whether the report is true still, and write none.
var check = flag.Bool("check", false, "hold the results to the report instead of writing it")

func TestMain(m *testing.M) { os.Exit(testcluster.RunTests(m)) }

// TestConformance runs the suite for each class. The suite's own flags work after -args:
// "-args -run-test=HTTPRouteMatching" runs one test, and then no report is written.
func TestConformance(t *testing.T) {
	var reports []*confv1.ConformanceReport
	for _, run := range Runs {
		t.Run(run.Class, func(t *testing.T) {
			runInCluster(t, run, func(report *confv1.ConformanceReport) { reports = append(reports, report) })
		})
	}
	if isPartial() {
		t.Log("a part of the suite was run: the report stays as it was")
		return
	}
	report, err := Merge(reports)
	require.NoError(t, err)
	if *check {
		require.Equal(t, read(t).ProfileReports, report.ProfileReports, "`just conformance` makes the report anew")
		return
	}
	content, err := yaml.Marshal(report)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(reportFile, content, 0o644))
	require.NoError(t, os.WriteFile(documentFile, []byte(Document(report)), 0o644))
}

// runInCluster makes one pass in a cluster of its own: the suite does not wait for what it deletes.
func runInCluster(t *testing.T, run Run, take func(*confv1.ConformanceReport)) {
	cluster, err := testcluster.Up(t.Context(), testcluster.Options{})
	require.NoError(t, err)
	t.Cleanup(cluster.Down)
	s, err := system.Start(t.Context(), cluster, system.Options{ControllerFlags: []string{featureGates}})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	t.Logf("logs are in %s", cluster.Logs)
	require.NoError(t, s.Apply(t.Context(), "testdata/classes.yaml"))
	t.Setenv("KUBECONFIG", cluster.Kubeconfig)
	RunSuite(t, run, take)
}

// isPartial says whether the suite's flags leave out what a report needs.
func isPartial() bool {
	partial := false
	flag.Visit(func(f *flag.Flag) {
		partial = partial || f.Name == "run-test" || f.Name == "skip-tests" || f.Name == "test.run"
	})
	return partial
}

// TestMergeIsInOrder holds a merged report to one order, however the suite gives the profiles.
func TestMergeIsInOrder(t *testing.T) {
	run := func(profiles ...string) *confv1.ConformanceReport {
		report := new(confv1.ConformanceReport)
		for _, name := range profiles {
			report.ProfileReports = append(report.ProfileReports, confv1.ProfileReport{Name: name})
		}
		return report
	}
	merged, err := Merge([]*confv1.ConformanceReport{run("GATEWAY-UDP", "GATEWAY-TCP"), run("GATEWAY-HTTP")})
	require.NoError(t, err)
	var names []string
	for _, profile := range merged.ProfileReports {
		names = append(names, profile.Name)
	}
	require.Equal(t, []string{"GATEWAY-HTTP", "GATEWAY-TCP", "GATEWAY-UDP"}, names)
}

// TestDocumentIsOfReport holds docs/conformance.md to the report.
func TestDocumentIsOfReport(t *testing.T) {
	document, err := os.ReadFile(documentFile)
	require.NoError(t, err)
	require.Equal(t, Document(read(t)), string(document), "`just conformance` makes it anew")
}

// read gives the report as it was last written.
func read(t *testing.T) *confv1.ConformanceReport {
	t.Helper()
	content, err := os.ReadFile(reportFile)
	require.NoError(t, err)
	report := new(confv1.ConformanceReport)
	require.NoError(t, yaml.Unmarshal(content, report))
	return report
}

// TestEveryFeatureIsDecided holds the lists of features to what the profiles offer: each is claimed by a
// run, has its reason, or is a defect.
func TestEveryFeatureIsDecided(t *testing.T) {
	for _, run := range Runs {
		offered := sets.Set[features.FeatureName]{}
		for _, profile := range run.Profiles {
			offered = offered.Union(profiles[profile].ExtendedFeatures)
		}
		for _, profile := range run.Profiles {
			offered = offered.Difference(profiles[profile].CoreFeatures)
		}
		for _, feature := range run.Features {
			require.Truef(t, offered.Has(feature), "%s: no profile of this run has %s", run.Class, feature)
		}
		for feature := range offered {
			reasons := 0
			for _, unsupported := range UnsupportedFeatures {
				if unsupported.Feature == string(feature) && unsupported.appliesTo(run.Class) {
					reasons++
				}
			}
			if slices.Contains(Missing, string(feature)) {
				continue
			}
			claimed := slices.Contains(run.Features, feature)
			require.Falsef(t, claimed && reasons > 0, "%s: %s is claimed and ruled out", run.Class, feature)
			require.Truef(t, claimed || reasons == 1, "%s: %s is neither claimed nor ruled out", run.Class, feature)
		}
	}
}

var profiles = map[suite.ConformanceProfileName]suite.ConformanceProfile{
	suite.GatewayHTTPConformanceProfileName: suite.GatewayHTTPConformanceProfile,
	suite.GatewayTCPConformanceProfileName:  suite.GatewayTCPConformanceProfile,
	suite.GatewayUDPConformanceProfileName:  suite.GatewayUDPConformanceProfile,
	suite.GatewayTLSConformanceProfileName:  suite.GatewayTLSConformanceProfile,
}

// TestSkipsNameTests holds the list of skipped tests to the tests that there are.
func TestSkipsNameTests(t *testing.T) {
	known := map[string]bool{}
	for _, test := range tests.ConformanceTests {
		known[test.ShortName] = true
	}
	for _, skip := range Skips {
		require.Truef(t, known[skip.Test], "the suite has no test %s", skip.Test)
		require.NotEmptyf(t, skip.Reason, "%s is skipped without a reason", skip.Test)
		require.NotEmptyf(t, skip.Page, "%s is skipped without a page of AWS", skip.Test)
	}
}
