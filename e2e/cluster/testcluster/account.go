package testcluster

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/elbow-project/elbow/e2e/cluster/controlplane"
)

// tokenValidity is longer than any cluster lives.
const tokenValidity = 24 * time.Hour

// Clientset is a client that may do everything.
func (c *Cluster) Clientset() (*kubernetes.Clientset, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// ServiceAccountConfig is for clients that come as a service account, as a program in its pods would:
// they may do what its roles allow.
func (c *Cluster) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	client, err := c.Clientset()
	if err != nil {
		return nil, err
	}
	seconds := int64(tokenValidity.Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot get a token for the service account %s/%s: %w", namespace, name, err)
	}
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = answer.Status.Token
	return config, nil
}

// WriteServiceAccountKubeconfig writes the same into a file, for programs that read one.
func (c *Cluster) WriteServiceAccountKubeconfig(ctx context.Context, namespace, name, file string) error {
	config, err := c.ServiceAccountConfig(ctx, namespace, name)
	if err != nil {
		return err
	}
	return controlplane.WriteKubeconfig(file, config)
}
