package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bonsai/test/coredns/internal/compare"
)

// server is one of the processes that are measured.
type server struct {
	name, addr, log string
	cmd             *exec.Cmd
	ask             *compare.Client
}

// corefile is kubeadm's, word for word. CoreDNS gets it with its own addresses, the address of the API server, and the
// stub to forward to; bonsai with the stub only, from the ConfigMap that kubeadm would put it into.
const corefile = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`

func (b *bench) startServers(ctx context.Context) error {
	for _, program := range []string{"coredns", "dnsaddon"} {
		if err := b.command(ctx, "go", "build", "-o", filepath.Join(b.dir, program), "./cmd/"+program); err != nil {
			return err
		}
	}
	if err := b.startCoreDNS("CoreDNS", ""); err != nil {
		return err
	}
	if b.multisocket {
		if err := b.startCoreDNS("CoreDNS multisocket", "multisocket"); err != nil {
			return err
		}
	}
	addrs, err := freePorts(2)
	if err != nil {
		return err
	}
	if err := b.start("bonsai", addrs[0], "dnsaddon", "-kubeconfig", b.kubeconfig(), "-listen", addrs[0], "-metrics", addrs[1]); err != nil {
		return err
	}
	return b.arrived(ctx, b.services)
}

func (b *bench) startCoreDNS(name, extra string) error {
	addrs, err := freePorts(4)
	if err != nil {
		return err
	}
	_, port, _ := strings.Cut(addrs[0], ":")
	text := strings.NewReplacer(
		".:53 {", ".:"+port+" {\n    bind 127.0.0.1\n    "+extra,
		"health {", "health "+addrs[1]+" {",
		"ready", "ready "+addrs[2],
		":9153", addrs[3],
		"pods insecure", "pods insecure\n       kubeconfig "+b.kubeconfig(),
		"/etc/resolv.conf", b.upstream.Addr,
	).Replace(corefile)
	path := filepath.Join(b.dir, "Corefile "+name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return b.start(name, addrs[0], "coredns", "-conf", path)
}

// freePorts are addresses on the loopback that are free now, for TCP and UDP.
func freePorts(count int) (addrs []string, err error) {
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		defer p.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

func (b *bench) start(name, addr, program string, args ...string) error {
	s := &server{name: name, addr: addr, log: filepath.Join(b.dir, name+".log"), ask: compare.NewClient(addr, addr)}
	out, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer out.Close()
	s.cmd = exec.Command(filepath.Join(b.dir, program), args...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		return err
	}
	b.servers = append(b.servers, s)
	return nil
}

func (b *bench) stopServers() {
	for _, s := range b.servers {
		s.ask.Close()
		_ = s.cmd.Process.Kill() // CoreDNS would keep running for five seconds
		_ = s.cmd.Wait()
	}
}

// arrived waits until every server knows the newest services, those before number to.
func (b *bench) arrived(ctx context.Context, to int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, s := range b.servers {
		for n := max(0, to-4*creators); n < to; n++ {
			name := strings.ReplaceAll(endpoint(n, 0), ".", "-") + "." + serviceName(n)
			if err := s.knows(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *server) knows(ctx context.Context, name string) error {
	for {
		reply, err := s.ask.Ask(question(name, dns.TypeA), false)
		if err == nil && len(reply.Answer) == 1 {
			return nil
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("%s does not know %s: %v, %w\n%s", s.name, name, reply, errors.Join(err, ctx.Err()), text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func question(name string, kind uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, kind) }

// tick is the unit of processor time in /proc: USER_HZ is 100 on all architectures that Go supports.
const tick = time.Second / 100

// cpu is the time that the process has spent on processors, in user space and in the kernel. Its resolution is 10 ms.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("%s has ended: %w", s.name, err)
	}
	// The second field may hold spaces, and ends with the last parenthesis.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime, the 14th and 15th of all
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// machineBusy is the time that all processors together have spent on anything, since the machine started.
func machineBusy() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	var busy int64
	for i, field := range strings.Fields(first)[1:] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || i == 3 || i == 4 || i > 7 { // idle, waiting for disks, and what is counted twice
			continue
		}
		busy += n
	}
	return time.Duration(busy) * tick
}

// rss is the memory that the process has in RAM, in bytes, and how much of it is not backed by files.
func (s *server) rss() (all, anonymous int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("%s has ended: %w", s.name, err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		number, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			all = number << 10
		case "RssAnon":
			anonymous = number << 10
		}
	}
	return all, anonymous, nil
}

// processor is its name, for comparing tables.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
