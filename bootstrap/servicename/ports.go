package servicename

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Port is a port of a Service.
type Port struct {
	Name, AppProtocol string
	// Protocol is "TCP", "UDP" or "SCTP"; empty is TCP.
	Protocol string
	Number   int
}

// TCP says whether its protocol is TCP.
func (p Port) TCP() bool { return p.Protocol == "" || p.Protocol == "TCP" }

// Key is what names the port before a separator: its name, or its number.
func (p Port) Key() string { return cmp.Or(p.Name, strconv.Itoa(p.Number)) }

// Speaks is how to talk to a port.
type Speaks uint8

// The protocols.
const (
	HTTP  Speaks = iota // HTTP/1.1, with WebSockets
	H2C                 // HTTP/2 without TLS, gRPC included
	HTTPS               // HTTP over TLS
	Other               // nothing that a browser understands, as far as is known
)

// Speaks says how to talk to the port: by appProtocol (KEP-3726 and the names of IANA), by the beginning of its name, as Istio
// and others read it, and by its number.
func (p Port) Speaks() Speaks {
	switch protocol := strings.ToLower(p.AppProtocol); protocol {
	case "http", "kubernetes.io/ws", "ws":
		return HTTP
	case "kubernetes.io/h2c", "h2c", "http2", "grpc":
		return H2C
	case "https", "kubernetes.io/wss", "wss":
		return HTTPS
	case "":
	default:
		return Other
	}
	first, _, _ := strings.Cut(strings.ToLower(p.Name), "-")
	switch first {
	case "http", "web", "ws", "ui":
		return HTTP
	case "h2c", "http2", "grpc":
		return H2C
	case "https", "wss":
		return HTTPS
	case "tcp", "tls", "mongo", "mysql", "redis", "postgres", "postgresql", "amqp", "smtp", "ldap", "dns", "kafka":
		return Other
	}
	switch p.Number {
	case 443, 6443, 8443, 9443:
		return HTTPS
	case 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2049, 3306, 4222, 5432, 5672, 6379, 8883, 9042, 9092, 11211, 27017:
		return Other
	}
	return HTTP
}

// Choose is the port that is meant by its name or number, or, if want is empty, by nothing: the first of those that are most
// likely for a browser. ok is false if there is none, or it is not TCP.
func Choose(ports []Port, want string) (_ Port, ok bool) {
	tcp := slices.DeleteFunc(slices.Clone(ports), func(p Port) bool { return !p.TCP() })
	if want != "" {
		i := slices.IndexFunc(tcp, func(p Port) bool { return p.Name == want })
		if i < 0 {
			i = slices.IndexFunc(tcp, func(p Port) bool { return strconv.Itoa(p.Number) == want })
		}
		if i < 0 {
			return Port{}, false
		}
		return tcp[i], true
	}
	if len(tcp) == 0 {
		return Port{}, false
	}
	return slices.MinFunc(tcp, func(a, b Port) int { return cmp.Compare(rank(a), rank(b)) }), true
}

// rank is smaller for what is more likely meant for a browser.
func rank(p Port) int {
	speaks := p.Speaks()
	said := p.AppProtocol != "" || p.Name != ""
	first, _, _ := strings.Cut(strings.ToLower(p.Name), "-")
	switch {
	case speaks == HTTP && p.AppProtocol != "":
		return 0
	case speaks == HTTP && (first == "http" || first == "web" || first == "ui"):
		return 1
	case speaks == HTTP && p.Number == 80:
		return 2
	case speaks == H2C && said:
		return 3
	case speaks == HTTPS:
		return 4
	case speaks == HTTP && !strings.Contains(p.Name, "metrics"):
		return 5
	case speaks == HTTP:
		return 6
	}
	return 7
}

// PortIn is the port to name in a URL so that it leads to p: empty if it is the one that Choose takes.
func PortIn(ports []Port, p Port) string {
	if chosen, ok := Choose(ports, ""); ok && chosen == p {
		return ""
	}
	return p.Key()
}
