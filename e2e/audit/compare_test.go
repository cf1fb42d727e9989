package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/elbow-project/elbow/e2e/system"
)

const role = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: elbow}
rules:
  - apiGroups: [""]
    resources:
      - services
      - gateways/status
    verbs: [list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: elbow}
roleRef: {kind: ClusterRole, name: elbow}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lease, namespace: kube-system}
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [leader]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lease, namespace: kube-system}
roleRef: {kind: Role, name: lease}
`

var (
	services = system.Request{Verb: "list", Resource: "services", Role: "elbow"}
	statuses = system.Request{Verb: "list", Resource: "gateways", Subresource: "status", Role: "elbow"}
	lease    = system.Request{Verb: "get", Group: "coordination.k8s.io", Resource: "leases", Namespace: "kube-system", Name: "leader", Role: "lease"}
)

// denied is the request, refused.
func denied(r system.Request) system.Request {
	r.Denied = true
	return r
}

func TestCompare(t *testing.T) {
	permissions, err := readRole([]byte(role))
	require.NoError(t, err)
	with := func(change func(*system.Request), request system.Request) system.Request {
		change(&request)
		return request
	}
	tests := []struct {
		name     string
		requests []system.Request
		want     []string
	}{
		{"all is used, and nothing else asked for", []system.Request{services, statuses, lease}, nil},
		{
			"a rule that nothing uses",
			[]system.Request{services, lease},
			[]string{"deploy/controller/rbac.yaml:8: ClusterRole elbow: list gateways/status is never used"},
		},
		{
			"a request that was denied before the API server had read the roles",
			[]system.Request{services, statuses, lease, denied(services)},
			nil,
		},
		{
			"a request that was denied under an earlier role",
			[]system.Request{denied(services), statuses, lease},
			[]string{
				"denied, though the role allows it now: " + fmt.Sprint(denied(services)) + ": run the suites again",
				"deploy/controller/rbac.yaml:7: ClusterRole elbow: list services is never used",
			},
		},
		{
			"a request that was denied",
			[]system.Request{services, statuses, lease, {Verb: "get", Resource: "pods", Namespace: "app", Name: "web", Denied: true}},
			[]string{"denied: get pods web in app"},
		},
		{
			"a request that another role allows",
			[]system.Request{services, statuses, lease, {Verb: "get", Resource: "pods", Name: "web", Role: "admin"}},
			[]string{`not in the role, but allowed by "admin": get pods web`},
		},
		{
			"what every account may do",
			[]system.Request{services, statuses, lease, {Verb: "create", Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews", Role: "system:basic-user"}},
			nil,
		},
		{
			"a rule that is wider than its use",
			[]system.Request{with(func(r *system.Request) { r.Namespace = "kube-system" }, services), statuses, lease},
			[]string{"deploy/controller/rbac.yaml:7: ClusterRole elbow: list services is used in kube-system alone, where a Role would do"},
		},
		{
			"another object than the rule names",
			[]system.Request{services, statuses, with(func(r *system.Request) { r.Name = "other" }, lease)},
			[]string{
				`not in the role, but allowed by "lease": get leases.coordination.k8s.io other in kube-system`,
				"deploy/controller/rbac.yaml:21: Role lease: get leases.coordination.k8s.io is never used",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { require.Equal(t, test.want, compare(permissions, test.requests)) })
	}
}

func TestARoleThatNobodyHasIsAnError(t *testing.T) {
	_, err := readRole([]byte("kind: ClusterRole\nmetadata: {name: elbow}\n"))
	require.ErrorContains(t, err, "ClusterRole elbow is bound to nobody")
}
