// Package anchor runs HashiCorp's memberlist, with its LAN defaults, in virtual time: beside what, how fast Skep's
// ring notices a death, and what that costs, can be judged.
package anchor

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// IPv4 and UDP without options; what is counted for a datagram beyond its payload.
	datagramHeaderBytes = 28
	// IPv4 and TCP with time stamps; counted for a segment. Handshakes and acknowledgements are not.
	segmentHeaderBytes = 52
	segmentBytes       = 1448
	// Linux' least time until a lost segment is sent again, and until a lost SYN is; each doubles.
	retransmitAfter = 200 * time.Millisecond
	connectAgainIn  = time.Second

	bucket = 100 * time.Millisecond
)

// Network has the same way between any two nodes.
type Network struct {
	oneWay time.Duration
	from   time.Time

	mutex sync.Mutex
	loss  float64
	nodes map[string]*Transport
}

func NewNetwork(oneWay time.Duration) *Network {
	return &Network{oneWay: oneWay, from: time.Now(), nodes: map[string]*Transport{}}
}

// SetLoss is the share of datagrams that never arrive; streams lose time by it.
func (n *Network) SetLoss(loss float64) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.loss = loss
}

func (n *Network) isLost() bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return rand.Float64() < n.loss
}

// How long something takes that is sent again, after twice the time each, until it is not lost.
func (n *Network) repetitions(first time.Duration) time.Duration {
	total := time.Duration(0)
	for again := first; n.isLost(); again *= 2 {
		total += again
	}
	return total
}

func (n *Network) node(addr string) *Transport {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.nodes[addr]
}

// Transport is one node's memberlist.Transport.
type Transport struct {
	network *Network
	addr    *net.TCPAddr
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}

	mutex sync.Mutex
	cut   bool
	ended bool
	open  []net.Conn
	// By 100 ms of virtual time.
	sentBytes, sentPackets map[int]int
}

func (n *Network) NewTransport(ip string, port int) *Transport {
	t := &Transport{
		network:     n,
		addr:        &net.TCPAddr{IP: net.ParseIP(ip), Port: port},
		packets:     make(chan *memberlist.Packet),
		streams:     make(chan net.Conn),
		done:        make(chan struct{}),
		sentBytes:   map[int]int{},
		sentPackets: map[int]int{},
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.nodes[t.addr.String()] = t
	return t
}

// Cut: nothing reaches the node any more, nor anything of it anybody.
func (t *Transport) Cut() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.cut = true
}

func (t *Transport) isCut() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.cut
}

func (t *Transport) hasEnded() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.ended
}

func (t *Transport) count(bytes, packets int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	at := int(time.Since(t.network.from) / bucket)
	t.sentBytes[at] += bytes
	t.sentPackets[at] += packets
}

func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.addr.IP, t.addr.Port, nil
}

func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *Transport) StreamCh() <-chan net.Conn           { return t.streams }

func (t *Transport) WriteTo(payload []byte, addr string) (time.Time, error) {
	now := time.Now()
	if t.hasEnded() {
		return now, net.ErrClosed
	}
	t.count(len(payload)+datagramHeaderBytes, 1)
	to := t.network.node(addr)
	if to == nil || t.isCut() || t.network.isLost() {
		return now, nil
	}
	packet := &memberlist.Packet{Buf: append([]byte(nil), payload...), From: t.addr}
	time.AfterFunc(t.network.oneWay, func() {
		if to.isCut() {
			return
		}
		packet.Timestamp = time.Now()
		select {
		case to.packets <- packet:
		case <-to.done:
		}
	})
	return now, nil
}

func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to := t.network.node(addr)
	connected := 2*t.network.oneWay + t.network.repetitions(connectAgainIn)
	if to == nil || t.isCut() || to.isCut() || connected > timeout {
		time.Sleep(timeout)
		return nil, errors.New("no answer")
	}
	time.Sleep(connected)
	if to.hasEnded() || t.hasEnded() {
		return nil, errors.New("connection refused")
	}
	near, nearEnd := net.Pipe()
	far, farEnd := net.Pipe()
	t.keep(near)
	to.keep(far)
	go t.carry(to, nearEnd, farEnd)
	go to.carry(t, farEnd, nearEnd)
	select {
	case to.streams <- far:
		return near, nil
	case <-to.done:
		return nil, errors.New("connection refused")
	}
}

func (t *Transport) keep(conn net.Conn) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.open = append(t.open, conn)
}

type segment struct {
	bytes []byte
	due   time.Time
}

// Carries one direction of a stream: all that is read here is written there, in its order, when it has got there.
func (t *Transport) carry(to *Transport, from, into net.Conn) {
	line := make(chan segment, 64)
	go func() {
		defer close(line)
		buffer := make([]byte, 64*1024)
		due := time.Time{}
		for {
			length, err := from.Read(buffer)
			if err != nil {
				return
			}
			segments := (length + segmentBytes - 1) / segmentBytes
			t.count(length+segments*segmentHeaderBytes, segments)
			arrives := time.Now().Add(t.network.oneWay)
			for range segments {
				arrives = arrives.Add(t.network.repetitions(retransmitAfter))
			}
			if arrives.After(due) {
				due = arrives
			}
			line <- segment{append([]byte(nil), buffer[:length]...), due}
		}
	}()
	for sent := range line {
		time.Sleep(time.Until(sent.due))
		if t.isCut() || to.isCut() {
			continue
		}
		if _, err := into.Write(sent.bytes); err != nil {
			from.Close()
		}
	}
	if !t.isCut() && !to.isCut() {
		into.Close()
	}
}

// Shutdown is the end of the process: its streams break, and who dials is refused.
func (t *Transport) Shutdown() error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.ended {
		return nil
	}
	t.ended = true
	close(t.done)
	for _, conn := range t.open {
		conn.Close()
	}
	return nil
}
