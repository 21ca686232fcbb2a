package names

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/servicename"
	"bonsai/controlplane/observe/services"
)

func TestNamesOfTheProxy(t *testing.T) {
	for host, want := range map[string]string{
		"web":                        "web.default.svc.cluster.local",
		"Web.Shop.":                  "web.shop.svc.cluster.local",
		"web.shop.svc":               "web.shop.svc.cluster.local",
		"web.shop.svc.cluster.local": "web.shop.svc.cluster.local",
		"db-0.db.shop":               "db-0.db.shop.svc.cluster.local",
		"web.shop.localhost":         "web.shop.svc.cluster.local",
		"web.shop.dev.localhost":     "web.shop.svc.cluster.local",
		"db-0.db.shop.dev.localhost": "db-0.db.shop.svc.cluster.local",
		"example.com":                "example.com.svc.cluster.local", // which cluster DNS does not know
	} {
		if got, err := qualify(host, "dev"); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %s", host, got, err, want)
		}
	}
	for _, host := range []string{"", "localhost", "web.shop.other.localhost", "a b", "a/b", "::1", strings.Repeat("a.", 200)} {
		_, err := qualify(host, "dev")
		if _, outside := errors.AsType[*notInside](err); !outside {
			t.Errorf("%q: %v", host, err)
		}
	}
}

// clusterDNS answers as cluster DNS does, by TCP.
func clusterDNS(t *testing.T, names map[string]netip.Addr) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serve := func(c net.Conn) {
		defer c.Close()
		for {
			var size uint16
			if binary.Read(c, binary.BigEndian, &size) != nil {
				return
			}
			buf := make([]byte, size)
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf) != nil {
				return
			}
			m.Response, m.Authoritative, m.RecursionAvailable, m.Additionals = true, true, true, nil
			q := m.Questions[0]
			addr, ok := names[strings.TrimSuffix(q.Name.String(), ".")]
			switch {
			case !ok:
				m.RCode = dnsmessage.RCodeNameError
			case q.Type == dnsmessage.TypeA:
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 5}, Body: &dnsmessage.AResource{A: addr.As4()},
				}}
			}
			out, err := m.Pack()
			if err != nil {
				return
			}
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// proxied is a world whose cluster has DNS.
func proxied(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	s := spec()
	w.apps[netip.AddrPortFrom(s.DNSServiceIP(), 53).String()] = clusterDNS(t, map[string]netip.Addr{
		"web.shop.svc.cluster.local":  netip.MustParseAddr("10.96.0.1"),
		"dead.shop.svc.cluster.local": netip.MustParseAddr("10.96.0.9"),
	})
	web := hello("web")
	t.Cleanup(web.Close)
	w.apps["10.96.0.1:80"] = web.Listener.Addr().String()
	w.services = []services.Service{{Namespace: "shop", Name: "web", IP: netip.MustParseAddr("10.96.0.1"), Ports: []servicename.Port{{Number: 80}}}}
	w.serve(s)
	return w
}

// by is a client that uses the proxy by a scheme.
func (w *world) by(scheme string) *http.Client {
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: scheme, Host: fmt.Sprint("127.0.0.1:", w.kept)})}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: limit}
}

func TestTheProxyLeadsIntoTheCluster(t *testing.T) {
	w := proxied(t)
	for _, scheme := range []string{"socks5h", "http"} {
		for _, host := range []string{"web.shop", "web.shop.svc.cluster.local", "web.shop.dev.localhost", "10.96.0.1", fmt.Sprint("web.shop.localhost:", w.kept)} {
			resp, err := w.by(scheme).Get("http://" + host + "/")
			if err != nil {
				t.Errorf("%s, %s: %v", scheme, host, err)
				continue
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != "web "+host+" HTTP/1.1" {
				t.Errorf("%s, %s: %d %q", scheme, host, resp.StatusCode, body)
			}
		}
		for _, host := range []string{"example.com", "dead.shop", "8.8.8.8"} {
			resp, err := w.by(scheme).Get("http://" + host + "/")
			if scheme == "socks5h" {
				if err == nil {
					resp.Body.Close()
					t.Errorf("%s is reached", host)
				}
				continue
			}
			if err != nil {
				t.Error(err)
				continue
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			want := map[string]int{"example.com": 403, "dead.shop": 502, "8.8.8.8": 403}[host]
			if resp.StatusCode != want {
				t.Errorf("%s: %d %s, want %d", host, resp.StatusCode, body, want)
			}
		}
	}
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", w.kept, cluster.PACPath))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(text), fmt.Sprintf("PROXY 127.0.0.1:%d", w.kept)) || !strings.Contains(string(text), `"10.96.0.0", "255.255.0.0"`) {
		t.Errorf("the file for browsers is\n%s", text)
	}
}

// A tunnel passes the end of one direction on, and ends with the server.
func TestATunnel(t *testing.T) {
	w := proxied(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		text, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %s", text)
	}()
	w.apps["10.96.0.1:7000"] = l.Addr().String()
	c, err := net.Dial("tcp4", fmt.Sprint("127.0.0.1:", w.kept))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	fmt.Fprint(c, "CONNECT web.shop:7000 HTTP/1.1\r\nHost: web.shop:7000\r\n\r\nhello")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%+v, %v", resp, err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(in); err != nil || string(got) != "got hello" {
		t.Errorf("%q, %v", got, err)
	}
}

// A client that says nothing more keeps nothing open.
func TestSOCKSClientsSayWhereTheyGo(t *testing.T) {
	w := newWorld(t)
	w.scale = 0.01
	w.serve(spec())
	c, err := net.Dial("tcp4", fmt.Sprint("127.0.0.1:", w.kept))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Write([]byte{socksVersion}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
}

func TestAnotherUserHasNoProxy(t *testing.T) {
	w := proxied(t)
	w.refuse(errors.New("it belongs to the user with ID 7"))
	if _, err := w.by("socks5h").Get("http://web.shop/"); err == nil {
		t.Error("SOCKS5 serves another user")
	}
	resp, err := w.by("http").Get("http://web.shop/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("HTTP: %d", resp.StatusCode)
	}
}
