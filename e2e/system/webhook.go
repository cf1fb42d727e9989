package system

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
)

const (
	// webhookService and webhookConfiguration are those of deploy/controller/webhook.yaml.
	webhookService       = "elbow-webhook"
	webhookConfiguration = "elbow-webhook"
	// webhookFolder has the certificate that all controllers show.
	webhookFolder = "webhook"
)

// installWebhook has the API server ask the controllers about new pods. In cert-manager's place the
// certificate is made here.
func (s *System) installWebhook(ctx context.Context) error {
	host := webhookService + "." + Namespace + ".svc"
	chain, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	if err != nil {
		return fmt.Errorf("cannot make the webhook's certificate: %w", err)
	}
	folder := s.file(webhookFolder)
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("cannot make a folder for the webhook's certificate: %w", err)
	}
	for name, content := range map[string][]byte{"tls.crt": chain, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return fmt.Errorf("cannot write the webhook's certificate: %w", err)
		}
	}
	if err := s.Apply(ctx, filepath.Join(s.repository, "deploy/controller/webhook.yaml")); err != nil {
		return err
	}
	configurations := s.Clientset.AdmissionregistrationV1().MutatingWebhookConfigurations()
	configuration, err := configurations.Get(ctx, webhookConfiguration, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("cannot read the webhook's configuration: %w", err)
	}
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.CABundle = chain
	}
	if _, err := configurations.Update(ctx, configuration, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("cannot name the webhook's authority: %w", err)
	}
	return nil
}

// publish makes a controller, which is no pod here, an endpoint of the webhook's Service.
func (s *System) publish(ctx context.Context, controller *Controller) error {
	name, protocol, port := "webhook-server", corev1.ProtocolTCP, int32(controller.webhook)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: controller.name, Namespace: Namespace,
			Labels: map[string]string{discoveryv1.LabelServiceName: webhookService},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{s.Cluster.Address.String()}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Protocol: &protocol, Port: &port}},
	}
	slices := s.Clientset.DiscoveryV1().EndpointSlices(Namespace)
	if _, err := slices.Create(ctx, slice, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("cannot make the controller an endpoint of the webhook: %w", err)
	}
	return nil
}

// retire takes that back. A cluster that is going or disturbed need not hear it.
func (s *System) retire(ctx context.Context, controller *Controller) {
	slices := s.Clientset.DiscoveryV1().EndpointSlices(Namespace)
	_ = slices.Delete(ctx, controller.name, metav1.DeleteOptions{})
}
