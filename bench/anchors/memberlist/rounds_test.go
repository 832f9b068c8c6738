// One death a world, and what the survivors made of it; or no death for many hours, and whom they called dead all the
// same. Each world is one line of JSON on stdout, which bench/anchors/memberlist.ts reads.
package anchor

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
)

var (
	members   = flag.Int("members", 5, "nodes")
	fault     = flag.String("fault", "kill", "kill, silence or none")
	rounds    = flag.Int("rounds", 20, "worlds")
	loss      = flag.Float64("loss", 0, "share of datagrams that are lost")
	nodeHours = flag.Float64("node-hours", 1, "of fault none, in all worlds together")
)

const (
	oneWay = 25 * time.Millisecond
	port   = 7946
	settle = 30 * time.Second
	// Long enough for every node to have exchanged its state once, at 100 of them too.
	rest  = 90 * time.Second
	limit = 300 * time.Second
	look  = 500 * time.Millisecond
	after = 2 * time.Second
	// Above all of memberlist's own timeouts.
	wayOut = 2 * time.Minute
)

// What was noticed, in virtual time: the first suspicion of each node, and who called whom dead.
type ledger struct {
	mutex       sync.Mutex
	suspectedAt map[string]time.Time
	suspicions  int
	deadAt      map[string]map[string]time.Time
}

func (l *ledger) suspected(name string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.suspicions++
	if _, known := l.suspectedAt[name]; !known {
		l.suspectedAt[name] = time.Now()
	}
}

func (l *ledger) dead(name, by string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.deadAt[name] == nil {
		l.deadAt[name] = map[string]time.Time{}
	}
	l.deadAt[name][by] = time.Now()
}

// Clears it, and gives how many suspicions it had, and how many verdicts: one for each node that gave it.
func (l *ledger) clear() (suspicions, verdicts int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	suspicions = l.suspicions
	for _, by := range l.deadAt {
		verdicts += len(by)
	}
	l.suspectedAt = map[string]time.Time{}
	l.suspicions = 0
	l.deadAt = map[string]map[string]time.Time{}
	return suspicions, verdicts
}

// Memberlist tells of deaths by its delegate, and of suspicions nowhere but in its log.
type observer struct {
	name   string
	ledger *ledger
}

func (o observer) NotifyJoin(*memberlist.Node)       {}
func (o observer) NotifyUpdate(*memberlist.Node)     {}
func (o observer) NotifyLeave(node *memberlist.Node) { o.ledger.dead(node.Name, o.name) }
func (o observer) Write(line []byte) (int, error) {
	if _, rest, found := strings.Cut(string(line), "memberlist: Suspect "); found {
		if name, _, found := strings.Cut(rest, " has failed"); found {
			o.ledger.suspected(name)
		}
	}
	return len(line), nil
}

type node struct {
	name      string
	list      *memberlist.Memberlist
	transport *Transport
}

type world struct {
	network *Network
	ledger  *ledger
	nodes   []*node
}

func start(t *testing.T) *world {
	w := &world{network: NewNetwork(oneWay), ledger: &ledger{}}
	w.ledger.clear()
	for index := range *members {
		name := fmt.Sprintf("node-%d", index+1)
		transport := w.network.NewTransport(fmt.Sprintf("10.0.0.%d", index+1), port)
		config := memberlist.DefaultLANConfig()
		config.Name = name
		config.Transport = transport
		config.Events = observer{name, w.ledger}
		config.Logger = log.New(observer{name, w.ledger}, "", 0)
		list, err := memberlist.Create(config)
		if err != nil {
			t.Fatal(err)
		}
		w.nodes = append(w.nodes, &node{name, list, transport})
		if index > 0 {
			if _, err := list.Join([]string{fmt.Sprintf("10.0.0.1:%d", port)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// News that gossip failed to bring comes by an exchange of states, as late as that is.
	for time.Sleep(settle); !w.isComplete(); time.Sleep(settle) {
		if time.Since(w.network.from) > limit {
			t.Fatal("some node does not know all others")
		}
	}
	w.network.SetLoss(*loss)
	return w
}

// Everybody knows everybody.
func (w *world) isComplete() bool {
	for _, node := range w.nodes {
		if node.list.NumMembers() != *members {
			return false
		}
	}
	return true
}

// Ends all, and waits for what is still under way: time stands still once a test has returned, and what waits for it
// then would wait for ever.
func (w *world) end() {
	for _, node := range w.nodes {
		_ = node.list.Shutdown()
	}
	time.Sleep(wayOut)
}

// The names and meanings are those of TrafficFigures in bench/healing/traffic.ts.
type traffic struct {
	BytesPerSecond       float64 `json:"bytesPerSecond"`
	PacketsPerSecond     float64 `json:"packetsPerSecond"`
	MostBytesPerSecond   float64 `json:"mostBytesPerSecond"`
	MostPacketsPerSecond float64 `json:"mostPacketsPerSecond"`
	PeakBytesPerSecond   float64 `json:"peakBytesPerSecond"`
}

func (w *world) traffic(from, to time.Time) traffic {
	first := int(from.Sub(w.network.from) / bucket)
	last := max(first, int(to.Sub(w.network.from)/bucket)-1)
	perSecond := int(time.Second / bucket)
	seconds := float64(last-first+1) / float64(perSecond)
	var figures traffic
	for _, node := range w.nodes {
		sum := func(buckets map[int]int, from, to int) float64 {
			total := 0
			for at := from; at <= to; at++ {
				total += buckets[at]
			}
			return float64(total)
		}
		bytes := sum(node.transport.sentBytes, first, last) / seconds
		packets := sum(node.transport.sentPackets, first, last) / seconds
		figures.BytesPerSecond += bytes / float64(len(w.nodes))
		figures.PacketsPerSecond += packets / float64(len(w.nodes))
		figures.MostBytesPerSecond = math.Max(figures.MostBytesPerSecond, bytes)
		figures.MostPacketsPerSecond = math.Max(figures.MostPacketsPerSecond, packets)
		for at := first; at <= last; at++ {
			second := sum(node.transport.sentBytes, at, min(last, at+perSecond-1))
			figures.PeakBytesPerSecond = math.Max(figures.PeakBytesPerSecond, second)
		}
	}
	return figures
}

// Milliseconds from the fault; missing for what did not come about.
type round struct {
	SuspectedMs  *float64 `json:"suspectedMs,omitempty"`
	AgreedMs     *float64 `json:"agreedMs,omitempty"`
	FalseDeaths  int      `json:"falseDeaths"`
	AtRest       traffic  `json:"atRest"`
	WhileHealing traffic  `json:"whileHealing"`
}

func (w *world) play() round {
	restFrom := time.Now()
	// No round of probes may know when the fault comes.
	time.Sleep(rest + rand.N(time.Second))
	faultAt := time.Now()
	w.ledger.clear()
	victim := w.nodes[rand.N(len(w.nodes))]
	if *fault == "silence" {
		victim.transport.Cut()
	} else if err := victim.list.Shutdown(); err != nil {
		panic(err)
	}
	for time.Since(faultAt) < limit && w.agreedMs(victim, faultAt) == nil {
		time.Sleep(look)
	}
	time.Sleep(after)
	outcome := round{AgreedMs: w.agreedMs(victim, faultAt), AtRest: w.traffic(restFrom, faultAt)}
	w.ledger.mutex.Lock()
	defer w.ledger.mutex.Unlock()
	if at, known := w.ledger.suspectedAt[victim.name]; known {
		outcome.SuspectedMs = since(faultAt, at)
	}
	for name, by := range w.ledger.deadAt {
		if name != victim.name {
			for observer := range by {
				if observer != victim.name {
					outcome.FalseDeaths++
				}
			}
		}
	}
	outcome.WhileHealing = w.traffic(faultAt, time.Now().Add(-after))
	return outcome
}

// When the last of the survivors called the victim dead.
func (w *world) agreedMs(victim *node, faultAt time.Time) *float64 {
	w.ledger.mutex.Lock()
	defer w.ledger.mutex.Unlock()
	last := faultAt
	for _, survivor := range w.nodes {
		if survivor == victim {
			continue
		}
		at, knows := w.ledger.deadAt[victim.name][survivor.name]
		if !knows {
			return nil
		}
		if at.After(last) {
			last = at
		}
	}
	return since(faultAt, last)
}

func since(from, at time.Time) *float64 {
	ms := float64(at.Sub(from)) / float64(time.Millisecond)
	return &ms
}

type living struct {
	NodeHours  float64 `json:"nodeHours"`
	Verdicts   int     `json:"verdicts"`
	Suspicions int     `json:"suspicions"`
}

// Nobody dies: every verdict is false.
func (w *world) live(hours float64) living {
	w.ledger.clear()
	from := time.Now()
	time.Sleep(time.Duration(hours * float64(time.Hour)))
	suspicions, verdicts := w.ledger.clear()
	return living{time.Since(from).Hours() * float64(*members), verdicts, suspicions}
}

func TestRounds(t *testing.T) {
	for range *rounds {
		synctest.Test(t, func(t *testing.T) {
			w := start(t)
			var outcome any
			if *fault == "none" {
				outcome = w.live(*nodeHours / float64(*members**rounds))
			} else {
				outcome = w.play()
			}
			w.end()
			line, err := json.Marshal(outcome)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Printf("%s\n", line)
		})
	}
}
