package testcluster_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
)

func TestMain(m *testing.M) { os.Exit(testcluster.RunTests(m)) }

// fixture is a running cluster and a client that may do everything.
type fixture struct {
	cluster *testcluster.Cluster
	client  *kubernetes.Clientset
}

// TestCluster runs everything on one cluster, which takes seconds to start. Each part has a namespace of
// its own. The last one ends the cluster.
func TestCluster(t *testing.T) {
	cluster, err := testcluster.Up(t.Context(), testcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Down)
	client, err := cluster.Clientset()
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{cluster: cluster, client: client}
	for _, part := range []struct {
		name string
		run  func(*testing.T, fixture)
	}{
		{"a Deployment answers on pods, NodePorts and its ClusterIP", answersEverywhere},
		{"datagrams are forwarded", forwardsDatagrams},
		{"a Service without endpoints refuses", refusesWithoutEndpoints},
		{"a readiness gate holds Ready back", gateHoldsReadyBack},
		{"volumes and variables come from Secrets, ConfigMaps and fields", volumesAndVariables},
		{"init containers come first, in order", initContainersComeFirst},
		{"what fails is started again", restartsWhatFails},
		{"what is not alive is started again", restartsWhatIsNotAlive},
		{"a pod has its grace to end", hasItsGrace},
		{"a pod waits for what is missing", waitsForWhatIsMissing},
		{"a pod can be ended by force", endsByForce},
		{"a pod can have the node's network", hasNodesNetwork},
		{"a Job completes", completesAJob},
		{"an image that nothing stands for is said", saysUnknownImage},
		{"a pod reaches the API as its service account", podReachesAPI},
		{"roles and the audit log are real", rolesAreReal},
		{"the Gateway API can be installed", installsGatewayAPI},
		{"a node can be added", addsNode},
		{"the API server can be away", survivesAPIServer},
		{"watches can be made stale", expiresWatches},
		{"nothing is left of a namespace", leavesNothing},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, f) }) && t.Context().Err() != nil {
			return
		}
	}
	t.Run("nothing is left of the cluster", func(t *testing.T) { clusterLeavesNothing(t, f) })
}

const echo = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo, namespace: test-namespace}
spec:
  replicas: 3
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: echo
        image: registry.k8s.io/gateway-api/echo-basic:v1.5.1
        ports: [{name: http, containerPort: 3000}]
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        readinessProbe: {httpGet: {path: /health, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: test-namespace}
spec: {type: NodePort, selector: {app: echo}, ports: [{port: 80, targetPort: http}]}
`

func answersEverywhere(t *testing.T, f fixture) {
	namespace := f.namespace(t, "answers")
	f.apply(t, namespace, echo)
	pods := f.waitPods(t, namespace, "app=echo", 3)
	service, err := f.client.CoreV1().Services(namespace).Get(t.Context(), "echo", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	zones := make(map[string]bool)
	for _, pod := range pods {
		body := f.get(t, "http://"+net.JoinHostPort(pod.Status.PodIP, "3000"))
		if !strings.Contains(body, `"pod": "`+pod.Name+`"`) || !strings.Contains(body, `"namespace": "`+namespace+`"`) {
			t.Errorf("%s on %s answers %s", pod.Name, pod.Status.PodIP, body)
		}
		zones[pod.Spec.NodeName] = true
	}
	if len(zones) != 3 {
		t.Errorf("3 pods run on the nodes %v, and not on one of each zone", zones)
	}
	for _, node := range f.nodes(t) {
		if !strings.HasPrefix(node.Spec.ProviderID, "aws:///"+node.Labels[corev1.LabelTopologyZone]+"/i-") {
			t.Errorf("the node %s has the provider id %s", node.Name, node.Spec.ProviderID)
		}
		address := net.JoinHostPort(node.Status.Addresses[0].Address, fmt.Sprint(service.Spec.Ports[0].NodePort))
		f.get(t, "http://"+address)
	}
	f.get(t, "http://"+service.Spec.ClusterIP)
	// By name, which asks the DNS server that all programs inside ask.
	f.get(t, "http://echo."+namespace+".svc.cluster.local")
	f.eventually(t, "logs", func() error {
		logs, err := f.client.CoreV1().Pods(namespace).GetLogs(pods[0].Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
		if err == nil && !strings.Contains(string(logs), "Echoing back request") {
			err = fmt.Errorf("the log is %q", logs)
		}
		return err
	})
}

func forwardsDatagrams(t *testing.T, f fixture) {
	namespace := f.namespace(t, "datagrams")
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: udp, namespace: test-namespace, labels: {app: udp}}
spec:
  containers:
  - {name: udp, image: registry.k8s.io/gateway-api/echo-basic:v1.5.1, env: [{name: UDP_ECHO_SERVER, value: "1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: udp, namespace: test-namespace}
spec: {type: NodePort, selector: {app: udp}, ports: [{port: 53, targetPort: 8080, protocol: UDP}]}
`)
	f.waitPods(t, namespace, "app=udp", 1)
	service, err := f.client.CoreV1().Services(namespace).Get(t.Context(), "udp", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node := f.nodes(t)[1].Status.Addresses[0].Address
	// CoreDNS as the conformance suite runs it.
	f.apply(t, namespace, `
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: test-namespace}
data:
  Corefile: |
    .:53 {
        forward . 192.0.2.1
        log
        errors
    }
    foo.bar.com:53 {
      whoami
    }
---
apiVersion: v1
kind: Pod
metadata: {name: coredns, namespace: test-namespace}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: coredns, image: registry.k8s.io/coredns/coredns:v1.12.2, args: [-conf, /root/Corefile], volumeMounts: [{name: conf, mountPath: /root}]}
  volumes: [{name: conf, configMap: {name: coredns}}]
`)
	server := net.JoinHostPort(f.waitPod(t, namespace, "coredns", isReady).Status.PodIP, "53")
	f.eventually(t, "an answer of CoreDNS", func() error {
		answer, err := dns.Exchange(new(dns.Msg).SetQuestion("foo.bar.com.", dns.TypeA), server)
		if err == nil && len(answer.Extra) == 0 {
			err = fmt.Errorf("it answers %v", answer)
		}
		return err
	})
	for _, address := range []string{
		net.JoinHostPort(service.Spec.ClusterIP, "53"),
		net.JoinHostPort(node, fmt.Sprint(service.Spec.Ports[0].NodePort)),
	} {
		f.eventually(t, "an answer of "+address, func() error {
			conn, err := net.Dial("udp", address)
			if err != nil {
				return err
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			if _, err := conn.Write([]byte("hello")); err != nil {
				return err
			}
			answer := make([]byte, 1024)
			length, err := conn.Read(answer)
			if err == nil && !strings.Contains(string(answer[:length]), `"request":"hello"`) {
				err = fmt.Errorf("%s answers %s", address, answer[:length])
			}
			return err
		})
	}
}

func refusesWithoutEndpoints(t *testing.T, f fixture) {
	namespace := f.namespace(t, "refuses")
	f.apply(t, namespace, echo)
	f.waitPods(t, namespace, "app=echo", 3)
	service, err := f.client.CoreV1().Services(namespace).Get(t.Context(), "echo", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.get(t, "http://"+service.Spec.ClusterIP)
	if err := f.client.AppsV1().Deployments(namespace).Delete(t.Context(), "echo", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "a refusal", func() error {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(service.Spec.ClusterIP, "80"), time.Second)
		if err != nil && strings.Contains(err.Error(), "refused") {
			return nil
		}
		if err == nil {
			_ = conn.Close()
		}
		return fmt.Errorf("a connection is not refused: %v", err)
	})
}

// namespace makes a namespace, in which pods can be made: it waits for the default service account.
func (f fixture) namespace(t *testing.T, name string) string {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := f.client.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "a service account", func() error {
		_, err := f.client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return name
}

// apply applies manifests in which test-namespace stands for a namespace.
func (f fixture) apply(t *testing.T, namespace, manifests string) {
	t.Helper()
	if err := f.cluster.Apply(t.Context(), []byte(strings.ReplaceAll(manifests, "test-namespace", namespace))); err != nil {
		t.Fatal(err)
	}
}

// waitPods waits until so many pods, and no others, have a label, and are ready.
func (f fixture) waitPods(t *testing.T, namespace, label string, count int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	f.eventually(t, fmt.Sprintf("%d ready pods", count), func() error {
		list, err := f.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: label})
		if err != nil {
			return err
		}
		pods = list.Items
		for _, pod := range pods {
			if err := isReady(&pod); err != nil {
				return fmt.Errorf("the pod %s: %w", pod.Name, err)
			}
		}
		if len(pods) != count {
			return fmt.Errorf("there are %d pods", len(pods))
		}
		return nil
	})
	return pods
}

// waitPod waits until a pod is as wanted.
func (f fixture) waitPod(t *testing.T, namespace, name string, wanted func(*corev1.Pod) error) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	f.eventually(t, "the pod "+name, func() (err error) {
		if pod, err = f.client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			return err
		}
		return wanted(pod)
	})
	return pod
}

// waitGone waits until a pod is gone.
func (f fixture) waitGone(t *testing.T, namespace, name string) {
	t.Helper()
	f.eventually(t, "the end of the pod "+name, func() error {
		_, err := f.client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %v", err)
	})
}

func (f fixture) nodes(t *testing.T) []corev1.Node {
	t.Helper()
	list, err := f.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// get waits until a URL answers, and gives the answer.
func (f fixture) get(t *testing.T, url string) string {
	t.Helper()
	var body string
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	f.eventually(t, "an answer of "+url, func() error {
		response, err := client.Get(url)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		body = string(text)
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", response.Status, text)
		}
		return err
	})
	return body
}

// log is what a container has printed.
func (f fixture) log(t *testing.T, namespace, pod, container string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.cluster.Logs, "pods", namespace+"_"+pod+"_"+container+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eventually tries again until it succeeds. On a machine with much else to do, everything takes longer.
func (f fixture) eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no %s after a minute: %v", what, err)
		case <-ticker.C:
		}
	}
}

func isReady(pod *corev1.Pod) error {
	if condition(*pod, corev1.PodReady).Status != corev1.ConditionTrue {
		return fmt.Errorf("it is %s, its containers %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
	}
	return nil
}

func condition(pod corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}
	return corev1.PodCondition{}
}
