package testcluster_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/elbow-project/elbow/e2e/cluster/gatewayapi"
	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

func rolesAreReal(t *testing.T, f fixture) {
	namespace := f.namespace(t, "roles")
	f.apply(t, namespace, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: test-namespace}
`)
	config, err := f.cluster.ServiceAccountConfig(t.Context(), namespace, "reader")
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("without a role, listing Secrets gives %v", err)
	}
	f.apply(t, namespace, `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: test-namespace}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{kind: ServiceAccount, name: reader, namespace: test-namespace}]
`)
	f.eventually(t, "permission", func() error {
		_, err := reader.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
		return err
	})
	f.eventually(t, "entries of the audit log", func() error {
		codes := make(map[int32]bool)
		err := auditEntries(f.cluster.AuditLog, func(entry auditEntry) {
			if entry.User.Username == "system:serviceaccount:roles:reader" && entry.Verb == "list" && entry.Object.Resource == "secrets" {
				codes[entry.Status.Code] = true
			}
		})
		if err == nil && (!codes[200] || !codes[403]) {
			err = fmt.Errorf("it has the codes %v", codes)
		}
		return err
	})
}

// auditEntry is what is looked at of a line of the audit log.
type auditEntry struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	Object struct {
		Resource string `json:"resource"`
	} `json:"objectRef"`
	Status struct {
		Code int32 `json:"code"`
	} `json:"responseStatus"`
}

func auditEntries(name string, each func(auditEntry)) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry auditEntry
		// The last line may not be whole yet.
		if json.Unmarshal(lines.Bytes(), &entry) == nil {
			each(entry)
		}
	}
	return lines.Err()
}

func installsGatewayAPI(t *testing.T, f fixture) {
	// In the order of an upgrade, as the API's own policy refuses the other one.
	for _, row := range []struct {
		version gatewayapi.Version
		channel gatewayapi.Channel
		routes  string
	}{
		{gatewayapi.V1_5_1, gatewayapi.Experimental, "v1alpha2"},
		{gatewayapi.Newest, gatewayapi.Experimental, "v1"},
	} {
		if err := f.cluster.InstallGatewayAPI(t.Context(), row.version, row.channel); err != nil {
			t.Fatal(err)
		}
		f.apply(t, "default", fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/%s
kind: TCPRoute
metadata: {name: route, namespace: test-namespace}
spec: {rules: [{backendRefs: [{name: any, port: 80}]}]}
`, row.routes))
	}
}

func addsNode(t *testing.T, f fixture) {
	node, err := f.cluster.AddNode(t.Context(), "eu-west-1b")
	if err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "new node", func() error {
		for _, object := range f.nodes(t) {
			for _, condition := range object.Status.Conditions {
				if object.Spec.ProviderID == "aws:///eu-west-1b/"+node.InstanceID && condition.Type == corev1.NodeReady && len(object.Spec.Taints) == 0 {
					return nil
				}
			}
		}
		return fmt.Errorf("no node has the instance %s", node.InstanceID)
	})
	text, err := os.ReadFile(f.cluster.World)
	if err != nil {
		t.Fatal(err)
	}
	var world vpc.World
	if err := json.Unmarshal(text, &world); err != nil {
		t.Fatal(err)
	}
	if last := world.Nodes[len(world.Nodes)-1]; last.InstanceID != node.InstanceID || last.Address != node.Address {
		t.Errorf("the description of the VPC ends with %+v and not %+v", last, node)
	}
	if _, err := f.cluster.AddNode(t.Context(), "us-east-1a"); err == nil || !strings.Contains(err.Error(), "no zone us-east-1a") {
		t.Errorf("a node in a zone that is not there gives %v", err)
	}
}

func survivesAPIServer(t *testing.T, f fixture) {
	namespace := f.namespace(t, "away")
	f.apply(t, namespace, echo)
	before := f.waitPods(t, namespace, "app=echo", 3)
	if err := f.cluster.StopAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("the API server answers after its end")
	}
	// Pods do not need it.
	f.get(t, "http://"+before[0].Status.PodIP+":3000")
	if err := f.cluster.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.client.CoreV1().Pods(namespace).Delete(t.Context(), before[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitGone(t, namespace, before[0].Name)
	after := f.waitPods(t, namespace, "app=echo", 3)
	kept := 0
	for _, pod := range after {
		if pod.UID == before[1].UID || pod.UID == before[2].UID {
			kept++
		}
	}
	if kept != 2 {
		t.Errorf("of two pods that nobody deleted, %d were kept", kept)
	}
}

func expiresWatches(t *testing.T, f fixture) {
	list, err := f.client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cluster.ExpireWatches(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "410 Gone", func() error {
		watch, err := f.client.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer watch.Stop()
		event := <-watch.ResultChan()
		if err := apierrors.FromObject(event.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return fmt.Errorf("a watch from before goes on with %+v", event)
		}
		return nil
	})
	if _, err := f.client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("listing again: %v", err)
	}
}

func leavesNothing(t *testing.T, f fixture) {
	links := podLinks(t)
	namespace := f.namespace(t, "leaves")
	// A number by which the processes can be told from all others.
	const mark = "31536017"
	f.apply(t, namespace, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleepers, namespace: test-namespace}
spec:
  replicas: 2
  selector: {matchLabels: {app: sleepers}}
  template:
    metadata: {labels: {app: sleepers}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: busybox, command: [sh, -c, "sleep `+mark+` & sleep `+mark+`"]}]
`)
	f.waitPods(t, namespace, "app=sleepers", 2)
	f.eventually(t, "processes", func() error {
		if count := processes(t, mark); count < 4 {
			return fmt.Errorf("there are %d", count)
		}
		return nil
	})
	if now := podLinks(t); now != links+2 {
		t.Errorf("2 pods have %d interfaces", now-links)
	}
	if err := f.client.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "end of the namespace", func() error {
		_, err := f.client.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %v", err)
	})
	if count, now := processes(t, mark), podLinks(t); count != 0 || now != links {
		t.Errorf("%d processes and %d interfaces are left", count, now-links)
	}
}

func clusterLeavesNothing(t *testing.T, f fixture) {
	if os.Getenv("ELBOW_E2E_STATE") != "" {
		return // The cluster is that of a process above us, which ends it when we have ended.
	}
	f.cluster.Down()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if link.Attrs().Name != "lo" {
			t.Errorf("the interface %s is left", link.Attrs().Name)
		}
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "echo-basic"} {
		if count := processes(t, "/"+name); count != 0 {
			t.Errorf("%d processes of %s are left", count, name)
		}
	}
	if _, err := os.Stat(f.cluster.Kubeconfig); err == nil {
		t.Errorf("%s is left", f.cluster.Kubeconfig)
	}
	if mounts, err := os.ReadFile("/proc/mounts"); err != nil || strings.Contains(string(mounts), "elbow-e2e ") {
		t.Errorf("mounts are left (%v):\n%s", err, mounts)
	}
}

// podLinks counts the interfaces of pods.
func podLinks(t *testing.T) int {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, link := range links {
		if strings.HasPrefix(link.Attrs().Name, "pod") {
			count++
		}
	}
	return count
}

// processes counts those whose command lines contain a text.
func processes(t *testing.T, text string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), text) {
			count++
		}
	}
	return count
}
