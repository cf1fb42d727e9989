package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// makeVolumes makes the pod's volumes and gives the folder or file of each by its name.
func (p *pod) makeVolumes(ctx context.Context) (map[string]string, error) {
	made := make(map[string]string)
	for _, volume := range p.object().Spec.Volumes {
		folder := filepath.Join(p.state, "volumes", volume.Name)
		if volume.HostPath != nil {
			made[volume.Name] = volume.HostPath.Path
			continue
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, fmt.Errorf("cannot make the volume %s: %w", volume.Name, err)
		}
		files, err := p.volumeFiles(ctx, volume.VolumeSource)
		if err != nil {
			return nil, fmt.Errorf("cannot fill the volume %s: %w", volume.Name, err)
		}
		for name, content := range files {
			file := filepath.Join(folder, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return nil, fmt.Errorf("cannot fill the volume %s: %w", volume.Name, err)
			}
			if err := os.WriteFile(file, content, 0o644); err != nil {
				return nil, fmt.Errorf("cannot fill the volume %s: %w", volume.Name, err)
			}
		}
		made[volume.Name] = folder
	}
	return made, nil
}

// volumeFiles are what a volume begins with, by paths from its root.
func (p *pod) volumeFiles(ctx context.Context, source corev1.VolumeSource) (map[string][]byte, error) {
	switch {
	case source.EmptyDir != nil:
		return nil, nil
	case source.Secret != nil:
		values, err := p.secret(ctx, source.Secret.SecretName, source.Secret.Optional)
		return pick(values, source.Secret.Items, err)
	case source.ConfigMap != nil:
		values, err := p.configMap(ctx, source.ConfigMap.Name, source.ConfigMap.Optional)
		return pick(values, source.ConfigMap.Items, err)
	case source.DownwardAPI != nil:
		return p.downward(source.DownwardAPI.Items)
	case source.Projected != nil:
		files := make(map[string][]byte)
		for _, part := range source.Projected.Sources {
			some, err := p.projected(ctx, part)
			if err != nil {
				return nil, err
			}
			for name, content := range some {
				files[name] = content
			}
		}
		return files, nil
	default:
		return nil, fmt.Errorf("only emptyDir, secret, configMap, downwardAPI, projected and hostPath are known here")
	}
}

// projected are the files of one source of a projected volume.
func (p *pod) projected(ctx context.Context, part corev1.VolumeProjection) (map[string][]byte, error) {
	switch {
	case part.Secret != nil:
		values, err := p.secret(ctx, part.Secret.Name, part.Secret.Optional)
		return pick(values, part.Secret.Items, err)
	case part.ConfigMap != nil:
		values, err := p.configMap(ctx, part.ConfigMap.Name, part.ConfigMap.Optional)
		return pick(values, part.ConfigMap.Items, err)
	case part.DownwardAPI != nil:
		return p.downward(part.DownwardAPI.Items)
	case part.ServiceAccountToken != nil:
		token, err := p.token(ctx, part.ServiceAccountToken)
		return map[string][]byte{part.ServiceAccountToken.Path: token}, err
	default:
		return nil, fmt.Errorf("only secret, configMap, downwardAPI and serviceAccountToken can be projected here")
	}
}

// token is one for the pod's service account. It is not renewed: clusters here end before it does.
func (p *pod) token(ctx context.Context, wanted *corev1.ServiceAccountTokenProjection) ([]byte, error) {
	object := p.object()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: wanted.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: object.Name, UID: object.UID},
	}}
	if wanted.Audience != "" {
		request.Spec.Audiences = []string{wanted.Audience}
	}
	answer, err := p.kubelet.client.CoreV1().ServiceAccounts(p.namespace).CreateToken(ctx, object.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot get a token: %w", err)
	}
	return []byte(answer.Status.Token), nil
}

// downward are files with fields of the pod.
func (p *pod) downward(items []corev1.DownwardAPIVolumeFile) (map[string][]byte, error) {
	files := make(map[string][]byte)
	for _, item := range items {
		if item.FieldRef == nil {
			return nil, fmt.Errorf("%s: only fieldRef is known here", item.Path)
		}
		text, err := p.field(item.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		files[item.Path] = []byte(text)
	}
	return files, nil
}

// pick has the values as files: all under their keys, or those that items name.
func pick(values map[string][]byte, items []corev1.KeyToPath, err error) (map[string][]byte, error) {
	if err != nil || len(items) == 0 {
		return values, err
	}
	files := make(map[string][]byte)
	for _, item := range items {
		content, ok := values[item.Key]
		if !ok {
			return nil, fmt.Errorf("there is no key %s", item.Key)
		}
		files[item.Path] = content
	}
	return files, nil
}

// mounts are the volumes of a container.
func (p *pod) mounts(container *corev1.Container) ([]mount, error) {
	var mounts []mount
	for _, wanted := range container.VolumeMounts {
		source, ok := p.volumes[wanted.Name]
		if !ok {
			return nil, fmt.Errorf("there is no volume %s", wanted.Name)
		}
		if wanted.SubPath != "" {
			source = filepath.Join(source, filepath.Clean("/"+wanted.SubPath))
		}
		mounts = append(mounts, mount{Source: source, Target: wanted.MountPath, ReadOnly: wanted.ReadOnly})
	}
	return mounts, nil
}
