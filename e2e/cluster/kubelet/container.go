package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// A container that keeps failing is started again after restartFirst, and each time after twice as
	// long, up to restartMax. Kubernetes has 10 s and 5 min, which no test wants to wait for.
	restartFirst = time.Second
	restartMax   = 20 * time.Second
	// restartForget is after how long a container that ran counts as one that does not keep failing.
	restartForget = 30 * time.Second
)

// container is one of a pod's, over all its starts.
type container struct {
	pod  *pod
	spec *corev1.Container
	// init tells that it runs before the others.
	init bool

	// Below: guarded by the pod's mutex.
	state    corev1.ContainerState
	last     corev1.ContainerState
	restarts int32
	started  bool
	ready    bool
	// startedOnce is closed when started has become true for the first time.
	startedOnce chan struct{}
}

func newContainer(p *pod, spec *corev1.Container, init bool) *container {
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	if !init && len(p.current.Spec.InitContainers) > 0 {
		waiting.Waiting.Reason = "PodInitializing"
	}
	return &container{pod: p, spec: spec, init: init, state: waiting, startedOnce: make(chan struct{})}
}

// sidecar tells that it starts with the init containers and goes on beside the others.
func (c *container) sidecar() bool {
	return c.init && c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// waitStarted waits until its startup probe is content.
func (c *container) waitStarted(ctx context.Context) bool {
	select {
	case <-c.startedOnce:
		return true
	case <-ctx.Done():
		return false
	}
}

// succeeded tells whether it ended, and well. The caller holds the pod's mutex.
func (c *container) succeeded() bool {
	return c.state.Terminated != nil && c.state.Terminated.ExitCode == 0
}

// change changes what the status shows.
func (c *container) change(how func()) {
	c.pod.mutex.Lock()
	how()
	if c.started {
		select {
		case <-c.startedOnce:
		default:
			close(c.startedOnce)
		}
	}
	c.pod.mutex.Unlock()
	c.pod.wake()
}

// run starts the container, and again when it ends and should not have, until life ends.
func (c *container) run(life context.Context) {
	backoff := restartFirst
	for life.Err() == nil {
		begin := time.Now()
		if err := c.runOnce(life); err != nil {
			c.pod.event(corev1.EventTypeWarning, "Failed", "%s: %v", c.spec.Name, err)
			c.change(func() {
				c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerError", Message: err.Error()}}
			})
		} else if life.Err() != nil || !c.startsAgain() {
			return
		} else {
			if time.Since(begin) > restartForget {
				backoff = restartFirst
			}
			c.pod.event(corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s", c.spec.Name)
			c.change(func() {
				c.last = c.state
				c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
					Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %s restarting failed container", backoff),
				}}
			})
		}
		if !sleep(life, backoff) {
			// It never runs again, and its last end is the one that counts.
			c.change(func() {
				if c.last.Terminated != nil {
					c.state = c.last
				}
			})
			return
		}
		backoff = min(2*backoff, restartMax)
		c.change(func() {
			if c.last.Terminated != nil {
				c.restarts++
			}
		})
	}
}

// startsAgain tells whether it is to be started again, now that it has ended.
func (c *container) startsAgain() bool {
	c.pod.mutex.Lock()
	defer c.pod.mutex.Unlock()
	return c.restartable()
}

// restartable tells whether it is to be started again if it has ended. The caller holds the pod's mutex.
func (c *container) restartable() bool {
	if c.sidecar() {
		return true
	}
	switch c.pod.current.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return !c.succeeded()
	default:
		return !c.init || !c.succeeded()
	}
}

// runOnce starts the container and waits for its end, which it brings about when life ends or its
// probes want it. An error says why it could not be started.
func (c *container) runOnce(life context.Context) error {
	variables, err := c.pod.variables(life, c.spec)
	if err != nil {
		return err
	}
	running, err := c.start(variables)
	if err != nil {
		return err
	}
	begin := metav1.Now()
	c.pod.event(corev1.EventTypeNormal, "Started", "Started container %s", c.spec.Name)
	c.change(func() {
		c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: begin}}
		c.started = c.spec.StartupProbe == nil
		c.ready = c.started && c.spec.ReadinessProbe == nil
	})
	reason := c.attend(life, running, variables)
	status := running.exitStatus()
	if reason == "" {
		reason = "Completed"
		if status != 0 {
			reason = "Error"
		}
	}
	c.change(func() {
		c.started, c.ready = false, false
		c.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: int32(status), Reason: reason, StartedAt: begin, FinishedAt: metav1.Now(), ContainerID: c.id(),
		}}
	})
	return nil
}

// attend probes the container as long as it runs, and ends it when it has to be. reason is empty for a
// container that ended by itself.
func (c *container) attend(life context.Context, running *process, variables []string) (reason string) {
	probing, endProbing := context.WithCancel(c.pod.hard)
	var probes sync.WaitGroup
	defer probes.Wait()
	defer endProbing()
	unhealthy := make(chan string, 1)
	hook := handler{container: c, process: running, variables: variables}
	probes.Go(func() { c.probe(probing, hook, unhealthy) })
	if c.spec.Lifecycle != nil && c.spec.Lifecycle.PostStart != nil {
		probes.Go(func() {
			if err := hook.do(probing, c.spec.Lifecycle.PostStart); err != nil && probing.Err() == nil {
				unhealthy <- fmt.Sprintf("FailedPostStartHook: %v", err)
			}
		})
	}
	select {
	case <-running.ended:
		return ""
	case why := <-unhealthy:
		c.pod.event(corev1.EventTypeNormal, "Killing", "Container %s: %s", c.spec.Name, why)
		reason = "Error"
	case <-life.Done():
		c.pod.event(corev1.EventTypeNormal, "Killing", "Stopping container %s", c.spec.Name)
	}
	c.stop(running, hook)
	return reason
}

// stop ends the container, and gives it the time that the pod has for that.
func (c *container) stop(running *process, hook handler) {
	ctx, cancel := withGrace(c.pod.hard, c.pod.graceSeconds())
	defer cancel()
	if c.spec.Lifecycle != nil && c.spec.Lifecycle.PreStop != nil {
		if err := hook.do(ctx, c.spec.Lifecycle.PreStop); err != nil && ctx.Err() == nil {
			c.pod.event(corev1.EventTypeWarning, "FailedPreStopHook", "%s: %v", c.spec.Name, err)
		}
	}
	running.terminate(ctx)
}

// start starts the container's first process.
func (c *container) start(variables []string) (*process, error) {
	program, args, err := c.pod.kubelet.entrypoint(c.spec, variables)
	if err != nil {
		return nil, err
	}
	mounts, err := c.pod.mounts(c.spec)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the container's log: %w", err)
	}
	// By way of a pipe, as a program that opens its output anew would otherwise empty the log.
	running, err := beginContainer(order{
		Root: filepath.Join(c.pod.state, "root"), Hostname: hostname(c.pod.object()), Etc: c.pod.etc(),
		Program: program, Mounts: mounts, Folder: c.spec.WorkingDir, Args: args, Variables: variables,
	}, c.pod.namespaceFile, struct{ io.Writer }{log})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		<-running.ended
		_ = log.Close()
	}()
	return running, nil
}

// logFile has all that the container prints, over all its starts.
func (c *container) logFile() string {
	return logFile(c.pod.kubelet.options.Logs, c.pod.namespace, c.pod.name, c.spec.Name)
}

func logFile(folder, namespace, pod, container string) string {
	return filepath.Join(folder, strings.Join([]string{namespace, pod, container}, "_")+".log")
}

// id is unlike that of any other start of a container. The caller holds the pod's mutex.
func (c *container) id() string {
	return fmt.Sprintf("elbow-e2e://%s/%s/%d", c.pod.uid, c.spec.Name, c.restarts)
}

// status is what the pod's status shows of the container. The caller holds the pod's mutex.
func (c *container) status() corev1.ContainerStatus {
	started := c.started
	status := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: c.spec.Image, State: c.state, LastTerminationState: c.last,
		Ready: c.ready, Started: &started, RestartCount: c.restarts,
	}
	if c.init && !c.sidecar() {
		status.Ready = c.state.Terminated != nil && c.state.Terminated.ExitCode == 0
	}
	if c.state.Waiting == nil {
		status.ContainerID = c.id()
	}
	return status
}
