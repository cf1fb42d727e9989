// Program binaries is etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl in one
// file: which of them it is, its name or its first argument says.
//
// They share most of their packages, so that one file is linked in a quarter of the time and takes a
// third of the disk that five would.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	os.Exit(run(os.Args))
}

// run is the program that the arguments name; it gives the exit status.
func run(args []string) int {
	name := filepath.Base(args[0])
	program, known := programs()[name]
	if !known && len(args) > 1 {
		args = args[1:]
		name = args[0]
		program, known = programs()[name]
	}
	if !known {
		fmt.Fprintf(os.Stderr, "%s is none of etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl\n", name)
		return 2
	}
	return program(args)
}

// programs by their names.
func programs() map[string]func(args []string) int {
	return map[string]func(args []string) int{
		"etcd": func(args []string) int {
			etcdmain.Main(args)
			return 0
		},
		"kube-apiserver":          command(apiserver.NewAPIServerCommand),
		"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
		"kube-scheduler":          command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kubectl":                 command(kubectl.NewDefaultKubectlCommand),
	}
}

// command runs what cobra knows as a command. It is made only when it is wanted: making it reads
// settings of the whole process.
func command(make func() *cobra.Command) func(args []string) int {
	return func(args []string) int {
		// cobra, and kubectl's search for plug-ins, read the process's own arguments.
		os.Args = args
		return cli.Run(make())
	}
}
