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
// bytes, /echo for returning the body, /count for its length, /chat.Chat/Talk for an answer to each line of it, and /log for a line on stdout.
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
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, n, err)
	})
	mux.HandleFunc("/chat.Chat/Talk", chat)
	mux.HandleFunc("/proto", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.Proto) })
	mux.HandleFunc("/upgrade", upgrade)
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
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: ":8080", Handler: mux, Protocols: &protocols}
	go func() { failed <- server.ListenAndServe() }()
	fmt.Println("serving as", host)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// chat answers each line of the body as it comes, and ends with a trailer, as a method of gRPC does.
func chat(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 always has it
	w.Header().Set("Trailer", "Grpc-Status")
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		fmt.Fprintln(w, r.Proto, lines.Text())
		_ = control.Flush()
	}
	w.Header().Set("Grpc-Status", "0")
}

// upgrade changes to whatever protocol a client asks for, and sends back what it gets.
func upgrade(w http.ResponseWriter, r *http.Request) {
	conn, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	_, _ = io.Copy(conn, in)
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
