package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

// serve answers every request with one line, "HOSTNAME CLIENT-ADDRESS". Over HTTP there is also /bytes?n=N for N zero
// bytes, /echo for returning the body, and /log for a line on stdout.
func serve(ctx context.Context, _ []string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s %s\n", host, client)
	})
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		_, _ = io.CopyN(w, zeros{}, n)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	mux.HandleFunc("/log", func(w http.ResponseWriter, r *http.Request) { fmt.Println(r.URL.Query().Get("line")) })

	tcp, err := net.Listen("tcp", ":8081")
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", ":8081")
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	go func() { failed <- serveTCP(tcp, host) }()
	go func() { failed <- serveUDP(udp, host) }()
	server := &http.Server{Addr: ":8080", Handler: mux}
	go func() { failed <- server.ListenAndServe() }()
	fmt.Println("serving as", host)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// serveTCP answers each line, so that a connection can be kept open and reused.
func serveTCP(l net.Listener, host string) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			client, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				if _, err := fmt.Fprintf(conn, "%s %s\n", host, client); err != nil {
					return
				}
			}
		}()
	}
}

// serveUDP answers each datagram with the line and as many bytes as it got, so that large ones are tried both ways.
func serveUDP(c net.PacketConn, host string) error {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		client, _, _ := net.SplitHostPort(from.String())
		line := fmt.Sprintf("%s %s\n", host, client)
		answer := append([]byte(line), buf[:n]...)
		if _, err := c.WriteTo(answer[:max(len(line), n)], from); err != nil {
			return err
		}
	}
}
