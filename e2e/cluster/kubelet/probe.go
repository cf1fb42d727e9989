package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// A server that has just been started is not there yet for its first probe, and would then wait
	// for a whole period. In the first eagerFor, probes that fail do not count, and come again after
	// eagerPeriod.
	eagerFor    = 3 * time.Second
	eagerPeriod = 100 * time.Millisecond
)

// handler does what probes and hooks of one start of a container want.
type handler struct {
	container *container
	process   *process
	variables []string
}

// probe runs the container's probes until ctx ends; unhealthy is told when the container has to be
// started again.
func (c *container) probe(ctx context.Context, hook handler, unhealthy chan<- string) {
	tell := func(what string) {
		select {
		case unhealthy <- what:
		default:
		}
	}
	if c.spec.StartupProbe != nil {
		started := hook.watch(ctx, c.spec.StartupProbe, func(good bool, err error) bool {
			if !good {
				tell(fmt.Sprintf("failed startup probe, will be restarted: %v", err))
			}
			return false
		})
		if !started {
			return
		}
		c.change(func() {
			c.started = true
			c.ready = c.spec.ReadinessProbe == nil
		})
	}
	var both sync.WaitGroup
	if c.spec.ReadinessProbe != nil {
		both.Go(func() {
			hook.watch(ctx, c.spec.ReadinessProbe, func(good bool, err error) bool {
				if !good {
					c.pod.event(corev1.EventTypeWarning, "Unhealthy", "Readiness probe of %s failed: %v", c.spec.Name, err)
				}
				c.change(func() { c.ready = good })
				return true
			})
		})
	}
	if c.spec.LivenessProbe != nil {
		both.Go(func() {
			hook.watch(ctx, c.spec.LivenessProbe, func(good bool, err error) bool {
				if !good {
					tell(fmt.Sprintf("failed liveness probe, will be restarted: %v", err))
				}
				return good
			})
		})
	}
	both.Wait()
}

// watch probes again and again, and says when the outcome has changed, as often as the thresholds want.
// It ends when changed returns false, or ctx ends, and tells whether the last that it said was good.
func (h handler) watch(ctx context.Context, probe *corev1.Probe, changed func(good bool, err error) bool) bool {
	seconds := func(n, absent int32) time.Duration {
		if n == 0 {
			n = absent
		}
		return time.Duration(n) * time.Second
	}
	period, timeout := seconds(probe.PeriodSeconds, 10), seconds(probe.TimeoutSeconds, 1)
	successes, failures := max(probe.SuccessThreshold, 1), probe.FailureThreshold
	if failures == 0 {
		failures = 3
	}
	if !sleep(ctx, seconds(probe.InitialDelaySeconds, 0)) {
		return false
	}
	var good, known bool
	var row int32
	for begin := time.Now(); ; {
		err := h.try(ctx, probe.ProbeHandler, timeout)
		if ctx.Err() != nil {
			return known && good
		}
		if err != nil && !known && time.Since(begin) < eagerFor {
			if !sleep(ctx, eagerPeriod) {
				return false
			}
			continue
		}
		if (err == nil) == good && known {
			row = 0
		} else if row++; (err == nil && row >= successes) || (err != nil && row >= failures) {
			good, known, row = err == nil, true, 0
			if !changed(good, err) {
				return good
			}
		}
		if !sleep(ctx, period) {
			return known && good
		}
	}
}

// try probes once.
func (h handler) try(ctx context.Context, how corev1.ProbeHandler, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case how.HTTPGet != nil:
		return h.get(ctx, how.HTTPGet)
	case how.TCPSocket != nil:
		return h.connect(ctx, how.TCPSocket)
	case how.Exec != nil:
		return runInside(ctx, h.process, h.container.pod.namespaceFile, how.Exec.Command, h.variables)
	default:
		return errors.New("only httpGet, tcpSocket and exec probes are known here")
	}
}

// do does what a hook of the container's life wants.
func (h handler) do(ctx context.Context, how *corev1.LifecycleHandler) error {
	switch {
	case how.HTTPGet != nil:
		return h.get(ctx, how.HTTPGet)
	case how.Exec != nil:
		return runInside(ctx, h.process, h.container.pod.namespaceFile, how.Exec.Command, h.variables)
	case how.Sleep != nil:
		select {
		case <-time.After(time.Duration(how.Sleep.Seconds) * time.Second):
			return nil
		case <-h.process.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	default:
		return errors.New("only httpGet, exec and sleep hooks are known here")
	}
}

// get asks the container by HTTP, and is content with a status below 400, as Kubernetes is.
func (h handler) get(ctx context.Context, how *corev1.HTTPGetAction) error {
	address, err := h.address(how.Host, how.Port)
	if err != nil {
		return err
	}
	path, query, _ := strings.Cut(how.Path, "?")
	target := url.URL{Scheme: strings.ToLower(string(how.Scheme)), Host: address, Path: path, RawQuery: query}
	if target.Scheme == "" {
		target.Scheme = "http"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/1.36")
	for _, header := range how.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
		if strings.EqualFold(header.Name, "Host") {
			request.Host = header.Value
		}
	}
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			// As Kubernetes has it: a probe asks whether the server answers, not who it is.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", response.StatusCode)
	}
	return nil
}

func (h handler) connect(ctx context.Context, how *corev1.TCPSocketAction) error {
	address, err := h.address(how.Host, how.Port)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// address is HOST:PORT of the container, whose ports may have names.
func (h handler) address(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = h.container.pod.address().String()
	}
	if port.Type == intstr.Int {
		return net.JoinHostPort(host, strconv.Itoa(port.IntValue())), nil
	}
	for _, named := range h.container.spec.Ports {
		if named.Name == port.StrVal {
			return net.JoinHostPort(host, strconv.Itoa(int(named.ContainerPort))), nil
		}
	}
	return "", fmt.Errorf("the container has no port %s", port.StrVal)
}
