// Package gatewayapi finds the Gateway API's custom resources in its Go modules.
//
// In: a version and a channel. Out: manifests.
// Always: the versions are those that go.mod files of this repository pin, with their checksums.
package gatewayapi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/gateway-api/pkg/consts"
)

const modulePath = "sigs.k8s.io/gateway-api"

// Channel of the Gateway API.
type Channel string

const (
	// Standard has what is stable.
	Standard Channel = "standard"
	// Experimental has everything.
	Experimental Channel = "experimental"
)

// Version of the Gateway API.
type Version string

const (
	// Newest is that of the conformance suite.
	Newest Version = consts.BundleVersion
	// V1_5_1 is the last in which TCPRoute and UDPRoute are v1alpha2 alone.
	V1_5_1 Version = "v1.5.1"
)

// Parse reads VERSION-CHANNEL, as in v1.6.3-standard.
func Parse(text string) (Version, Channel, error) {
	version, channel, _ := strings.Cut(text, "-")
	known := []Version{V1_5_1, Newest}
	if !slices.Contains(known, Version(version)) || (Channel(channel) != Standard && Channel(channel) != Experimental) {
		return "", "", fmt.Errorf("%q is not one of the versions %v, a dash, and %s or %s", text, known, Standard, Experimental)
	}
	return Version(version), Channel(channel), nil
}

// Download makes sure that all versions are on this machine. source is the folder e2e/.
func Download(ctx context.Context, source string) error {
	for _, version := range []Version{V1_5_1, Newest} {
		if _, err := folder(ctx, source, version); err != nil {
			return err
		}
	}
	return nil
}

// Manifests are the files of a version and channel. source is the folder e2e/.
func Manifests(ctx context.Context, source string, version Version, channel Channel) ([][]byte, error) {
	module, err := folder(ctx, source, version)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(module, "config/crd", string(channel), "gateway.*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(fmt.Errorf("%s has no manifests of the channel %s", module, channel), err)
	}
	var manifests [][]byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the Gateway API's resources: %w", err)
		}
		manifests = append(manifests, text)
	}
	return manifests, nil
}

// folder is where the module of a version is, after it has been downloaded.
func folder(ctx context.Context, source string, version Version) (string, error) {
	module := source
	if version != Newest {
		module = filepath.Join(source, "gateway-api-"+strings.TrimPrefix(string(version), "v"))
	}
	for _, arguments := range [][]string{nil, {"mod", "download", modulePath}} {
		if arguments != nil {
			if _, err := run(ctx, module, arguments...); err != nil {
				return "", fmt.Errorf("cannot download the Gateway API %s: %w", version, err)
			}
		}
		found, err := run(ctx, module, "list", "-m", "-f", "{{.Dir}}", modulePath)
		if err != nil {
			return "", fmt.Errorf("cannot find the Gateway API %s: %w", version, err)
		}
		if found != "" {
			return found, nil
		}
	}
	return "", fmt.Errorf("the Gateway API %s is in no folder after its download; does %s/go.mod require it?", version, module)
}

// run runs go in a folder.
func run(ctx context.Context, folder string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	output, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(output)), err
}
