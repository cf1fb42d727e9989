package kubelet

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

// logsPort is where a kubelet serves the API server, which does so for `kubectl logs`.
const logsPort = 10250

// serveLogs serves the logs of containers on a node, until the kubelet stops.
func (k *Kubelet) serveLogs(node vpc.Node) error {
	address := net.JoinHostPort(node.Address.String(), strconv.Itoa(logsPort))
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{k.options.Certificate}})
	if err != nil {
		return fmt.Errorf("cannot serve logs on %s: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.writeLog)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	k.work.Go(func() {
		<-k.running.Done()
		_ = server.Close()
	})
	go func() { _ = server.Serve(listener) }()
	return nil
}

// writeLog answers with the log of a container; with follow=true, also with what is added to it.
func (k *Kubelet) writeLog(w http.ResponseWriter, r *http.Request) {
	name := logFile(k.options.Logs, r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
	file, err := os.Open(name)
	if err != nil {
		http.Error(w, "the container has no log yet", http.StatusNotFound)
		return
	}
	defer file.Close()
	if lines, err := strconv.Atoi(r.URL.Query().Get("tailLines")); err == nil {
		if err := seekLastLines(file, lines); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	_, err = io.Copy(w, file)
	for err == nil && r.URL.Query().Get("follow") == "true" && waitMore(r.Context(), k.running) {
		_ = http.NewResponseController(w).Flush()
		_, err = io.Copy(w, file)
	}
}

// waitMore waits until there may be more; false when nobody wants it.
func waitMore(reader, kubelet context.Context) bool {
	return sleep(reader, 200*time.Millisecond) && kubelet.Err() == nil
}

// seekLastLines goes to the beginning of the last lines of a file.
func seekLastLines(file *os.File, lines int) error {
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	begin := len(text)
	for ; lines > 0 && begin > 0; lines-- {
		// The line's own end is not that of the one before it.
		begin = bytes.LastIndexByte(text[:begin-1], '\n') + 1
	}
	_, err = file.Seek(int64(begin), io.SeekStart)
	return err
}
