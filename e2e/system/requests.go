package system

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/elbow-project/elbow/e2e/cluster/programs"
)

// Request is a kind of request that the controller makes of the API server.
type Request struct {
	Verb        string `json:"verb"`
	Group       string `json:"group"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	// Namespace is empty for what is not in one, and for lists and watches of all of them.
	Namespace string `json:"namespace,omitempty"`
	// Name is empty for lists and watches of more than one object, and for what gets a name.
	Name string `json:"name,omitempty"`
	// Role that allowed it; empty when none did.
	Role string `json:"role,omitempty"`
	// Denied tells whether the API server refused for lack of permission.
	Denied bool `json:"denied,omitempty"`
}

func (r Request) String() string {
	text := r.Verb + " " + r.Resource
	if r.Subresource != "" {
		text += "/" + r.Subresource
	}
	if r.Group != "" {
		text += "." + r.Group
	}
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Namespace != "" {
		text += " in " + r.Namespace
	}
	return text
}

// Requests are those of one System, as they are kept for those who compare them with the role.
type Requests struct {
	// Suite is the test package, or the program, that ran the System.
	Suite    string    `json:"suite"`
	Requests []Request `json:"requests"`
}

// auditEvent is a line of the API server's audit log, as far as it is read here.
type auditEvent struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	// ObjectRef is missing in requests that are about no resource, as those of discovery.
	ObjectRef *struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Annotations map[string]string `json:"annotations"`
}

// Annotations of the API server's authorizer.
const (
	auditDecision = "authorization.k8s.io/decision"
	auditReason   = "authorization.k8s.io/reason"
)

// readRequests reads the kinds of requests of the controller from an audit log.
func readRequests(log io.Reader) ([]Request, error) {
	user := fmt.Sprintf("system:serviceaccount:%s:%s", Namespace, ServiceAccount)
	seen := map[Request]bool{}
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			// A line without an end is being written.
			break
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the audit log: %w", err)
		}
		var event auditEvent
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("cannot read the audit log: %w", err)
		}
		if event.User.Username != user || event.ObjectRef == nil {
			continue
		}
		request := Request{
			Verb:        event.Verb,
			Group:       event.ObjectRef.APIGroup,
			Resource:    event.ObjectRef.Resource,
			Subresource: event.ObjectRef.Subresource,
			Namespace:   event.ObjectRef.Namespace,
			Name:        event.ObjectRef.Name,
			Role:        allowedBy(event.Annotations[auditReason]),
			Denied:      event.Annotations[auditDecision] == "forbid",
		}
		seen[request] = true
		if request.Verb == "patch" && event.ResponseStatus.Code == http.StatusCreated {
			// An apply of what is not there needs both rights, and the log has one.
			request.Verb, request.Name = "create", ""
			seen[request] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b Request) int { return cmp.Compare(a.String(), b.String()) }), nil
}

// allowedBy is the role in the reason that RBAC gives: `RBAC: allowed by ClusterRoleBinding "a" of
// ClusterRole "b" to …`.
func allowedBy(reason string) string {
	_, role, found := strings.Cut(reason, ` of `)
	if !found {
		return ""
	}
	_, name, _ := strings.Cut(role, `"`)
	name, _, _ = strings.Cut(name, `"`)
	return name
}

// keepRequests adds what the controller asked of the API server to what is kept; see [KeptRequests].
func (s *System) keepRequests() error {
	log, err := os.Open(s.Cluster.AuditLog)
	if err != nil {
		return fmt.Errorf("cannot read the audit log: %w", err)
	}
	defer log.Close()
	requests, err := readRequests(log)
	if err != nil || len(requests) == 0 {
		return err
	}
	folder, err := requestsFolder(s.program)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("cannot make a folder for requests: %w", err)
	}
	suite := strings.TrimSuffix(filepath.Base(os.Args[0]), ".test")
	text, err := json.MarshalIndent(Requests{Suite: suite, Requests: requests}, "", " ")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, suite+"-*.json")
	if err != nil {
		return fmt.Errorf("cannot keep requests: %w", err)
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return fmt.Errorf("cannot keep requests: %w", err)
	}
	return nil
}

// KeptRequests are those of all Systems that ran this elbow. What another build of it asked for says
// nothing of this one.
func KeptRequests() ([]Requests, error) {
	repository, err := repository()
	if err != nil {
		return nil, err
	}
	program, err := program(repository)
	if err != nil {
		return nil, err
	}
	folder, err := requestsFolder(program)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list what is kept of requests: %w", err)
	}
	var all []Requests
	for _, entry := range entries {
		file := filepath.Join(folder, entry.Name())
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read what is kept of requests: %w", err)
		}
		var kept Requests
		if err := json.Unmarshal(text, &kept); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", file, err)
		}
		all = append(all, kept)
	}
	return all, nil
}

// requestsFolder is where requests of a program are kept: below the folder of what is built, by what the
// program consists of.
func requestsFolder(program string) (string, error) {
	source, err := programs.Source()
	if err != nil {
		return "", err
	}
	cache, err := programs.Cache(source)
	if err != nil {
		return "", err
	}
	file, err := os.Open(program)
	if err != nil {
		return "", fmt.Errorf("cannot read the program that is tested: %w", err)
	}
	defer file.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return "", fmt.Errorf("cannot read the program that is tested: %w", err)
	}
	return filepath.Join(cache, "audit", hex.EncodeToString(digest.Sum(nil))[:16]), nil
}
