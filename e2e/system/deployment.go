package system

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"

	"github.com/elbow-project/elbow/e2e/cluster/kubelet"
)

// overlay is what a user adds to deploy/, as docs/guide/run-the-controller.md has it for a cluster without
// cert-manager, and where AWS is.
var overlay = template.Must(template.New("kustomization.yaml").Parse(`
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - {{.Deploy}}
images:
  - {name: ghcr.io/elbow-project/elbow, newName: registry.example.com/{{.Image}}}
configMapGenerator:
  - name: elbow
    namespace: kube-system
    behavior: merge
    literals:
      - CLUSTER_NAME={{.Cluster}}
      - VPC_ID={{.VPC}}
      - AWS_REGION={{.Region}}
      - AWS_ACCESS_KEY_ID=test
      - AWS_SECRET_ACCESS_KEY=test
patches:
  - target: {kind: Deployment, name: elbow}
    patch: |
      - op: add
        path: /spec/template/spec/containers/0/args/-
        value: --default-target-type=ip
      - op: add
        path: /spec/template/spec/containers/0/args/-
        value: --aws-endpoint-url={{.Endpoint}}
  - target: {group: cert-manager.io}
    patch: |
      $patch: delete
      kind: any
      metadata: {name: any}
  - target: {kind: MutatingWebhookConfiguration, name: elbow-webhook}
    patch: |
      - op: add
        path: /webhooks/0/clientConfig/caBundle
        value: {{.Authority}}
`))

// Image is the program that is tested, as the image that a cluster runs it from; it has to be given to the
// cluster for [System.Deploy].
func Image() (map[string]kubelet.Image, error) {
	repository, err := repository()
	if err != nil {
		return nil, err
	}
	program, err := program(repository)
	if err != nil {
		return nil, err
	}
	return map[string]kubelet.Image{imageName: {Program: program}}, nil
}

const imageName = "elbow"

// Deploy applies deploy/ by an overlay, and waits until its pods are ready. They are not the System's
// controller, and stand by while that leads.
func (s *System) Deploy(ctx context.Context) error {
	world, err := s.world()
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(filepath.Join(s.file(webhookFolder), "tls.crt"))
	if err != nil {
		return fmt.Errorf("cannot read the webhook's certificate: %w", err)
	}
	folder := s.file("overlay")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("cannot make a folder for the overlay: %w", err)
	}
	// kustomize takes folders by relative paths alone.
	deploy, err := filepath.Rel(folder, filepath.Join(s.repository, "deploy"))
	if err != nil {
		return fmt.Errorf("cannot find deploy/: %w", err)
	}
	var text bytes.Buffer
	err = overlay.Execute(&text, map[string]string{
		"Deploy": deploy, "Image": imageName,
		"Endpoint": "http://" + net.JoinHostPort(s.Cluster.Address.String(), s.Emulator.port),
		"Cluster":  world.ClusterName, "VPC": world.VPC.ID, "Region": world.Region,
		"Authority": base64.StdEncoding.EncodeToString(authority),
	})
	if err != nil {
		return fmt.Errorf("cannot make the overlay: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, overlay.Name()), text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("cannot write the overlay: %w", err)
	}
	pair := func(name string) string { return filepath.Join(s.file(webhookFolder), name) }
	for _, args := range [][]string{
		{"-n", Namespace, "create", "secret", "tls", "elbow-webhook-tls", "--cert", pair("tls.crt"), "--key", pair("tls.key")},
		// By force, since the parts of it that a System has anyway were applied by others.
		{"apply", "--server-side", "--force-conflicts", "--validate=strict", "-k", folder},
		{"-n", Namespace, "rollout", "status", "deployment/elbow", "--timeout=90s"},
	} {
		if _, err := s.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
