package conformance

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	suiteassets "sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// Base is what becomes of the Gateways that the suite creates for all tests. Their listeners speak HTTP
// and HTTPS.
type Base int

const (
	// Awaited Gateways must be ready before any test runs.
	Awaited Base = iota
	// Passed over are Gateways of a class whose load balancers do not speak HTTP.
	PassedOver
)

// A Run is one pass of the suite.
type Run struct {
	// Class is the GatewayClass under test.
	Class string
	// Controller is the class's controllerName.
	Controller string
	// Profiles that the class's load balancer is for.
	Profiles []suite.ConformanceProfileName
	// Features beyond those that the profiles require. Every one that the load balancer can express.
	Features []features.FeatureName
	// Base says what becomes of the Gateways that the suite creates for all tests.
	Base Base
}

// Runs are all passes, in the order in which they are made.
var Runs = []Run{
	{
		Class:      "alb",
		Controller: "gateway.k8s.aws/alb",
		Base:       Awaited,
		Profiles:   []suite.ConformanceProfileName{suite.GatewayHTTPConformanceProfileName},
		Features: []features.FeatureName{
			features.SupportGatewayAddressEmpty,
			features.SupportGatewayFrontendClientCertificateValidation,
			features.SupportGatewayFrontendClientCertificateValidationInsecureFallback,
			features.SupportGatewayHTTPListenerIsolation,
			features.SupportGatewayInfrastructure,
			features.SupportGatewayPort8080,
			features.SupportHTTPRouteBackendProtocolWebSocket,
			features.SupportHTTPRouteDestinationPortMatching,
			features.SupportHTTPRouteHostRewrite,
			features.SupportHTTPRouteMethodMatching,
			features.SupportHTTPRouteNamedRouteRule,
			features.SupportHTTPRouteParentRefPort,
			features.SupportHTTPRoutePathRedirect,
			features.SupportHTTPRoutePathRewrite,
			features.SupportHTTPRoutePortRedirect,
			features.SupportHTTPRouteSchemeRedirect,
			features.SupportListenerSet,
		},
	},
	{
		Class:      "nlb",
		Controller: "gateway.k8s.aws/nlb",
		Base:       PassedOver,
		Profiles: []suite.ConformanceProfileName{
			suite.GatewayTCPConformanceProfileName,
			suite.GatewayUDPConformanceProfileName,
			suite.GatewayTLSConformanceProfileName,
		},
		Features: []features.FeatureName{
			features.SupportGatewayInfrastructure,
			features.SupportTLSRouteModeTerminate,
		},
	},
}

// RunSuite makes one pass. take is given the report when the test ends: parallel tests run until then.
func RunSuite(t *testing.T, run Run, take func(*confv1.ConformanceReport)) {
	opts := suiteassets.DefaultOptions(t)
	opts.GatewayClassName = run.Class
	opts.ConformanceProfiles = run.Profiles
	opts.SupportedFeatures = run.Features
	opts.SkipTests = append(opts.SkipTests, Skipped(run.Class)...)
	opts.Implementation = Implementation
	opts.ManifestFS = []fs.FS{manifestsOf(run)}
	// The report is written once, of both runs.
	opts.ReportOutputPath = ""

	conformance, err := suite.NewConformanceTestSuite(opts)
	require.NoError(t, err, "the suite refuses its options")
	t.Cleanup(func() {
		report, err := conformance.Report()
		if err != nil {
			t.Errorf("there is no report: %v", err)
			return
		}
		take(report)
	})
	conformance.Setup(t, tests.ConformanceTests)
	require.NoError(t, conformance.Run(t, tests.ConformanceTests))
}

// Merge makes one report of those of all runs: they differ in their profiles only. Profiles and tests
// come by name, since the suite gives the profiles of a run in no order.
func Merge(reports []*confv1.ConformanceReport) (*confv1.ConformanceReport, error) {
	if len(reports) == 0 {
		return nil, fmt.Errorf("there is no report: no run came to its end")
	}
	merged := *reports[0]
	merged.ProfileReports = nil
	merged.SucceededProvisionalTests = nil
	for _, report := range reports {
		if report.GatewayAPIVersion != merged.GatewayAPIVersion ||
			report.GatewayAPIChannel != merged.GatewayAPIChannel {
			return nil, fmt.Errorf("the runs saw different Gateway APIs: %s %s and %s %s",
				merged.GatewayAPIVersion, merged.GatewayAPIChannel,
				report.GatewayAPIVersion, report.GatewayAPIChannel)
		}
		merged.ProfileReports = append(merged.ProfileReports, report.ProfileReports...)
		merged.SucceededProvisionalTests = append(merged.SucceededProvisionalTests,
			report.SucceededProvisionalTests...)
	}
	slices.SortFunc(merged.ProfileReports, func(a, b confv1.ProfileReport) int {
		return cmp.Compare(a.Name, b.Name)
	})
	slices.Sort(merged.SucceededProvisionalTests)
	return &merged, nil
}

// Implementation is how the report names elbow.
var Implementation = confv1.Implementation{
	Organization: "elbow-project",
	Project:      "elbow",
	URL:          "https://github.com/elbow-project/elbow",
	Version:      "0.1.0",
	Contact:      []string{"https://github.com/elbow-project/elbow/issues"},
}

// baseManifests is where the suite looks for what it creates for all tests.
const baseManifests = "base/manifests.yaml"

// manifests are the suite's, with other base manifests.
type manifests struct {
	fs.FS
	base fstest.MapFS
}

// manifestsOf marks the Gateways of the suite's base manifests as not to be waited for, where the run
// passes over them. The mark is the suite's own; the file system is one of [suite.ConformanceOptions].
func manifestsOf(run Run) fs.FS {
	content, err := suiteassets.Manifests.ReadFile(baseManifests)
	if err != nil {
		panic(fmt.Sprintf("the suite has no %s any more: %v", baseManifests, err))
	}
	if run.Base == PassedOver {
		const gateway = "kind: Gateway\nmetadata:\n"
		mark := fmt.Sprintf("  annotations:\n    %s: \"true\"\n", kubernetes.GatewayExcludedFromReadinessChecks)
		content = bytes.ReplaceAll(content, []byte(gateway), []byte(gateway+mark))
	}
	base := fstest.MapFS{baseManifests: &fstest.MapFile{Data: content, Mode: 0o444}}
	return manifests{FS: &suiteassets.Manifests, base: base}
}

func (m manifests) Open(name string) (fs.File, error) {
	if name == baseManifests {
		return m.base.Open(name)
	}
	return m.FS.Open(name)
}
