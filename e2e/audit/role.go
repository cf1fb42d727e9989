package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"
)

// permission is one verb for one resource of a rule, the smallest part of a role that can be missing or
// too much.
type permission struct {
	// role is its kind and name, line the line of the resource in the file.
	role string
	line int

	group, resource, verb string
	// names of the objects that it is for; all when empty.
	names []string
	// namespace that it holds in; all, and what is in none, when empty.
	namespace string
}

func (p permission) String() string {
	text := p.verb + " " + p.resource
	if p.group != "" {
		text += "." + p.group
	}
	return text
}

// document is what is read of an object in the file.
type document struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Rules    []struct {
		APIGroups     []string `yaml:"apiGroups"`
		Resources     []yaml.Node
		ResourceNames []string `yaml:"resourceNames"`
		Verbs         []string
	}
	RoleRef struct{ Kind, Name string } `yaml:"roleRef"`
}

// readRole reads the permissions of all roles in a file. A role that nothing in the file binds is an error.
func readRole(text []byte) ([]permission, error) {
	var documents []document
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var next document
		if err := decoder.Decode(&next); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		documents = append(documents, next)
	}
	var all []permission
	for _, role := range documents {
		if role.Kind != "ClusterRole" && role.Kind != "Role" {
			continue
		}
		name := role.Kind + " " + role.Metadata.Name
		isBound := func(d document) bool {
			return (d.Kind == "ClusterRoleBinding" || d.Kind == "RoleBinding") && d.RoleRef.Kind == role.Kind && d.RoleRef.Name == role.Metadata.Name
		}
		at := slices.IndexFunc(documents, isBound)
		if at < 0 {
			return nil, fmt.Errorf("%s is bound to nobody", name)
		}
		namespace := documents[at].Metadata.Namespace
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						all = append(all, permission{
							role: name, line: resource.Line,
							group: group, resource: resource.Value, verb: verb,
							names: rule.ResourceNames, namespace: namespace,
						})
					}
				}
			}
		}
	}
	return all, nil
}
