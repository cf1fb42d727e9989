package conformance

// A Skip is a test that the load balancer of a class cannot pass by AWS's documentation.
type Skip struct {
	// Class of the run that leaves it out.
	Class string
	// Test is its short name in the suite.
	Test string
	// Reason is what AWS says, in our words.
	Reason string
	// Page is the name of AWS's page that says so.
	Page string
}

// Skips are all tests that are left out. A test that elbow does not pass yet does not belong here: it
// runs and fails.
var Skips = []Skip{
	{"alb", "HTTPRouteRequestHeaderModifier", noRequestHeaders, pageHeaders},
	{"alb", "HTTPRouteRewriteHost", "Rewrites work; the test's routes set and remove request headers as well. " + noRequestHeaders, pageHeaders},
	{"alb", "HTTPRouteRewritePath", "Rewrites work; the test's routes set and remove request headers as well. " + noRequestHeaders, pageHeaders},
	{"alb", "GatewayInfrastructureMetadata", noProgramInCluster, pageELB},
	{"alb", "HTTPRouteRedirectPortAndScheme", "The test redirects HTTPS to HTTP; redirect actions go from HTTP to either and from HTTPS to HTTPS, but never from HTTPS to HTTP.", pageActions},

	{"nlb", "GatewayInfrastructureMetadata", noProgramInCluster, pageELB},
	{"nlb", "GatewayInvalidRouteKind", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "GatewayListenerUnsupportedProtocol", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "GatewayInvalidTLSConfiguration", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "GatewayModifyListeners", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "GatewayObservedGenerationBump", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "GatewaySecretInvalidReferenceGrant", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "GatewaySecretMissingReferenceGrant", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "GatewaySecretReferenceGrantAllInNamespace", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "GatewaySecretReferenceGrantSpecific", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "TCPRouteInvalidNonTCPListener", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "TLSRouteInvalidNoMatchingListener", noHTTPOnNLB, pageNLBListeners},
	{"nlb", "TLSRouteHostnameIntersection", noSNIOnNLB, pageNLBListeners},
	{"nlb", "TLSRouteInvalidBackendRefNonexistent", noConnectionOfItsOwn, pageNLBMetrics},
	{"nlb", "TLSRouteInvalidBackendRefUnknownKind", noConnectionOfItsOwn, pageNLBMetrics},
	{"nlb", "TLSRouteTerminateSimpleSameNamespace", "A certificate that is not self-signed is imported with the chain of its issuers; the suite's Secret has a certificate of a CA of its own and no chain.", "Prerequisites for importing ACM certificates"},
}

// Skipped are the tests that the run of a class leaves out.
func Skipped(class string) []string {
	var names []string
	for _, skip := range Skips {
		if skip.Class == class {
			names = append(names, skip.Test)
		}
	}
	return names
}

// An Unsupported feature of the Gateway API is one that the load balancers of its profiles do not have.
type Unsupported struct {
	// Feature is its name in the suite.
	Feature string
	// Class of the load balancers that lack it; empty when both do.
	Class string
	// Reason is what AWS says, in our words.
	Reason string
	// Page is the name of AWS's page that says so.
	Page string
}

const (
	pageHeaders      = "HTTP header modification for your Application Load Balancer"
	pageRules        = "Listener rules for your Application Load Balancer"
	pageActions      = "Action types for listener rules"
	pageAttributes   = "Edit attributes for your Application Load Balancer"
	pageTargetGroups = "Target groups for your Application Load Balancers"
	pageHTTPS        = "Create an HTTPS listener for your Application Load Balancer"
	pageALB          = "Application Load Balancers"
	pageNLBListeners = "Listeners for your Network Load Balancers"
	pageELB          = "What is Elastic Load Balancing?"
	pageNLBMetrics   = "CloudWatch metrics for your Network Load Balancer"

	noHTTPOnNLB = "Listeners of an NLB speak TCP, UDP and TLS; the suite's test has HTTP or HTTPS listeners that must be accepted."
	noSNIOnNLB  = "A listener of an NLB has one default action and no rules; it does not choose targets by the server name of a TLS connection."
	// The suite takes a reset or an end after the handshake, and no refused one.
	noConnectionOfItsOwn = "An NLB does not end TCP connections itself: one comes about with a target or not at all. The suite's test has no target and wants a connection that is accepted and then closed."
	noProgramInCluster   = "Labels and annotations go to the TargetGroupBindings of the Gateway; the test looks for them on a ServiceAccount, a Pod or a Service that implements it. A load balancer runs in AWS and is none of these."
	noRequestHeaders     = "A listener of an ALB can rename the headers that tell of TLS and set fixed response headers; it cannot add, set or remove request headers of choice."
)

func (u Unsupported) appliesTo(class string) bool { return u.Class == "" || u.Class == class }

// UnsupportedFeatures are all extended features that are not claimed.
var UnsupportedFeatures = []Unsupported{
	{"BackendTLSPolicy", "", "An ALB encrypts to its targets but does not verify their certificates, so it cannot be told a CA, a host name or alternative names to verify.", pageTargetGroups},
	{"BackendTLSPolicySANValidation", "", "As for BackendTLSPolicy: certificates of targets are not verified.", pageTargetGroups},
	{"GatewayBackendClientCertificate", "", "An ALB presents no client certificate to its targets; there is nothing to configure one with.", pageTargetGroups},
	{"GatewayFrontendClientCertificateValidationInsecureFallback", "nlb", noHTTPOnNLB, pageNLBListeners},
	{"GatewayHTTPSListenerDetectMisdirectedRequests", "", "An ALB does not compare the host of a request with the server name of its connection and never answers 421.", pageRules},
	{"HTTPRoute303RedirectStatusCode", "", "Redirect actions answer 301 or 302.", pageActions},
	{"HTTPRoute307RedirectStatusCode", "", "Redirect actions answer 301 or 302.", pageActions},
	{"HTTPRoute308RedirectStatusCode", "", "Redirect actions answer 301 or 302.", pageActions},
	{"HTTPRouteBackendProtocolH2C", "", "A target group of version HTTP2 serves requests that came over HTTP/2 only, and clients speak HTTP/2 to HTTPS listeners only; the suite asks over plain HTTP.", pageTargetGroups},
	{"HTTPRouteBackendRequestHeaderModification", "", "Rules have no action that changes request headers, let alone one for each target group.", pageHeaders},
	{"HTTPRouteBackendTimeout", "", "The idle timeout belongs to the load balancer; rules and target groups have no time limit.", pageAttributes},
	{"HTTPRouteCORS", "", "Listeners set fixed Access-Control headers for all their requests; they neither compare an Origin nor answer preflight requests.", pageHeaders},
	{"HTTPRouteQueryParamMatching", "", "Rules compare query strings without regard to case, keys as well as values; the suite's test tells ?ANIMAL=Whale from ?animal=whale.", "QueryStringConditionConfig"},
	{"HTTPRouteRequestMirror", "", "Rules forward, redirect, answer or authenticate; none sends a copy.", pageActions},
	{"HTTPRouteRequestMultipleMirrors", "", "As for HTTPRouteRequestMirror.", pageActions},
	{"HTTPRouteRequestPercentageMirror", "", "As for HTTPRouteRequestMirror.", pageActions},
	{"HTTPRouteRequestTimeout", "", "The idle timeout belongs to the load balancer; rules have no time limit.", pageAttributes},
	{"HTTPRouteResponseHeaderModification", "", "Listeners set a fixed list of response headers for all their requests; rules change none.", pageHeaders},
	{"HTTPRouteRetry", "", "An ALB answers 502, 503 or 504 for a request that its target failed; it is not told to try again.", pageALB},
	{"HTTPRouteRetryBackendTimeout", "", "As for HTTPRouteRetry.", pageALB},
	{"HTTPRouteRetryConnectionError", "", "As for HTTPRouteRetry.", pageALB},
	{"TLSRouteModeMixed", "", "A port of an NLB has one listener, which either ends TLS or passes it on.", pageNLBListeners},
	{"GatewayStaticAddresses", "alb", "The addresses of an ALB are AWS's choice and change over time; a load balancer takes none from its creator.", pageALB},
	{"GatewayStaticAddresses", "nlb", noHTTPOnNLB, pageNLBListeners},
	{"GatewayAddressEmpty", "nlb", noHTTPOnNLB, pageNLBListeners},
	{"GatewayFrontendClientCertificateValidation", "nlb", noHTTPOnNLB, pageNLBListeners},
	{"GatewayHTTPListenerIsolation", "nlb", noHTTPOnNLB, pageNLBListeners},
	{"GatewayPort8080", "nlb", noHTTPOnNLB, pageNLBListeners},
	{"ListenerSet", "nlb", noHTTPOnNLB, pageNLBListeners},
}

// Missing are features that the load balancers have and elbow does not make use of yet. They are defects.
var Missing []string
