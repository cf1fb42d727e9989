package kubelet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// variables is the environment of a container, as NAME=VALUE.
func (p *pod) variables(ctx context.Context, container *corev1.Container) ([]string, error) {
	object := p.object()
	variables := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOSTNAME=" + hostname(object),
		"HOME=/root",
		// Where programs in pods look for the API server.
		"KUBERNETES_SERVICE_HOST=" + p.kubelet.options.APIServer.String(),
		"KUBERNETES_SERVICE_PORT=443",
		"KUBERNETES_SERVICE_PORT_HTTPS=443",
	}
	for _, source := range container.EnvFrom {
		values, err := p.valuesFrom(ctx, source)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			variables = append(variables, source.Prefix+name+"="+values[name])
		}
	}
	for _, variable := range container.Env {
		text := expandVariables(variable.Value, variables)
		if variable.ValueFrom != nil {
			value, found, err := p.valueFrom(ctx, variable.ValueFrom)
			if err != nil {
				return nil, fmt.Errorf("cannot set the variable %s: %w", variable.Name, err)
			}
			if !found {
				continue
			}
			text = value
		}
		variables = append(variables, variable.Name+"="+text)
	}
	return variables, nil
}

// valuesFrom are all values of a ConfigMap or Secret.
func (p *pod) valuesFrom(ctx context.Context, source corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case source.ConfigMapRef != nil:
		return texts(p.configMap(ctx, source.ConfigMapRef.Name, source.ConfigMapRef.Optional))
	case source.SecretRef != nil:
		return texts(p.secret(ctx, source.SecretRef.Name, source.SecretRef.Optional))
	default:
		return nil, fmt.Errorf("cannot take the environment from a source of an unknown kind")
	}
}

// valueFrom is one value; found is false for one that is optional and not there.
func (p *pod) valueFrom(ctx context.Context, source *corev1.EnvVarSource) (value string, found bool, err error) {
	var values map[string][]byte
	var key string
	var optional *bool
	switch {
	case source.FieldRef != nil:
		value, err := p.field(source.FieldRef.FieldPath)
		return value, err == nil, err
	case source.ConfigMapKeyRef != nil:
		key, optional = source.ConfigMapKeyRef.Key, source.ConfigMapKeyRef.Optional
		values, err = p.configMap(ctx, source.ConfigMapKeyRef.Name, optional)
	case source.SecretKeyRef != nil:
		key, optional = source.SecretKeyRef.Key, source.SecretKeyRef.Optional
		values, err = p.secret(ctx, source.SecretKeyRef.Name, optional)
	default:
		err = fmt.Errorf("only fieldRef, configMapKeyRef and secretKeyRef are known here")
	}
	if err != nil {
		return "", false, err
	}
	text, found := values[key]
	if !found && (optional == nil || !*optional) {
		return "", false, fmt.Errorf("there is no key %s", key)
	}
	return string(text), found, nil
}

// field is a field of the pod, by the paths that the downward API has.
func (p *pod) field(path string) (string, error) {
	object := p.object()
	if name, ok := subscript(path, "metadata.labels"); ok {
		return object.Labels[name], nil
	}
	if name, ok := subscript(path, "metadata.annotations"); ok {
		return object.Annotations[name], nil
	}
	switch path {
	case "metadata.name":
		return object.Name, nil
	case "metadata.namespace":
		return object.Namespace, nil
	case "metadata.uid":
		return string(object.UID), nil
	case "metadata.labels":
		return lines(object.Labels), nil
	case "metadata.annotations":
		return lines(object.Annotations), nil
	case "spec.nodeName":
		return object.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return object.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs":
		return p.node.Address.String(), nil
	case "status.podIP", "status.podIPs":
		return p.address().String(), nil
	default:
		return "", fmt.Errorf("there is no field %s", path)
	}
}

// subscript is NAME in PREFIX['NAME'].
func subscript(path, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(path, prefix+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}

// lines has a line NAME="VALUE" for each entry, as files of the downward API.
func lines(values map[string]string) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&text, "%s=%q\n", name, values[name])
	}
	return text.String()
}

// configMap has the values of a ConfigMap; none, if it is optional and not there.
func (p *pod) configMap(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	object, err := p.kubelet.client.CoreV1().ConfigMaps(p.namespace).Get(ctx, name, metav1.GetOptions{})
	if errors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	values := maps.Clone(object.BinaryData)
	if values == nil {
		values = make(map[string][]byte)
	}
	for key, text := range object.Data {
		values[key] = []byte(text)
	}
	return values, nil
}

// secret has the values of a Secret; none, if it is optional and not there.
func (p *pod) secret(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	object, err := p.kubelet.client.CoreV1().Secrets(p.namespace).Get(ctx, name, metav1.GetOptions{})
	if errors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return object.Data, nil
}

func texts(values map[string][]byte, err error) (map[string]string, error) {
	converted := make(map[string]string, len(values))
	for key, value := range values {
		converted[key] = string(value)
	}
	return converted, err
}

// expandVariables puts in the values of $(NAME), where there is such a variable. $$ is a dollar.
func expandVariables(text string, variables []string) string {
	var expanded strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		expanded.WriteString(before)
		if !found {
			return expanded.String()
		}
		text = after
		name, rest, closed := strings.Cut(strings.TrimPrefix(after, "("), ")")
		switch {
		case strings.HasPrefix(after, "$"):
			expanded.WriteByte('$')
			text = after[1:]
		case strings.HasPrefix(after, "(") && closed:
			if value, ok := lastValue(variables, name); ok {
				expanded.WriteString(value)
				text = rest
			} else {
				expanded.WriteByte('$')
			}
		default:
			expanded.WriteByte('$')
		}
	}
}

// lastValue is that of the last variable of a name, which is the one that counts.
func lastValue(variables []string, name string) (string, bool) {
	for _, variable := range slices.Backward(variables) {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
