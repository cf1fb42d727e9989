package scenarios

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
	"github.com/elbow-project/elbow/e2e/system"
)

// settled is how long a change may take until it shows, on a machine that does much else. No test waits
// for it when all is well.
const settled = 90 * time.Second

func TestMain(m *testing.M) { os.Exit(testcluster.RunTests(m)) }

// start gives a cluster with elbow in it, for one test.
func start(t *testing.T, options system.Options) *system.System {
	t.Helper()
	return startIn(t, testcluster.Options{}, options)
}

// startIn gives a cluster of some kind with elbow in it.
func startIn(t *testing.T, kind testcluster.Options, options system.Options) *system.System {
	t.Helper()
	cluster, err := testcluster.Up(t.Context(), kind)
	require.NoError(t, err)
	t.Cleanup(cluster.Down)
	s, err := system.Start(t.Context(), cluster, options)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs are in %s and %s", cluster.Logs, s.Logs())
		}
	})
	return s
}

// eventually fails the test when the complaint does not go away.
func eventually(t *testing.T, what string, look func(context.Context) error) {
	t.Helper()
	require.NoErrorf(t, system.Eventually(t.Context(), settled, look), "%s", what)
}

// example is a manifest of examples/, with the certificate that it leaves open.
func example(t *testing.T, s *system.System, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../../examples", name))
	require.NoError(t, err)
	const open = "arn:aws:acm:ap-northeast-2:123456789012:certificate/xxxx"
	return strings.ReplaceAll(string(content), open, s.Emulator.Certificate)
}
