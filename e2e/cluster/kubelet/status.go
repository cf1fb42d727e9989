package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// finalReport is how long the last word about a pod may take; the object is removed right after it.
const finalReport = 2 * time.Second

// report writes the pod's status whenever it changes, until finished is closed, and then once more.
func (p *pod) report(finished <-chan struct{}) {
	var written string
	write := func(ctx context.Context) bool {
		patch, err := json.Marshal(p.statusPatch())
		if err != nil || string(patch) == written {
			return true
		}
		_, err = p.kubelet.client.CoreV1().Pods(p.namespace).Patch(ctx, p.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err == nil {
			written = string(patch)
		}
		return err == nil || errors.IsNotFound(err)
	}
	for {
		select {
		case <-p.changed:
			if !write(p.hard) {
				// The API server is away, or somebody else wrote at the same time.
				sleep(p.hard, retryDelay)
				if p.hard.Err() == nil {
					p.wake()
				}
			}
		case <-finished:
			ctx, cancel := context.WithTimeout(p.hard, finalReport)
			write(ctx)
			cancel()
			return
		}
	}
}

// statusPatch is what the kubelet says of the pod. Conditions that others say stay, as a patch adds to
// the list by their types.
func (p *pod) statusPatch() map[string]any {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	status := map[string]any{
		"phase":              p.phase(),
		"startTime":          p.startTime,
		"hostIP":             p.node.Address.String(),
		"hostIPs":            []corev1.HostIP{{IP: p.node.Address.String()}},
		"qosClass":           p.current.Status.QOSClass,
		"observedGeneration": p.current.Generation,
		"conditions":         patchOf(p.ourConditions()),
	}
	if address := p.address(); p.setUpDone {
		status["podIP"] = address.String()
		status["podIPs"] = []corev1.PodIP{{IP: address.String()}}
	}
	var init, main []corev1.ContainerStatus
	for _, c := range p.containers {
		if c.init {
			init = append(init, c.status())
		} else {
			main = append(main, c.status())
		}
	}
	status["containerStatuses"] = main
	if len(init) > 0 {
		status["initContainerStatuses"] = init
	}
	return map[string]any{"metadata": map[string]any{"uid": p.uid}, "status": status}
}

// patchOf has conditions as a patch must have them: what it leaves out would stay as it was, so that an
// old reason would go on beside a new status.
func patchOf(conditions []corev1.PodCondition) []map[string]any {
	// null removes a field.
	textOrNull := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	var patches []map[string]any
	for _, condition := range conditions {
		patches = append(patches, map[string]any{
			"type": condition.Type, "status": condition.Status, "observedGeneration": condition.ObservedGeneration,
			"lastTransitionTime": condition.LastTransitionTime,
			"reason":             textOrNull(condition.Reason), "message": textOrNull(condition.Message),
		})
	}
	return patches
}

// phase of the pod, as Kubernetes defines it. The caller holds the mutex.
func (p *pod) phase() corev1.PodPhase {
	begun, ended, failed := true, true, false
	for _, c := range p.containers {
		terminated := c.state.Terminated
		switch {
		case c.sidecar():
		case c.init && terminated != nil && terminated.ExitCode != 0 && p.current.Spec.RestartPolicy == corev1.RestartPolicyNever:
			return corev1.PodFailed
		case c.init && terminated == nil:
			begun, ended = false, false
		case c.init:
		case terminated != nil:
			failed = failed || terminated.ExitCode != 0
			ended = ended && (p.life.Err() != nil || !c.restartable())
		case c.state.Running != nil:
			ended = false
		case c.last.Terminated == nil:
			begun, ended = false, false
		default:
			ended = false
		}
	}
	switch {
	case !begun:
		return corev1.PodPending
	case !ended:
		return corev1.PodRunning
	case failed:
		return corev1.PodFailed
	default:
		return corev1.PodSucceeded
	}
}

// ourConditions are those that a kubelet sets. The caller holds the mutex.
func (p *pod) ourConditions() []corev1.PodCondition {
	completed := p.phase() == corev1.PodSucceeded
	set := func(kind corev1.PodConditionType, good bool, reason, message string) corev1.PodCondition {
		condition := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(), ObservedGeneration: p.current.Generation}
		if !good {
			condition.Status, condition.Reason, condition.Message = corev1.ConditionFalse, reason, message
			if completed {
				condition.Reason, condition.Message = "PodCompleted", ""
			}
		}
		if before, ok := p.conditions[kind]; ok && before.Status == condition.Status {
			condition.LastTransitionTime = before.LastTransitionTime
		}
		p.conditions[kind] = condition
		return condition
	}
	why := ""
	if p.failure != nil {
		why = p.failure.Error()
	}
	unready := p.unreadyContainers()
	unreadyMessage := fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	contained := len(unready) == 0 && p.initialized
	conditions := []corev1.PodCondition{
		set(corev1.PodReadyToStartContainers, p.setUpDone, "SandboxNotReady", why),
		set(corev1.PodInitialized, p.initialized || completed, "ContainersNotInitialized", "containers with incomplete status"),
		set(corev1.ContainersReady, contained, "ContainersNotReady", unreadyMessage),
	}
	missing := p.missingGates()
	switch {
	case !contained:
		return append(conditions, set(corev1.PodReady, false, "ContainersNotReady", unreadyMessage))
	case len(missing) > 0:
		return append(conditions, set(corev1.PodReady, false, "ReadinessGatesNotReady", strings.Join(missing, ", ")))
	default:
		return append(conditions, set(corev1.PodReady, true, "", ""))
	}
}

// unreadyContainers are the names of those that are not ready.
func (p *pod) unreadyContainers() []string {
	var names []string
	for _, c := range p.containers {
		if (!c.init || c.sidecar()) && !c.ready {
			names = append(names, c.spec.Name)
		}
	}
	return names
}

// missingGates says of each readiness gate that is closed why it is.
func (p *pod) missingGates() []string {
	var missing []string
	for _, gate := range p.current.Spec.ReadinessGates {
		found := false
		for _, condition := range p.current.Status.Conditions {
			if condition.Type != gate.ConditionType {
				continue
			}
			found = true
			if condition.Status != corev1.ConditionTrue {
				missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %s", gate.ConditionType, condition.Status))
			}
		}
		if !found {
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		}
	}
	return missing
}
