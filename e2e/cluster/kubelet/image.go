package kubelet

import (
	"fmt"
	"runtime"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/elbow-project/elbow/e2e/cluster/programs"
)

// Image is what stands for a container image: a program of the host's that is its entry point.
type Image struct {
	// Program is the path of a file; it is shown to the container under its base name, in the root folder.
	Program string
	// Args follow the program where the container has none of its own.
	Args []string
}

// Images are those that are known by themselves, and more.
func Images(built programs.Folder, more map[string]Image) map[string]Image {
	images := map[string]Image{
		"echo-basic":    {Program: built.Path("echo-basic")},
		"echo-advanced": {Program: built.Path("echo-basic")},
		"coredns":       {Program: built.Path("coredns")},
		"kubectl":       {Program: built.Path("kubectl")},
		"pause":         {Program: "/bin/sleep", Args: []string{"infinity"}},
	}
	for name, image := range more {
		images[name] = image
	}
	return images
}

// imageName is what an image is looked up by: echo-basic for registry.k8s.io/gateway-api/echo-basic:v1.
func imageName(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	name := reference[strings.LastIndexByte(reference, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	return name
}

// entrypoint is what to run for a container. program is the file to show it, if there is one.
//
// A command that the pod brings along is looked for among the host's programs, whatever the image is.
func (k *Kubelet) entrypoint(container *corev1.Container, variables []string) (program string, args []string, err error) {
	expand := func(words []string) []string {
		var expanded []string
		for _, word := range words {
			expanded = append(expanded, expandVariables(word, variables))
		}
		return expanded
	}
	image, known := k.options.Images[imageName(container.Image)]
	switch {
	case len(container.Command) > 0:
		return image.Program, append(expand(container.Command), expand(container.Args)...), nil
	case !known:
		return "", nil, fmt.Errorf("no program stands for the image %s; give the container a command, or the cluster a program (--image %s=PROGRAM)",
			container.Image, imageName(container.Image))
	}
	args = []string{shownPath(image.Program)}
	if len(container.Args) > 0 {
		return image.Program, append(args, expand(container.Args)...), nil
	}
	return image.Program, append(args, image.Args...), nil
}

// shownPath is where a container finds the program of its image.
func shownPath(program string) string {
	return "/" + program[strings.LastIndexByte(program, '/')+1:]
}

func architecture() string {
	return runtime.GOARCH
}
