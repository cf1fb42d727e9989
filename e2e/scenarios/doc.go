// Package scenarios shows elbow at work as its users see it: kubectl in, load balancers with real pods
// behind them out, and what goes wrong on the way.
//
// Each test has a cluster, an emulator and a controller of its own, and looks at three things only: what
// the API server says, what the load balancers answer, and what stands in AWS.
package scenarios
