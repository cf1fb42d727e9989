package system

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRequestsAreThoseOfTheController(t *testing.T) {
	const log = `{"verb":"list","user":{"username":"system:serviceaccount:kube-system:elbow"},"objectRef":{"resource":"services","apiVersion":"v1"},"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"elbow\" of ClusterRole \"elbow\" to ServiceAccount \"elbow/kube-system\""}}
{"verb":"list","user":{"username":"system:serviceaccount:kube-system:elbow"},"objectRef":{"resource":"services","apiVersion":"v1"},"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"elbow\" of ClusterRole \"elbow\" to ServiceAccount \"elbow/kube-system\""}}
{"verb":"get","user":{"username":"system:serviceaccount:kube-system:elbow"},"requestURI":"/apis"}
{"verb":"delete","user":{"username":"kubernetes-admin"},"objectRef":{"resource":"services","namespace":"app","name":"web"}}
{"verb":"patch","user":{"username":"system:serviceaccount:kube-system:elbow"},"objectRef":{"resource":"gateways","namespace":"app","name":"web","apiGroup":"gateway.networking.k8s.io","subresource":"status"},"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}}
{"verb":"patch","user":{"username":"system:serviceaccount:kube-system:elbow"},"objectRef":{"resource":"configmaps","namespace":"kube-system","name":"elbow-records"},"responseStatus":{"code":201},"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"elbow/kube-system\" of Role \"elbow\" to ServiceAccount \"elbow/kube-system\""}}
{"verb":"get","us`
	requests, err := readRequests(strings.NewReader(log))
	require.NoError(t, err)
	require.Equal(t, []Request{
		{Verb: "create", Resource: "configmaps", Namespace: "kube-system", Role: "elbow"},
		{Verb: "list", Resource: "services", Role: "elbow"},
		{Verb: "patch", Resource: "configmaps", Namespace: "kube-system", Name: "elbow-records", Role: "elbow"},
		{Verb: "patch", Group: "gateway.networking.k8s.io", Resource: "gateways", Subresource: "status", Namespace: "app", Name: "web", Denied: true},
	}, requests)
}
