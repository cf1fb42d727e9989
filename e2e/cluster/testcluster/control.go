package testcluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

// The tests of a cluster can run in another process than the cluster. What they do to it goes over a
// socket, and does so too where both are one process, so that there is one way to do it.
const (
	pathStopAPIServer  = "/apiserver/stop"
	pathStartAPIServer = "/apiserver/start"
	pathExpireWatches  = "/watches/expire"
	pathAddNode        = "/nodes"
)

// StopAPIServer ends the API server as a crash would: connections and watches break, and new ones are
// refused.
func (c *Cluster) StopAPIServer(ctx context.Context) error {
	return c.ask(ctx, pathStopAPIServer, struct{}{}, nil)
}

// StartAPIServer starts the API server again, and returns when it is ready.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	return c.ask(ctx, pathStartAPIServer, struct{}{}, nil)
}

// ExpireWatches starts the API server anew with its history lost. Whoever goes on with a watch from a
// resourceVersion of before is answered 410 Gone and has to list again.
func (c *Cluster) ExpireWatches(ctx context.Context) error {
	return c.ask(ctx, pathExpireWatches, struct{}{}, nil)
}

// AddNode adds a node in a zone. The description of the VPC gets it too; the emulator has to be told.
func (c *Cluster) AddNode(ctx context.Context, zone string) (vpc.Node, error) {
	var node vpc.Node
	err := c.ask(ctx, pathAddNode, addNode{Zone: zone}, &node)
	return node, err
}

// addNode is the body of a request for a node.
type addNode struct {
	Zone string `json:"zone"`
}

// ask asks the process that runs the cluster.
func (c *Cluster) ask(ctx context.Context, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cluster"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.control.Do(request)
	if err != nil {
		return fmt.Errorf("cannot reach the process that runs the cluster: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("cannot hear the process that runs the cluster: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(text)))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// serveControl answers what [Cluster] asks, until the listener is closed.
func (h *host) serveControl(listener net.Listener) {
	simple := func(do func(context.Context) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { respond(w, struct{}{}, do(r.Context())) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathStopAPIServer, simple(func(context.Context) error { return h.plane.StopAPIServer() }))
	mux.HandleFunc("POST "+pathStartAPIServer, simple(h.plane.StartAPIServer))
	mux.HandleFunc("POST "+pathExpireWatches, simple(h.plane.ExpireWatches))
	mux.HandleFunc("POST "+pathAddNode, func(w http.ResponseWriter, r *http.Request) {
		var wanted addNode
		if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil {
			respond(w, nil, err)
			return
		}
		node, err := h.addNode(r.Context(), wanted.Zone)
		respond(w, node, err)
	})
	// It ends with an error when the listener is closed, which is its only end.
	_ = http.Serve(listener, mux)
}

// respond sends an answer, or the error as text.
func respond(w http.ResponseWriter, answer any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// A client that is gone misses nothing.
	_ = json.NewEncoder(w).Encode(answer)
}
