package testcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"github.com/elbow-project/elbow/e2e/cluster/gatewayapi"
	"github.com/elbow-project/elbow/e2e/cluster/programs"
)

const (
	// fieldManager is as whom objects are applied.
	fieldManager = "elbow-e2e"
	// establishTimeout is more than the API server needs to serve a new kind.
	establishTimeout = 30 * time.Second
	// establishPeriod is how often it is looked whether it does.
	establishPeriod = 50 * time.Millisecond
)

// Apply applies the objects of YAML documents, on the server's side. It returns when kinds that they
// define are served.
func (c *Cluster) Apply(ctx context.Context, manifests ...[]byte) error {
	applier, err := c.newApplier()
	if err != nil {
		return err
	}
	var definitions []string
	for _, manifest := range manifests {
		objects, err := decode(manifest)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if err := applier.apply(ctx, object); err != nil {
				return fmt.Errorf("cannot apply %s %s: %w", object.GetKind(), object.GetName(), err)
			}
			if object.GetKind() == "CustomResourceDefinition" {
				definitions = append(definitions, object.GetName())
			}
		}
	}
	for _, name := range definitions {
		if err := applier.waitEstablished(ctx, name); err != nil {
			return fmt.Errorf("the kind of %s is not served: %w", name, err)
		}
	}
	return nil
}

// InstallGatewayAPI installs the Gateway API's custom resources, and its policy about upgrades.
func (c *Cluster) InstallGatewayAPI(ctx context.Context, version gatewayapi.Version, channel gatewayapi.Channel) error {
	source, err := programs.Source()
	if err != nil {
		return err
	}
	manifests, err := gatewayapi.Manifests(ctx, source, version, channel)
	if err != nil {
		return err
	}
	return c.Apply(ctx, manifests...)
}

// decode reads the objects of a stream of YAML documents.
func decode(manifest []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		object := new(unstructured.Unstructured)
		err := documents.Decode(&object.Object)
		switch {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("cannot read a manifest: %w", err)
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}

// applier applies objects of any kind.
type applier struct {
	client dynamic.Interface
	kinds  *restmapper.DeferredDiscoveryRESTMapper
}

func (c *Cluster) newApplier() (*applier, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	return &applier{client: client, kinds: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discoverer))}, nil
}

func (a *applier) apply(ctx context.Context, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	// It asks the server again by itself when it does not know a kind.
	mapping, err := a.kinds.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	resources := dynamic.ResourceInterface(a.client.Resource(mapping.Resource))
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		namespace := object.GetNamespace()
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		resources = a.client.Resource(mapping.Resource).Namespace(namespace)
	}
	_, err = resources.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

// waitEstablished waits until the API server serves what a definition defines.
func (a *applier) waitEstablished(ctx context.Context, name string) error {
	definitions := a.client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	return wait.PollUntilContextTimeout(ctx, establishPeriod, establishTimeout, true, func(ctx context.Context) (bool, error) {
		object, err := definitions.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, err
		}
		if err != nil {
			return false, nil
		}
		conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
		if err != nil {
			return false, err
		}
		for _, entry := range conditions {
			condition, ok := entry.(map[string]any)
			if ok && condition["type"] == "Established" && condition["status"] == "True" {
				return true, nil
			}
		}
		return false, nil
	})
}
