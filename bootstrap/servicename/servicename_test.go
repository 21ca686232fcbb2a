package servicename

import (
	"errors"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for host, want := range map[string]Target{
		"web.localhost":                               {Service: "web", Namespace: "default"},
		"web.shop.localhost":                          {Service: "web", Namespace: "shop"},
		"WEB.Shop.localhost.":                         {Service: "web", Namespace: "shop"},
		"web.shop.dev.localhost":                      {Service: "web", Namespace: "shop", Cluster: "dev"},
		"db-0.db.shop.dev.localhost":                  {Pod: "db-0", Service: "db", Namespace: "shop", Cluster: "dev"},
		"8080--web.shop.localhost":                    {Service: "8080--web", Namespace: "shop"},
		"a." + strings.Repeat("b", 63) + ".localhost": {Service: "a", Namespace: strings.Repeat("b", 63)},
	} {
		if got, err := Parse(host); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", host, got, err, want)
		}
	}
	for _, host := range []string{"", "localhost", "evil.test", "web.localhost.evil.test", "127.0.0.1", "xlocalhost", "[::1]"} {
		if got, err := Parse(host); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %+v, %v", host, got, err)
		}
	}
	for _, host := range []string{
		".localhost", "a..localhost", "-a.localhost", "a-.localhost", "a_b.localhost", "a.b.c.d.e.localhost", "a/b.localhost", "ä.localhost",
		strings.Repeat("a", 64) + ".localhost", strings.Repeat("a.", 130) + "localhost", "a%00.localhost", "a b.localhost",
	} {
		if got, err := Parse(host); err == nil || errors.Is(err, ErrForeign) {
			t.Errorf("%q: %+v, %v", host, got, err)
		}
	}
}

func TestAPortBeforeTheName(t *testing.T) {
	for host, want := range map[string]Target{
		"8080--web.shop.localhost":         {Port: "8080", Service: "web", Namespace: "shop"},
		"metrics--a--b.localhost":          {Port: "metrics", Service: "a--b", Namespace: "default"},
		"http--db-0.db.shop.dev.localhost": {Port: "http", Pod: "db-0", Service: "db", Namespace: "shop", Cluster: "dev"},
	} {
		whole, err := Parse(host)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := whole.Split(); !ok || got != want {
			t.Errorf("%s: %+v, %t; want %+v", host, got, ok, want)
		}
	}
	for _, host := range []string{"web.localhost", "a-b.localhost", "db-0.a--b.shop.dev.localhost", "a---b.localhost"} {
		whole, err := Parse(host)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := whole.Split(); ok {
			t.Errorf("%s is split into %+v", host, got)
		}
	}
}

func TestWhichPortIsMeant(t *testing.T) {
	tcp := func(name string, number int) Port { return Port{Name: name, Number: number, Protocol: "TCP"} }
	udp := Port{Name: "dns", Number: 53, Protocol: "UDP"}
	for _, test := range []struct {
		name  string
		ports []Port
		want  string
		is    int // 0: none
	}{
		{"the only one", []Port{tcp("", 5432)}, "", 5432},
		{"by name", []Port{tcp("a", 1), tcp("b", 2)}, "b", 2},
		{"by number", []Port{tcp("a", 1), tcp("b", 2)}, "2", 2},
		{"a name that is a number wins", []Port{tcp("a", 2), tcp("2", 3)}, "2", 3},
		{"http by name", []Port{tcp("metrics", 9090), tcp("http", 3000)}, "", 3000},
		{"http-alt by name", []Port{tcp("grpc", 80), tcp("http-alt", 8081)}, "", 8081},
		{"appProtocol first", []Port{tcp("http", 80), {Name: "x", AppProtocol: "http", Number: 81}}, "", 81},
		{"80 before others", []Port{tcp("a", 8080), tcp("b", 80)}, "", 80},
		{"https if there is no http", []Port{tcp("admin", 5432), tcp("https", 8443)}, "", 8443},
		{"metrics last", []Port{tcp("metrics", 9090), tcp("api", 8081)}, "", 8081},
		{"the first of equals", []Port{tcp("a", 3000), tcp("b", 4000)}, "", 3000},
		{"no UDP", []Port{udp}, "", 0},
		{"no UDP by name", []Port{udp}, "dns", 0},
		{"not there", []Port{tcp("a", 1)}, "b", 0},
		{"no ports", nil, "", 0},
	} {
		got, ok := Choose(test.ports, test.want)
		if got.Number != test.is || ok != (test.is != 0) {
			t.Errorf("%s: %+v, %t; want %d", test.name, got, ok, test.is)
		}
	}
}

func TestHowAPortIsSpokenTo(t *testing.T) {
	for _, test := range []struct {
		port Port
		want Speaks
	}{
		{Port{Number: 80}, HTTP}, {Port{Number: 12345}, HTTP}, {Port{Number: 443}, HTTPS}, {Port{Number: 5432}, Other},
		{Port{Name: "https-web", Number: 80}, HTTPS}, {Port{Name: "http", Number: 443}, HTTP}, {Port{Name: "grpc", Number: 80}, H2C},
		{Port{AppProtocol: "kubernetes.io/h2c", Name: "http", Number: 80}, H2C}, {Port{AppProtocol: "kubernetes.io/wss"}, HTTPS},
		{Port{AppProtocol: "example.com/own", Number: 80}, Other}, {Port{Name: "redis", Number: 80}, Other},
	} {
		if got := test.port.Speaks(); got != test.want {
			t.Errorf("%+v: %d, want %d", test.port, got, test.want)
		}
	}
}

func TestURLsLeadBack(t *testing.T) {
	ports := []Port{{Name: "http", Number: 80}, {Name: "admin", Number: 8081}, {Number: 9000}}
	for i, want := range []string{"http://web.shop.localhost:8080", "http://admin--web.shop.localhost:8080", "http://9000--web.shop.localhost:8080"} {
		if got := URL(8080, "shop", "web", PortIn(ports, ports[i])); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := URL(80, "shop", "web", ""); got != "http://web.shop.localhost" {
		t.Errorf("got %s", got)
	}
	for listener, want := range map[int]string{80: "https://web.shop.localhost:80", 443: "https://web.shop.localhost", 8080: "https://web.shop.localhost:8080"} {
		if got := Secure(listener, URL(listener, "shop", "web", "")); got != want {
			t.Errorf("with TLS: got %s, want %s", got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("8080--web.shop.dev.localhost")
	f.Add("a--.localhost")
	f.Fuzz(func(t *testing.T, host string) {
		target, err := Parse(host)
		if err != nil {
			return
		}
		for _, name := range []string{target.Service, target.Namespace} {
			if !isLabel(name) {
				t.Errorf("%q has the part %q", host, name)
			}
		}
		split, ok := target.Split()
		if !ok {
			return
		}
		first := split.Service
		if split.Pod != "" {
			first = split.Pod
		}
		if !isLabel(first) || !isLabel(split.Port) || strings.Contains(split.Port, separator) {
			t.Errorf("%q is split into %+v", host, split)
		}
		if split.Pod == "" && split.Cluster == "" {
			again, err := Parse(strings.TrimPrefix(URL(80, split.Namespace, split.Service, split.Port), "http://"))
			if got, _ := again.Split(); err != nil || got != split {
				t.Errorf("%q: %+v comes back as %+v, %v", host, split, got, err)
			}
		}
	})
}
