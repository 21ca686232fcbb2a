// Package announce makes the node answer for addresses of load balancers: a part of the agent. The daemon says which ones.
//
// An address is on no interface of the node. The agent itself answers ARP requests for it, so that a node whose agent is frozen
// or gone does not go on answering; kube-proxy leads what comes to the address to a Service's pods; and a few nftables rules
// refuse what is for no Service (filter.go).
//
// Nobody but the daemon decides who has an address, and it may be away. So what a node announces lasts while the daemon and
// the agent are restarted. If another node announces an address (its gratuitous ARP, RFC 5227), this one gives it up at once.
// A node that was frozen, or whose agent was restarted, asks first whether another one has its addresses by now, and answers
// nothing until then. holder.go decides all this, and is pure.
//
// The API, at /v1/announce: PUT takes a cluster.Announcement; GET returns a cluster.Announced per line, at once, after each
// change, and as a sign of life twice a second. Begin reading at Part.
package announce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"bonsai/bootstrap/atomicfile"
	"bonsai/bootstrap/cluster"
)

const (
	// beat is how often the daemon gets a sign of life, and how often an agent looks whether it was frozen in between.
	beat = 500 * time.Millisecond
	// openPause is between two attempts to use the interface, which may be gone for a moment.
	openPause = time.Second
	// filterLimit bounds the setting of a few rules.
	filterLimit = 5 * time.Second
	// maxAnnouncement bounds what is read of a request: some hundred addresses with all their ports.
	maxAnnouncement = 4 << 20
)

// Wire sends and receives the ARP packets of the node's interface.
type Wire interface {
	// Receive blocks until there is a packet, or the wire is closed.
	Receive() (Packet, error)
	Send(Packet) error
	// MAC is the address of the interface.
	MAC() net.HardwareAddr
	Close() error
}

// Filter handles what comes to announced addresses and is for no pod.
type Filter interface {
	Set(ctx context.Context, addresses []cluster.AnnouncedAddress) error
}

// Config holds the dependencies of a Part.
type Config struct {
	// Subnet has every address that may be announced, except Not: the node's own and the machine's.
	Subnet netip.Prefix
	Not    []netip.Addr
	// Open opens the interface of the cluster's network.
	Open   func() (Wire, error)
	Filter Filter
	// StateFile has what is announced, for the agent after this one. It must not outlast the node's container.
	StateFile string
	Log       *slog.Logger
}

// Part is the part of the agent. Create it with New.
type Part struct {
	cfg Config
	// kick has room for one, and a value when Run has something to do.
	kick chan struct{}
	// setting is held while an announcement is taken over.
	setting sync.Mutex

	mu      sync.Mutex // guards the rest
	holder  holder
	changed chan struct{} // closed and replaced when what is reported changes
}

// New returns the part, which announces nothing yet.
func New(cfg Config) *Part {
	return &Part{cfg: cfg, kick: make(chan struct{}, 1), holder: newHolder(), changed: make(chan struct{})}
}

// Name implements nodeagent.Part.
func (p *Part) Name() string { return "announce" }

// Run announces until ctx ends. Without an address it only waits.
func (p *Part) Run(ctx context.Context) error {
	p.restore(ctx)
	for {
		if p.idle() {
			select {
			case <-ctx.Done():
				return nil
			case <-p.kick:
				continue
			}
		}
		err := p.answer(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			p.cfg.Log.Warn("addresses of load balancers are not announced", "cause", err, "retry", openPause)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(openPause):
			}
		}
	}
}

func (p *Part) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holder.idle()
}

// answer works with the interface until ctx ends, there is nothing more to announce, or the interface fails.
func (p *Part) answer(ctx context.Context) error {
	wire, err := p.cfg.Open()
	if err != nil {
		return err
	}
	packets, failed, done := make(chan Packet), make(chan error, 1), make(chan struct{})
	var receiving sync.WaitGroup
	receiving.Go(func() {
		for {
			packet, err := wire.Receive()
			if err != nil {
				failed <- err
				return
			}
			select {
			case packets <- packet:
			case <-done:
				return
			}
		}
	})
	defer receiving.Wait()
	defer wire.Close()
	defer close(done)

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var send []Packet
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("receive ARP packets: %w", err)
		case <-p.kick:
		case packet := <-packets:
			send = p.update(func(h *holder) []Packet { return h.receive(packet, wire.MAC(), time.Now()) })
		case <-timer.C:
		}
		idle, next := false, time.Duration(0)
		send = append(send, p.update(func(h *holder) []Packet {
			now := time.Now()
			due := h.tick(wire.MAC(), now)
			idle, next = h.idle(), h.next(now)
			return due
		})...)
		for _, packet := range send {
			if err := wire.Send(packet); err != nil {
				return fmt.Errorf("send an ARP packet: %w", err)
			}
		}
		if idle {
			return nil
		}
		timer.Reset(next)
	}
}

// update changes the holder and reports if what it announces has changed.
func (p *Part) update(change func(*holder) []Packet) []Packet {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.holder.version
	send := change(&p.holder)
	if p.holder.version != before {
		close(p.changed)
		p.changed = make(chan struct{})
	}
	for _, line := range p.holder.notes {
		p.cfg.Log.Info(line.text, "address", line.address)
	}
	p.holder.notes = nil
	return send
}

// restore takes over what an agent before this one announced in the same container.
func (p *Part) restore(ctx context.Context) {
	data, err := os.ReadFile(p.cfg.StateFile)
	var a cluster.Announcement
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		p.cfg.Log.Warn("what was announced before is not known", "cause", err)
		return
	}
	p.setting.Lock()
	defer p.setting.Unlock()
	took := false
	p.update(func(h *holder) []Packet { took = h.adopt(a, time.Now()); return nil })
	if took {
		p.filter(ctx, a.Addresses)
	}
}

// errOld is the answer to an announcement that a newer one has overtaken.
var errOld = errors.New("the agent has a newer announcement")

// set takes over an announcement.
func (p *Part) set(ctx context.Context, a cluster.Announcement) error {
	p.setting.Lock()
	defer p.setting.Unlock()
	before := p.announcement()
	if a.Sequence <= before.Sequence {
		return errOld
	}
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(p.cfg.StateFile, data, 0o600, atomicfile.Options{}); err != nil {
		return fmt.Errorf("write what is announced: %w", err)
	}
	p.filter(ctx, a.Addresses)
	p.update(func(h *holder) []Packet { h.set(a, time.Now()); return nil })
	select {
	case p.kick <- struct{}{}:
	default:
	}
	return nil
}

// filter sets the rules. Traffic of Services does not depend on them.
func (p *Part) filter(ctx context.Context, addresses []cluster.AnnouncedAddress) {
	ctx, cancel := context.WithTimeout(ctx, filterLimit)
	defer cancel()
	if err := p.cfg.Filter.Set(ctx, addresses); err != nil {
		p.cfg.Log.Warn("what comes to an address of a load balancer and is for no Service is not refused", "cause", err)
	}
}

func (p *Part) announcement() cluster.Announcement {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holder.wanted
}

func (p *Part) report() (cluster.Announced, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holder.report(), p.changed
}

// Handler implements nodeagent.Part.
func (p *Part) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.watch)
	mux.HandleFunc("PUT /{$}", p.put)
	return mux
}

func (p *Part) put(w http.ResponseWriter, r *http.Request) {
	var a cluster.Announcement
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnnouncement))
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err == nil {
		err = p.check(a)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch err := p.set(r.Context(), a); {
	case errors.Is(err, errOld):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		now, _ := p.report()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(now) // fails only if the client is gone
	}
}

// check refuses addresses that a node must never answer for.
func (p *Part) check(a cluster.Announcement) error {
	for _, one := range a.Addresses {
		if !one.Address.Is4() || !p.cfg.Subnet.Contains(one.Address) {
			return fmt.Errorf("%s is not an address of the cluster's subnet %s", one.Address, p.cfg.Subnet)
		}
		if slices.Contains(p.cfg.Not, one.Address) {
			return fmt.Errorf("%s is the address of a node or of the machine", one.Address)
		}
	}
	return nil
}

func (p *Part) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl")
	enc, rc := json.NewEncoder(w), http.NewResponseController(w)
	alive := time.NewTicker(beat)
	defer alive.Stop()
	for {
		now, changed := p.report()
		if err := errors.Join(enc.Encode(now), rc.Flush()); err != nil {
			return // the client is gone
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-alive.C:
		}
	}
}
