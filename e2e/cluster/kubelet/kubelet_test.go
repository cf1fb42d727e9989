package kubelet

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestVariablesAreExpanded(t *testing.T) {
	variables := []string{"A=one", "B=two", "A=three"}
	for _, row := range []struct{ name, text, want string }{
		{"nothing", "plain", "plain"},
		{"a variable", "x-$(B)-y", "x-two-y"},
		{"the last of a name counts", "$(A)", "three"},
		{"several", "$(A)$(B)", "threetwo"},
		{"an unknown one stays", "$(C)", "$(C)"},
		{"a doubled dollar", "$$(A)", "$(A)"},
		{"a shell's variable stays", "$A ${B}", "$A ${B}"},
		{"an open bracket", "$(A", "$(A"},
		{"a dollar at the end", "cost: 5$", "cost: 5$"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := expandVariables(row.text, variables); got != row.want {
				t.Errorf("%q becomes %q and not %q", row.text, got, row.want)
			}
		})
	}
}

func TestImagesHaveNames(t *testing.T) {
	for reference, want := range map[string]string{
		"registry.k8s.io/gateway-api/echo-basic:v1.5.1": "echo-basic",
		"busybox":                      "busybox",
		"localhost:5000/tool":          "tool",
		"localhost:5000/tool:v1":       "tool",
		"example.com/a/b@sha256:00ff":  "b",
		"example.com/a/b:v1@sha256:00": "b",
	} {
		if got := imageName(reference); got != want {
			t.Errorf("%s is %q and not %q", reference, got, want)
		}
	}
}

func TestEntrypoint(t *testing.T) {
	k := &Kubelet{options: Options{Images: map[string]Image{"tool": {Program: "/opt/tool", Args: []string{"serve"}}}}}
	for _, row := range []struct {
		name      string
		container corev1.Container
		program   string
		args      []string
	}{
		{"the image's own", corev1.Container{Image: "tool:v1"}, "/opt/tool", []string{"/tool", "serve"}},
		{"other arguments", corev1.Container{Image: "tool", Args: []string{"$(A)"}}, "/opt/tool", []string{"/tool", "b"}},
		{"a command", corev1.Container{Image: "any", Command: []string{"sh"}, Args: []string{"-c"}}, "", []string{"sh", "-c"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			program, args, err := k.entrypoint(&row.container, []string{"A=b"})
			if err != nil || program != row.program || len(args) != len(row.args) {
				t.Fatalf("%q %q %v", program, args, err)
			}
			for i := range args {
				if args[i] != row.args[i] {
					t.Errorf("%q and not %q", args, row.args)
				}
			}
		})
	}
	if _, _, err := k.entrypoint(&corev1.Container{Image: "any"}, nil); err == nil {
		t.Error("an unknown image without a command has an entry point")
	}
}

func TestLastLinesAreFound(t *testing.T) {
	for _, row := range []struct {
		name, text string
		lines      int
		want       string
	}{
		{"fewer", "a\nb\nc\n", 2, "b\nc\n"},
		{"as many", "a\nb\n", 2, "a\nb\n"},
		{"more", "a\nb\n", 5, "a\nb\n"},
		{"none", "a\nb\n", 0, ""},
		{"without an end", "a\nb", 1, "b"},
		{"of nothing", "", 3, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(name, []byte(row.text), 0o644); err != nil {
				t.Fatal(err)
			}
			file, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if err := seekLastLines(file, row.lines); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(file)
			if err != nil || string(rest) != row.want {
				t.Errorf("%q (%v) and not %q", rest, err, row.want)
			}
		})
	}
}
