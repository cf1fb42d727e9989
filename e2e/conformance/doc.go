// Package conformance runs the Gateway API's own conformance suite, unmodified, against elbow.
//
// In: a cluster of its own with elbow in it, which serves the classes "alb" and "nlb". Out: report.yaml
// beside this file, and docs/conformance.md.
//
// The suite knows one GatewayClass. elbow, as AWS, has two kinds of load balancer: an ALB routes HTTP,
// an NLB passes TCP, UDP and TLS on. So the suite runs twice, once for each class with the profiles that
// its load balancer is for, and the report holds the profiles of both runs.
//
// What is not run is in skips.go, with the documentation of AWS that rules it out, and nowhere else.
package conformance
