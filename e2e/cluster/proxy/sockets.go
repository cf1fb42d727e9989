package proxy

import (
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// dialTimeout is longer than a pod in the same kernel ever takes.
	dialTimeout = 5 * time.Second
	// flowIdle is for how long a client's datagrams go to the same endpoint, as in the kernel's table of
	// flows.
	flowIdle = 30 * time.Second
	// datagramMax is the largest that UDP has.
	datagramMax = 65535
)

func listen(at front) (socket, error) {
	switch at.protocol {
	case corev1.ProtocolTCP:
		listener, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at.address))
		if err != nil {
			return nil, err
		}
		forwarded := &tcpSocket{listener: listener}
		go forwarded.run()
		return forwarded, nil
	case corev1.ProtocolUDP:
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at.address))
		if err != nil {
			return nil, err
		}
		forwarded := &udpSocket{conn: conn, flows: make(map[netip.AddrPort]*net.UDPConn)}
		go forwarded.run()
		return forwarded, nil
	default:
		return nil, fmt.Errorf("%s is not forwarded", at.protocol)
	}
}

// target has the backends of a socket.
type target struct {
	current atomic.Pointer[backends]
	turn    atomic.Uint32
}

func (t *target) set(to backends) {
	t.current.Store(&to)
}

// pick is the endpoint for a client that is new: each in turn, or by the client's address.
func (t *target) pick(client netip.Addr) (netip.AddrPort, bool) {
	to := t.current.Load()
	if to == nil || len(to.endpoints) == 0 {
		return netip.AddrPort{}, false
	}
	number := t.turn.Add(1)
	if to.sticky {
		hash := fnv.New32a()
		_, _ = hash.Write(client.AsSlice())
		number = hash.Sum32()
	}
	return to.endpoints[int(number%uint32(len(to.endpoints)))], true
}

// tcpSocket forwards connections.
type tcpSocket struct {
	target
	listener *net.TCPListener
}

func (s *tcpSocket) close() {
	_ = s.listener.Close()
}

func (s *tcpSocket) run() {
	for {
		client, err := s.listener.AcceptTCP()
		if err != nil {
			return
		}
		go s.forward(client)
	}
}

// forward joins a client with an endpoint until both have said all.
func (s *tcpSocket) forward(client *net.TCPConn) {
	defer client.Close()
	address, ok := s.pick(client.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
	if !ok {
		reset(client)
		return
	}
	conn, err := net.DialTimeout("tcp4", address.String(), dialTimeout)
	if err != nil {
		// What the client would see if the kernel had forwarded it.
		reset(client)
		return
	}
	endpoint := conn.(*net.TCPConn)
	defer endpoint.Close()
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{client, endpoint}, {endpoint, client}} {
		both.Go(func() {
			if _, err := io.Copy(way[1], way[0]); err != nil {
				// One side broke off: so does the other.
				reset(client)
				reset(endpoint)
				return
			}
			_ = way[1].CloseWrite()
		})
	}
	both.Wait()
}

// reset ends a connection as one that failed.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// udpSocket forwards datagrams; each client has a socket of its own towards its endpoint.
type udpSocket struct {
	target
	conn *net.UDPConn

	mutex sync.Mutex
	flows map[netip.AddrPort]*net.UDPConn
}

// set also ends the flows, so that none goes on to an endpoint that is gone.
func (s *udpSocket) set(to backends) {
	if before := s.current.Load(); before != nil && slices.Equal(before.endpoints, to.endpoints) {
		return
	}
	s.target.set(to)
	s.endFlows()
}

func (s *udpSocket) close() {
	_ = s.conn.Close()
	s.endFlows()
}

func (s *udpSocket) endFlows() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, flow := range s.flows {
		_ = flow.Close()
	}
	clear(s.flows)
}

func (s *udpSocket) run() {
	buffer := make([]byte, datagramMax)
	for {
		length, client, err := s.conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if flow := s.flow(client); flow != nil {
			_ = flow.SetReadDeadline(time.Now().Add(flowIdle))
			_, _ = flow.Write(buffer[:length])
		}
	}
}

// flow is the socket of a client towards its endpoint.
func (s *udpSocket) flow(client netip.AddrPort) *net.UDPConn {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if flow, ok := s.flows[client]; ok {
		return flow
	}
	address, ok := s.pick(client.Addr())
	if !ok {
		return nil
	}
	flow, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil
	}
	_ = flow.SetReadDeadline(time.Now().Add(flowIdle))
	s.flows[client] = flow
	go s.answer(client, flow)
	return flow
}

// answer sends what an endpoint says back to the client, until nothing has been said for a while.
func (s *udpSocket) answer(client netip.AddrPort, flow *net.UDPConn) {
	defer func() {
		_ = flow.Close()
		s.mutex.Lock()
		defer s.mutex.Unlock()
		if s.flows[client] == flow {
			delete(s.flows, client)
		}
	}()
	buffer := make([]byte, datagramMax)
	for {
		length, err := flow.Read(buffer)
		if err != nil {
			return
		}
		_ = flow.SetReadDeadline(time.Now().Add(flowIdle))
		if _, err := s.conn.WriteToUDPAddrPort(buffer[:length], client); err != nil {
			return
		}
	}
}
