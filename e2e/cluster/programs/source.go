package programs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// modulePath is the Go module that e2e/ is.
const modulePath = "github.com/elbow-project/elbow/e2e"

// Source is the folder e2e/, looked for from the current folder upwards.
func Source() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := folder; ; at = filepath.Dir(at) {
		for _, candidate := range []string{at, filepath.Join(at, "e2e")} {
			text, err := os.ReadFile(filepath.Join(candidate, "go.mod"))
			if err == nil && strings.HasPrefix(string(text), "module "+modulePath+"\n") {
				return candidate, nil
			}
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not within the repository of elbow: run this in its folder e2e/", folder)
		}
	}
}

// Cache is the folder for what is built and what a run leaves to be read: $ELBOW_E2E_CACHE, or e2e/
// below cargo's target folder.
func Cache(source string) (string, error) {
	cache := os.Getenv("ELBOW_E2E_CACHE")
	if cache == "" {
		target := os.Getenv("CARGO_TARGET_DIR")
		if target == "" {
			target = filepath.Join(filepath.Dir(source), "target")
		}
		cache = filepath.Join(target, "e2e")
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the folder of what is built: %w", errors.Join(err, errors.New("set ELBOW_E2E_CACHE to one that can be written")))
	}
	return cache, nil
}
