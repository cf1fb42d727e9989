package system

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// modules are those, within e2e/, that pin a version of the Gateway API.
var modules = map[string]string{
	"1.5.1": "e2e/gateway-api-1.5",
	"1.6.3": "e2e",
}

// gatewayAPI is the folder with the CRDs of the Gateway API's experimental channel.
func gatewayAPI(repository, version string) (string, error) {
	module, ok := modules[version]
	if !ok {
		return "", fmt.Errorf("no module pins Gateway API %s", version)
	}
	command := exec.Command("go", "list", "-mod=readonly", "-m", "-f", "{{.Version}} {{.Dir}}", "sigs.k8s.io/gateway-api")
	command.Dir = filepath.Join(repository, module)
	output, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("cannot find the CRDs of Gateway API %s: %s", version, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("cannot find the CRDs of Gateway API %s: %w", version, err)
	}
	found, folder, _ := strings.Cut(strings.TrimSpace(string(output)), " ")
	if found != "v"+version || folder == "" {
		return "", fmt.Errorf("%s has Gateway API %q in %q; `go mod download` in %s gets v%s", module, found, folder, module, version)
	}
	return filepath.Join(folder, "config/crd/experimental"), nil
}

func scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install} {
		if err := add(scheme); err != nil {
			panic(fmt.Sprintf("types that cannot be registered: %v", err))
		}
	}
	return scheme
}
