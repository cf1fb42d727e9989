package system

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/elbow-project/elbow/e2e/cluster/testcluster"
)

// bucket is where the controller puts the certificates of trust stores.
const bucket = "elbow-e2e"

// Emulator is AWS as a process.
type Emulator struct {
	// Endpoint is the URL for AWS clients.
	Endpoint string
	// Certificate is the ARN of a certificate for app.example.com that is there from the start.
	Certificate string
	// CACertificate is the authority that signed it, as PEM.
	CACertificate string

	// Region is AWS's name of where it is.
	Region string

	// port is the Endpoint's, on all addresses.
	port      string
	process   *testcluster.Process
	stateFile string
	callLog   string
}

// Call is a call that was made to AWS. The emulator documents the file that it comes from.
type Call struct {
	Time      int64    `json:"time"`
	Service   string   `json:"service"`
	Operation string   `json:"operation"`
	Read      bool     `json:"read"`
	Status    int      `json:"status"`
	Error     string   `json:"error"`
	Throttled bool     `json:"throttled"`
	Resources []string `json:"resources"`
	UserAgent string   `json:"userAgent"`
}

type emulatorState struct {
	AWS struct {
		EndpointURL string `json:"endpointUrl"`
		Region      string `json:"region"`
	} `json:"aws"`
	CACertificate string `json:"caCertificate"`
}

func startEmulator(ctx context.Context, s *System) (*Emulator, error) {
	var ranges []string
	for _, prefix := range s.Cluster.BalancerRanges {
		ranges = append(ranges, prefix.String())
	}
	e := &Emulator{stateFile: s.file("emulator.json"), callLog: s.file("calls.jsonl")}
	world, err := s.worldFile(e)
	if err != nil {
		return nil, err
	}
	args := []string{
		"emulator",
		"--world", world,
		// Pods reach it too, by the cluster's address.
		"--listen", net.JoinHostPort("0.0.0.0", "0"),
		"--state", e.stateFile,
		"--call-log", e.callLog,
		"--dns", s.Cluster.BalancerResolver.String(),
		"--addresses", strings.Join(ranges, ","),
		"--speed", strconv.Itoa(s.options.Speed),
		"--admin",
	}
	if s.options.Throttle {
		args = append(args, "--throttle", "aws")
	}
	if e.process, err = s.Cluster.Start("emulator", exec.Command(s.program, args...)); err != nil {
		return nil, err
	}
	err = ready(ctx, e.process, func(context.Context) error {
		state, err := e.state()
		if err == nil {
			e.Region, e.CACertificate = state.AWS.Region, state.CACertificate
			e.port, err = port(state.AWS.EndpointURL)
			// What it answers to admins, it answers on loopback alone.
			e.Endpoint = "http://" + net.JoinHostPort("127.0.0.1", e.port)
		}
		return err
	})
	if err != nil {
		e.process.Kill()
		return nil, fmt.Errorf("the emulator: %w", err)
	}
	return e, nil
}

// port is that of a URL.
func port(text string) (string, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Port() == "" {
		return "", fmt.Errorf("the emulator's endpoint %q has no port", text)
	}
	return parsed.Port(), nil
}

func (e *Emulator) state() (*emulatorState, error) {
	text, err := os.ReadFile(e.stateFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the emulator's state: %w", err)
	}
	state := new(emulatorState)
	if err := json.Unmarshal(text, state); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", e.stateFile, err)
	}
	return state, nil
}

// Calls are the controller's calls from a mark on; see [Emulator.Mark].
func (e *Emulator) Calls(mark int64) ([]Call, error) {
	file, err := os.Open(e.callLog)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the call log: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(mark, io.SeekStart); err != nil {
		return nil, fmt.Errorf("cannot read the call log: %w", err)
	}
	var calls []Call
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			// A line without an end is being written.
			return calls, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the call log: %w", err)
		}
		var call Call
		if err := json.Unmarshal(line, &call); err != nil {
			return nil, fmt.Errorf("cannot read the call log: %w", err)
		}
		if !strings.Contains(call.UserAgent, userAgent) {
			calls = append(calls, call)
		}
	}
}

// Mark is the present end of the call log.
func (e *Emulator) Mark() (int64, error) {
	info, err := os.Stat(e.callLog)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read the call log: %w", err)
	}
	return info.Size(), nil
}

// Fault is something that goes wrong in AWS. The emulator documents the fields.
type Fault struct {
	Service   string  `json:"service,omitempty"`
	Operation string  `json:"operation,omitempty"`
	Effect    any     `json:"effect"`
	After     int     `json:"after,omitempty"`
	Times     int     `json:"times,omitempty"`
	Seconds   float64 `json:"seconds,omitempty"`
}

// LoseAnswer closes the connection when the work is done.
const LoseAnswer = "loseAnswer"

// Disconnect closes the connection before anything is done.
const Disconnect = "disconnect"

// Deny refuses for lack of permission.
const Deny = "deny"

// Disturb has things go wrong in AWS from now on.
func (e *Emulator) Disturb(ctx context.Context, faults ...Fault) error {
	body, err := json.Marshal(map[string]any{"faults": faults})
	if err != nil {
		return err
	}
	return e.admin(ctx, http.MethodPost, body)
}

// Limit lowers quotas, by the emulator's names for them.
func (e *Emulator) Limit(ctx context.Context, quotas map[string]int) error {
	body, err := json.Marshal(map[string]any{"quotas": quotas})
	if err != nil {
		return err
	}
	return e.admin(ctx, http.MethodPost, body)
}

// Throttling is whether AWS throttles.
type Throttling string

const (
	// Throttled as AWS documents it.
	Throttled Throttling = "aws"
	// Unthrottled answers any number of calls.
	Unthrottled Throttling = "none"
)

// Throttle switches AWS's throttling; all buckets are full then.
func (e *Emulator) Throttle(ctx context.Context, throttling Throttling) error {
	body, err := json.Marshal(map[string]any{"throttling": throttling})
	if err != nil {
		return err
	}
	return e.admin(ctx, http.MethodPost, body)
}

// Take sets how long AWS's own work takes, by the emulator's names for it, of what begins from now on.
func (e *Emulator) Take(ctx context.Context, milliseconds map[string]int) error {
	body, err := json.Marshal(map[string]any{"latencies": milliseconds})
	if err != nil {
		return err
	}
	return e.admin(ctx, http.MethodPost, body)
}

// Calm ends all that goes wrong.
func (e *Emulator) Calm(ctx context.Context) error { return e.admin(ctx, http.MethodDelete, nil) }

func (e *Emulator) admin(ctx context.Context, method string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, e.Endpoint+"/_emulator/faults", bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("cannot disturb the emulator: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("the emulator refuses: %s: %s", answer.Status, bytes.TrimSpace(text))
	}
	return nil
}
