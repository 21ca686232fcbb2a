package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"bonsai/test/coredns/internal/compare"
)

// echo answers every datagram with itself, marked as a reply: the least that any server can do. It shows how much of
// all servers' latencies is due to the load generator and the machine.
func echo(addr string) error {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		if n < 12 {
			continue
		}
		buf[2] |= 0x80 // QR
		if _, err := conn.WriteTo(buf[:n], from); err != nil {
			return err
		}
	}
}

// floor measures echo in the same way as the servers.
func (b *bench) floor(ctx context.Context, m *mix) (f *figures, err error) {
	addrs, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &server{name: "echo", addr: addrs[0], log: filepath.Join(b.dir, "echo.log"), ask: compare.NewClient(addrs[0], addrs[0])}
	s.cmd = exec.CommandContext(ctx, self, "-echo", addrs[0])
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		s.ask.Close()
		err = errors.Join(err, s.cmd.Process.Kill())
		_ = s.cmd.Wait()
	}()
	f = &figures{}
	for range b.runs {
		if err := b.fixedRate(ctx, m, s, f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (b *bench) printFloor(f *figures) {
	fmt.Printf("Floor: a loop that sends every datagram back takes p50 %s and p99 %s µs at %d/s. That is the load generator's and the machine's share.\n\n",
		spread(f.p50), spread(f.p99), b.rate)
}
