package testcluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func gateHoldsReadyBack(t *testing.T, f fixture) {
	namespace := f.namespace(t, "gate")
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: gated, namespace: test-namespace}
spec:
  readinessGates: [{conditionType: example.com/gate}]
  containers: [{name: main, image: pause}]
`)
	held := f.waitPod(t, namespace, "gated", func(pod *corev1.Pod) error {
		if condition(*pod, corev1.ContainersReady).Status != corev1.ConditionTrue {
			return errors.New("its containers are not ready")
		}
		return nil
	})
	if ready := condition(*held, corev1.PodReady); ready.Status != corev1.ConditionFalse || ready.Reason != "ReadinessGatesNotReady" {
		t.Fatalf("with a closed gate, Ready is %+v", ready)
	}
	set := func(status corev1.ConditionStatus) {
		patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"example.com/gate","status":%q}]}}`, status)
		_, err := f.client.CoreV1().Pods(namespace).Patch(t.Context(), "gated", types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, status := range []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionTrue} {
		set(status)
		pod := f.waitPod(t, namespace, "gated", func(pod *corev1.Pod) error {
			if ready := condition(*pod, corev1.PodReady); ready.Status != status {
				return fmt.Errorf("Ready is %+v", ready)
			}
			return nil
		})
		if ready := condition(*pod, corev1.PodReady); (ready.Reason == "") != (status == corev1.ConditionTrue) {
			t.Errorf("the reason is not that of the status: %+v", ready)
		}
		if condition(*pod, "example.com/gate").Status != status {
			t.Errorf("the kubelet changed a condition that is not its own: %+v", pod.Status.Conditions)
		}
	}
}

func volumesAndVariables(t *testing.T, f fixture) {
	namespace := f.namespace(t, "volumes")
	f.apply(t, namespace, `
apiVersion: v1
kind: Secret
metadata: {name: secret, namespace: test-namespace}
stringData: {tls.crt: certificate, other: hidden}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config, namespace: test-namespace}
data: {color: red}
---
apiVersion: v1
kind: Pod
metadata: {name: reader, namespace: test-namespace, labels: {color: blue}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox
    command: [sh, -c]
    args:
    - cat /etc/secret/crt; ls /etc/secret; cat /config/color; cat /fields/labels;
      echo; echo $COLOR $(NAME)@$POD_IP $PREFIX_color; echo written > /scratch/file && cat /scratch/file;
      touch /config/new || echo cannot write; id -u; hostname
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: config, key: color}}}
    envFrom: [{prefix: PREFIX_, configMapRef: {name: config}}]
    volumeMounts:
    - {name: secret, mountPath: /etc/secret}
    - {name: config, mountPath: /config, readOnly: true}
    - {name: fields, mountPath: /fields}
    - {name: scratch, mountPath: /scratch}
  volumes:
  - {name: secret, secret: {secretName: secret, items: [{key: tls.crt, path: crt}]}}
  - {name: config, configMap: {name: config}}
  - {name: fields, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: scratch, emptyDir: {}}
`)
	pod := f.waitPod(t, namespace, "reader", func(pod *corev1.Pod) error {
		if pod.Status.Phase != corev1.PodSucceeded {
			return fmt.Errorf("it is %s: %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
		}
		return nil
	})
	log := f.log(t, namespace, "reader", "main")
	for _, wanted := range []string{
		"certificatecrt\nred", `color="blue"`, "red reader@" + pod.Status.PodIP + " red\n", "written\n", "cannot write\n", "\n0\nreader\n",
	} {
		if !strings.Contains(log, wanted) {
			t.Errorf("it does not print %q, but\n%s", wanted, log)
		}
	}
}

func initContainersComeFirst(t *testing.T, f fixture) {
	namespace := f.namespace(t, "init")
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: staged, namespace: test-namespace}
spec:
  initContainers:
  - {name: side, image: busybox, restartPolicy: Always, command: [sh, -c, "echo side >> /shared/log; sleep infinity"], volumeMounts: [{name: shared, mountPath: /shared}], startupProbe: {exec: {command: [test, -e, /shared/log]}}}
  - {name: one, image: busybox, command: [sh, -c, "echo one >> /shared/log"], volumeMounts: [{name: shared, mountPath: /shared}]}
  - {name: two, image: busybox, command: [sh, -c, "echo two >> /shared/log"], volumeMounts: [{name: shared, mountPath: /shared}]}
  containers:
  - {name: main, image: busybox, command: [sh, -c, "cat /shared/log; sleep infinity"], volumeMounts: [{name: shared, mountPath: /shared}]}
  terminationGracePeriodSeconds: 0
  volumes: [{name: shared, emptyDir: {}}]
`)
	f.waitPods(t, namespace, "", 1)
	f.eventually(t, "order", func() error {
		if log := f.log(t, namespace, "staged", "main"); log != "side\none\ntwo\n" {
			return fmt.Errorf("the containers ran in the order %q", log)
		}
		return nil
	})
}

func restartsWhatFails(t *testing.T, f fixture) {
	namespace := f.namespace(t, "fails")
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: failing, namespace: test-namespace}
spec: {containers: [{name: main, image: busybox, command: [sh, -c, "echo begin; exit 7"]}]}
`)
	pod := f.waitPod(t, namespace, "failing", func(pod *corev1.Pod) error {
		if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].RestartCount < 2 {
			return fmt.Errorf("its containers: %+v", pod.Status.ContainerStatuses)
		}
		return nil
	})
	status := pod.Status.ContainerStatuses[0]
	if last := status.LastTerminationState.Terminated; last == nil || last.ExitCode != 7 || last.Reason != "Error" {
		t.Errorf("its last end is %+v", status.LastTerminationState)
	}
	if pod.Status.Phase != corev1.PodRunning {
		t.Errorf("it is %s", pod.Status.Phase)
	}
	f.waitPod(t, namespace, "failing", func(pod *corev1.Pod) error {
		if ready := condition(*pod, corev1.PodReady); ready.Status != corev1.ConditionFalse || ready.Reason != "ContainersNotReady" {
			return fmt.Errorf("Ready is %+v", ready)
		}
		return nil
	})
}

func restartsWhatIsNotAlive(t *testing.T, f fixture) {
	namespace := f.namespace(t, "alive")
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: dying, namespace: test-namespace}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "touch /tmp/alive; sleep 2; rm /tmp/alive; sleep infinity"]
    livenessProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, failureThreshold: 1}
`)
	f.waitPod(t, namespace, "dying", func(pod *corev1.Pod) error {
		if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].RestartCount < 1 {
			return fmt.Errorf("its containers: %+v", pod.Status.ContainerStatuses)
		}
		return nil
	})
}

func hasItsGrace(t *testing.T, f fixture) {
	namespace := f.namespace(t, "grace")
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: kind, namespace: test-namespace}
spec:
  terminationGracePeriodSeconds: 30
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "trap 'echo asked; exit 0' TERM; echo ready; while true; do sleep 0.1; done"]
    lifecycle: {preStop: {exec: {command: [sh, -c, "echo hook > /proc/1/fd/1"]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: stubborn, namespace: test-namespace}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: busybox, command: [sh, -c, "trap '' TERM; echo ready; sleep infinity"]}]
`)
	f.waitPods(t, namespace, "", 2)
	for _, name := range []string{"kind", "stubborn"} {
		f.eventually(t, "readiness", func() error {
			if log := f.log(t, namespace, name, "main"); !strings.Contains(log, "ready") {
				return fmt.Errorf("%s prints %q", name, log)
			}
			return nil
		})
	}
	begin := time.Now()
	if err := f.client.CoreV1().Pods(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitGone(t, namespace, "kind")
	f.waitGone(t, namespace, "stubborn")
	if took := time.Since(begin); took < time.Second {
		t.Errorf("a pod that does not want to end was given only %s", took)
	}
	if log := f.log(t, namespace, "kind", "main"); log != "ready\nhook\nasked\n" {
		t.Errorf("the pod that ends when asked to printed %q", log)
	}
}

func waitsForWhatIsMissing(t *testing.T, f fixture) {
	namespace := f.namespace(t, "missing")
	for _, name := range []string{"patient", "hopeless"} {
		f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: `+name+`, namespace: test-namespace}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: pause, volumeMounts: [{name: secret, mountPath: /secret}]}]
  volumes: [{name: secret, secret: {secretName: `+name+`}}]
`)
		f.waitPod(t, namespace, name, func(pod *corev1.Pod) error {
			if why := condition(*pod, corev1.PodReadyToStartContainers); !strings.Contains(why.Message, "not found") {
				return fmt.Errorf("it does not say what is missing: %+v", why)
			}
			return nil
		})
	}
	f.apply(t, namespace, `
apiVersion: v1
kind: Secret
metadata: {name: patient, namespace: test-namespace}
`)
	f.waitPod(t, namespace, "patient", isReady)
	if err := f.client.CoreV1().Pods(namespace).Delete(t.Context(), "hopeless", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitGone(t, namespace, "hopeless")
}

func endsByForce(t *testing.T, f fixture) {
	namespace := f.namespace(t, "force")
	const mark = "31536018"
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: stubborn, namespace: test-namespace}
spec:
  terminationGracePeriodSeconds: 3600
  containers: [{name: main, image: busybox, command: [sh, -c, "trap '' TERM; sleep `+mark+`"]}]
`)
	f.waitPod(t, namespace, "stubborn", isReady)
	f.eventually(t, "process", func() error {
		if processes(t, mark) == 0 {
			return errors.New("there is none")
		}
		return nil
	})
	now := int64(0)
	if err := f.client.CoreV1().Pods(namespace).Delete(t.Context(), "stubborn", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "end", func() error {
		if count := processes(t, mark); count != 0 {
			return fmt.Errorf("%d processes are left", count)
		}
		return nil
	})
}

func hasNodesNetwork(t *testing.T, f fixture) {
	namespace := f.namespace(t, "host")
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: test-namespace}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: echo-basic, env: [{name: HTTP_PORT, value: "3456"}]}]
`)
	pod := f.waitPod(t, namespace, "host", isReady)
	if pod.Status.PodIP != pod.Status.HostIP {
		t.Errorf("on the node %s it has the address %s", pod.Status.HostIP, pod.Status.PodIP)
	}
	f.get(t, "http://"+pod.Status.PodIP+":3456")
	if err := f.client.CoreV1().Pods(namespace).Delete(t.Context(), "host", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitGone(t, namespace, "host")
}

func completesAJob(t *testing.T, f fixture) {
	namespace := f.namespace(t, "job")
	f.apply(t, namespace, `
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: test-namespace}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox, command: ["true"]}]}}}
`)
	f.eventually(t, "completion", func() error {
		job, err := f.client.BatchV1().Jobs(namespace).Get(t.Context(), "once", metav1.GetOptions{})
		if err == nil && job.Status.Succeeded != 1 {
			err = fmt.Errorf("its status is %+v", job.Status)
		}
		return err
	})
}

func saysUnknownImage(t *testing.T, f fixture) {
	namespace := f.namespace(t, "unknown")
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: unknown, namespace: test-namespace}
spec: {containers: [{name: main, image: "example.com/no-such-image:v1"}]}
`)
	f.waitPod(t, namespace, "unknown", func(pod *corev1.Pod) error {
		for _, status := range pod.Status.ContainerStatuses {
			if waiting := status.State.Waiting; waiting != nil && strings.Contains(waiting.Message, "--image no-such-image=PROGRAM") {
				return nil
			}
		}
		return fmt.Errorf("its containers: %+v", pod.Status.ContainerStatuses)
	})
}

func podReachesAPI(t *testing.T, f fixture) {
	namespace := f.namespace(t, "reaches")
	f.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: test-namespace}
spec:
  restartPolicy: Never
  containers: [{name: main, image: registry.k8s.io/kubectl:v1.36.3, args: [auth, whoami]}]
`)
	f.waitPod(t, namespace, "client", func(pod *corev1.Pod) error {
		if pod.Status.Phase != corev1.PodSucceeded {
			return fmt.Errorf("it is %s: %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
		}
		return nil
	})
	if log := f.log(t, namespace, "client", "main"); !strings.Contains(log, "system:serviceaccount:reaches:default") {
		t.Errorf("kubectl in a pod prints\n%s", log)
	}
}
