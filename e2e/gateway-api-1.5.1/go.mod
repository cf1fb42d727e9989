// The Gateway API's custom resources as of 1.5.1. A module of its own, as e2e/go.mod has a later version.
module github.com/elbow-project/elbow/e2e/gateway-api-1.5.1

go 1.26.0

require sigs.k8s.io/gateway-api v1.5.1
