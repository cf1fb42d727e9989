package controlplane

import (
	"crypto/tls"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// RESTConfig is for a client that comes as user, who is in the given groups. It does not hold back
// requests; the API server does that where it has to.
func (p *ControlPlane) RESTConfig(user string, groups ...string) (*rest.Config, error) {
	pair, err := p.ca.client(user, groups...)
	if err != nil {
		return nil, fmt.Errorf("cannot sign a certificate for %s: %w", user, err)
	}
	return &rest.Config{
		Host:            p.URL(),
		TLSClientConfig: rest.TLSClientConfig{CAData: p.ca.PEM, CertData: pair.certificate, KeyData: pair.key},
		QPS:             -1,
	}, nil
}

// NodesConfig is for the kubelet and what stands for kube-proxy.
func (p *ControlPlane) NodesConfig() (*rest.Config, error) {
	return p.RESTConfig(KubeletUser, masters)
}

// NodeCertificate is for servers on nodes.
func (p *ControlPlane) NodeCertificate() (tls.Certificate, error) {
	pair, err := p.ca.server([]string{"node"}, nil)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot sign a certificate for nodes: %w", err)
	}
	return tls.X509KeyPair(pair.certificate, pair.key)
}

// WriteAdminKubeconfig writes a file for clients that may do everything.
func (p *ControlPlane) WriteAdminKubeconfig(file string) error {
	return p.WriteKubeconfig(file, "kubernetes-admin", masters)
}

// WriteKubeconfig writes a file for clients that come as user, who is in the given groups.
func (p *ControlPlane) WriteKubeconfig(file, user string, groups ...string) error {
	config, err := p.RESTConfig(user, groups...)
	if err != nil {
		return err
	}
	return WriteKubeconfig(file, config)
}

// WriteKubeconfig writes what config says about the API server and the user into a file.
func WriteKubeconfig(file string, config *rest.Config) error {
	const name = "elbow-e2e"
	kubeconfig := api.Config{
		Clusters: map[string]*api.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos: map[string]*api.AuthInfo{name: {
			ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
			Token: config.BearerToken, TokenFile: config.BearerTokenFile,
		}},
		Contexts:       map[string]*api.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}
	if err := clientcmd.WriteToFile(kubeconfig, file); err != nil {
		return fmt.Errorf("cannot write %s: %w", file, err)
	}
	return nil
}
