package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/elbow-project/elbow/e2e/system"
)

// ownNamespace is where the controller runs: what it does there alone needs no role for the whole cluster.
const ownNamespace = system.Namespace

// allows tells whether a permission covers a request, as the API server judges it.
func (p permission) allows(r system.Request) bool {
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	return p.verb == r.Verb && p.group == r.Group && p.resource == resource &&
		(p.namespace == "" || p.namespace == r.Namespace) &&
		(len(p.names) == 0 || slices.Contains(p.names, r.Name))
}

// compare says what is wrong with permissions, given all requests that were made.
func compare(permissions []permission, requests []system.Request) []string {
	findings := map[string]bool{}
	// The namespaces in which each permission was used.
	used := make([]map[string]bool, len(permissions))
	for _, request := range requests {
		if request.Denied {
			continue
		}
		isOurs := false
		for i, permission := range permissions {
			if permission.allows(request) {
				isOurs = true
				if used[i] == nil {
					used[i] = map[string]bool{}
				}
				used[i][request.Namespace] = true
			}
		}
		// What any account may ask, of itself and of the API.
		if !isOurs && !strings.HasPrefix(request.Role, "system:") {
			findings[fmt.Sprintf("not in the role, but allowed by %q: %v", request.Role, request)] = true
		}
	}
	for _, request := range requests {
		if !request.Denied {
			continue
		}
		finding := "denied: %v"
		for i, permission := range permissions {
			switch {
			case !permission.allows(request):
			case used[i] != nil:
				// An API server that has just started denies everything until it has read the roles.
				finding = ""
			case finding != "":
				finding = "denied, though the role allows it now: %v: run the suites again"
			}
		}
		if finding != "" {
			findings[fmt.Sprintf(finding, request)] = true
		}
	}
	var sorted []string
	for finding := range findings {
		sorted = append(sorted, finding)
	}
	slices.Sort(sorted)
	for i, permission := range permissions {
		switch {
		case used[i] == nil:
			sorted = append(sorted, fmt.Sprintf("%s:%d: %s: %v is never used", roleFile, permission.line, permission.role, permission))
		case permission.namespace == "" && len(used[i]) == 1 && used[i][ownNamespace]:
			sorted = append(sorted, fmt.Sprintf("%s:%d: %s: %v is used in %s alone, where a Role would do", roleFile, permission.line, permission.role, permission, ownNamespace))
		}
	}
	return sorted
}
