package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// strangers is the namespace of pods that no Gateway leads to.
	strangers = "strangers"
	// settling is how long memory may take to be what it stays at.
	settling = 10 * time.Second
	// creators make pods at the same time.
	creators = 16
)

// memory of the controller.
func (b *bench) memory() (memory, error) {
	pid, err := b.system.ControllerPID()
	if err != nil {
		return memory{}, err
	}
	return memoryOf(pid)
}

// restartedMemory is that of a new controller that is quiet.
func (b *bench) restartedMemory(ctx context.Context) (memory, error) {
	if _, err := b.restart(ctx); err != nil {
		return memory{}, err
	}
	if err := pause(ctx, settling); err != nil {
		return memory{}, err
	}
	return b.memory()
}

// createPods creates pods that stay objects: no scheduler gives them a node, so that nothing runs.
func (b *bench) createPods(ctx context.Context, pods int) error {
	if _, err := b.system.Kubectl(ctx, "create", "namespace", strangers); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for n := range pods {
		group.Go(func() error {
			_, err := b.system.Clientset.CoreV1().Pods(strangers).Create(ctx, stranger(n), metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("cannot create pods: %w", err)
	}
	return nil
}

// stranger is a pod as a Deployment makes them, with what a sidecar and a volume or two add.
func stranger(n int) *corev1.Pod {
	container := func(name string, port int32) corev1.Container {
		return corev1.Container{
			Name: name, Image: "registry.example.com/team/" + name + ":v1.2.3",
			Args:  []string{"--listen=:8080", "--config=/etc/config/config.yaml"},
			Env:   []corev1.EnvVar{{Name: "REGION", Value: "eu-west-1"}, {Name: "LOG_LEVEL", Value: "info"}},
			Ports: []corev1.ContainerPort{{Name: name, ContainerPort: port}},
		}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("stranger-%05d", n), Namespace: strangers,
			Labels: map[string]string{"app": "stranger", "pod-template-hash": "7d4b9c8f6", "team": "other"},
		},
		Spec: corev1.PodSpec{
			SchedulerName: "nobody",
			Containers:    []corev1.Container{container("app", 8080), container("sidecar", 8081)},
			Volumes:       []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
}
