// Package gatewaytable has the values that say what the data plane of Ingress and Gateway API does: ports, certificates,
// hosts, rules and the endpoints behind them.
//
// The daemon compiles a Table of the objects in the cluster and sends it to the nodes; a node's data plane does what it says
// and answers with a Report. A table is complete: it replaces the one before. It contains private keys, so it is never
// written to a disk or a log. Nothing here depends on Kubernetes.
package gatewaytable

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"time"
)

// Table is everything that a data plane serves. Backends and certificates are referred to by their index.
type Table struct {
	// ID is a digest of the rest; see Seal.
	ID           string        `json:"id"`
	Ports        []Port        `json:"ports,omitempty"`
	Backends     []Backend     `json:"backends,omitempty"`
	Certificates []Certificate `json:"certificates,omitempty"`
	// ProxyFrom are the addresses whose connections may begin with the PROXY protocol: it says who the client is.
	ProxyFrom []Range `json:"proxyFrom,omitempty"`
}

// Range is a range of addresses, with both ends.
type Range struct {
	First netip.Addr `json:"first"`
	Last  netip.Addr `json:"last"`
}

// Contains reports whether an address is in the range.
func (r Range) Contains(a netip.Addr) bool { return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0 }

// Seal sets ID.
func (t *Table) Seal() error {
	t.ID = ""
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	t.ID = hex.EncodeToString(sum[:12])
	return nil
}

// Port is a TCP port of each node's address.
type Port struct {
	Number uint16 `json:"number"`
	// Public is the port that clients connect to, if something leads them from there to this one; 0 otherwise.
	Public uint16 `json:"public,omitempty"`
	TLS    bool   `json:"tls,omitempty"`
	// Passthrough says that connections are led to backends by the name that the client asks for, whatever is in them. Of the rules
	// of a host only the first counts, and of that only Terminate and the backends.
	Passthrough bool `json:"passthrough,omitempty"`
	// Names choose the certificates of a TLS port by the name that the client asks for; the most specific one decides.
	Names []ServerName `json:"names,omitempty"`
	// Fallback lets a client whose name has no certificate have a self-signed one. Without it the handshake fails.
	Fallback bool `json:"fallback,omitempty"`
	// Clients is about the certificates of clients of a TLS port; nil if they need none.
	Clients *Clients `json:"clients,omitempty"`
	// Groups are independent of each other: a request is served by the group whose host name is the most specific one, and
	// only if that has no rule for it, by the next.
	Groups []Group `json:"groups"`
}

// ServerName is a host name, perhaps with a wildcard label, or empty for all, and its certificates.
type ServerName struct {
	Name         string `json:"name"`
	Certificates []int  `json:"certificates"`
}

// Clients says which certificates clients need.
type Clients struct {
	// CAs are the certificates, as PEM, of which one has to have signed it.
	CAs []byte `json:"cas"`
	// Optional lets clients in without one, and with any.
	Optional bool `json:"optional,omitempty"`
}

// Certificate is a chain and its key, both as PEM.
type Certificate struct {
	Chain []byte `json:"chain"`
	Key   []byte `json:"key"`
}

// Group is what one Gateway, or all Ingresses, serve on a port. In a group, the listener with the most specific host name
// takes a request, and no other does.
type Group struct {
	Listeners []Listener `json:"listeners"`
}

// Listener has a host name, perhaps with a wildcard label, or empty for all.
type Listener struct {
	Hostname string `json:"hostname"`
	// Hosts are sorted from the most to the least specific name.
	Hosts []Host `json:"hosts"`
}

// Host has the rules of a name. They are sorted: the first that matches is the one that counts.
type Host struct {
	Name string `json:"name"`
	// OneLabel says that a wildcard stands for one label only, as that of an Ingress does; that of a Gateway stands for any
	// number.
	OneLabel bool   `json:"oneLabel,omitempty"`
	Rules    []Rule `json:"rules"`
}

// Rule is what is done with the requests that match.
type Rule struct {
	// From names the object that the rule is from, for the access log: "ingress/shop/web".
	From string `json:"from"`

	Path    Path    `json:"path"`
	Method  string  `json:"method,omitempty"`
	Headers []Match `json:"headers,omitempty"`
	Query   []Match `json:"query,omitempty"`

	// Terminate says that TLS ends here, on a port with Passthrough, and that backends get what is in it.
	Terminate bool `json:"terminate,omitempty"`

	// Redirect answers the request; nothing below but CORS and Response counts then.
	Redirect *Redirect `json:"redirect,omitempty"`
	// Sources are the addresses from which requests are served; all if there are none.
	Sources  []netip.Prefix `json:"sources,omitempty"`
	CORS     *CORS          `json:"cors,omitempty"`
	Rewrite  *Rewrite       `json:"rewrite,omitempty"`
	Request  *HeaderChanges `json:"request,omitempty"`
	Response *HeaderChanges `json:"response,omitempty"`
	Mirrors  []Mirror       `json:"mirrors,omitempty"`
	Affinity *Affinity      `json:"affinity,omitempty"`
	// MaxBody bounds the body of a request, in bytes, unless it is 0.
	MaxBody int64 `json:"maxBody,omitempty"`
	// Timeout bounds the whole exchange, HeaderTimeout the wait for the header of an answer, ConnectTimeout each connecting.
	Timeout        time.Duration `json:"timeout,omitempty"`
	HeaderTimeout  time.Duration `json:"headerTimeout,omitempty"`
	ConnectTimeout time.Duration `json:"connectTimeout,omitempty"`
	// Backends share the requests by weight. Without any the answer is Status.
	Backends []Weighted `json:"backends,omitempty"`
	// Status is the answer of a rule without backends; 0 is 500.
	Status int `json:"status,omitempty"`
}

// PathKind is how a path is compared.
type PathKind string

// The kinds of paths. A prefix consists of whole elements: /a is one of /a/b, and not of /ab.
const (
	PathPrefix PathKind = "prefix"
	PathExact  PathKind = "exact"
	PathRegex  PathKind = "regex"
)

// Path of a request. A regular expression (RE2) matches at the start of a path and need not reach its end.
type Path struct {
	Kind  PathKind `json:"kind"`
	Value string   `json:"value"`
	// IgnoreCase is about regular expressions only.
	IgnoreCase bool `json:"ignoreCase,omitempty"`
}

// Match is a header or query parameter that a request must have. A regular expression must match the whole value.
type Match struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Regex bool   `json:"regex,omitempty"`
}

// HeaderChanges are made in this order: set, add, remove.
type HeaderChanges struct {
	Set    []Header `json:"set,omitempty"`
	Add    []Header `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// Header is a name and a value.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// PathChange is a new path: all of it, or in place of the rule's prefix, or the text with the groups of the rule's regular
// expression ($1).
type PathChange struct {
	Full   *string `json:"full,omitempty"`
	Prefix *string `json:"prefix,omitempty"`
	Expand *string `json:"expand,omitempty"`
}

// Rewrite changes what a backend sees.
type Rewrite struct {
	Host string      `json:"host,omitempty"`
	Path *PathChange `json:"path,omitempty"`
}

// Redirect sends a client elsewhere. What is empty stays as in the request.
type Redirect struct {
	Scheme string      `json:"scheme,omitempty"`
	Host   string      `json:"host,omitempty"`
	Path   *PathChange `json:"path,omitempty"`
	// Port is 0 for that of the scheme, or if that is the request's too, for the port of the listener.
	Port   uint16 `json:"port,omitempty"`
	Status int    `json:"status"`
	// URL is a whole address; nothing else but Status counts then.
	URL string `json:"url,omitempty"`
}

// CORS answers preflight requests, and adds its headers to answers.
type CORS struct {
	// Origins are "*", origins, or such with a wildcard in place of labels of the host ("https://*.example.com").
	Origins     []string      `json:"origins"`
	Methods     []string      `json:"methods,omitempty"`
	Headers     []string      `json:"headers,omitempty"`
	Expose      []string      `json:"expose,omitempty"`
	Credentials bool          `json:"credentials,omitempty"`
	MaxAge      time.Duration `json:"maxAge,omitempty"`
}

// Mirror sends copies of requests to another backend and ignores its answers.
type Mirror struct {
	Backend int `json:"backend"`
	// Of Denominator requests, Numerator are sent.
	Numerator   int32 `json:"numerator"`
	Denominator int32 `json:"denominator"`
}

// Affinity keeps a client at one endpoint, by a cookie.
type Affinity struct {
	Cookie string        `json:"cookie"`
	Path   string        `json:"path,omitempty"`
	MaxAge time.Duration `json:"maxAge,omitempty"`
}

// Weighted is a share of a rule's requests.
type Weighted struct {
	Weight int32 `json:"weight"`
	// Backend is negative if what the object names does not exist or is not permitted; the answer is 500 then.
	Backend  int            `json:"backend"`
	Request  *HeaderChanges `json:"request,omitempty"`
	Response *HeaderChanges `json:"response,omitempty"`
}

// Protocol is what a backend speaks.
type Protocol string

// The protocols of backends.
const (
	HTTP1 Protocol = "http"
	H2C   Protocol = "h2c"   // HTTP/2 without TLS, as gRPC
	HTTPS Protocol = "https" // HTTP/1.1 or HTTP/2 over TLS
	TCP   Protocol = "tcp"   // whatever clients speak, for ports with Passthrough
)

// Backend is a port of a Service. Without endpoints the answer is 503.
type Backend struct {
	// Name is "shop/web:80".
	Name      string           `json:"name"`
	Protocol  Protocol         `json:"protocol"`
	Endpoints []netip.AddrPort `json:"endpoints,omitempty"`
	// Host is an outside name in place of endpoints, with a port.
	Host string `json:"host,omitempty"`
	// TLS is about a backend that speaks HTTPS: whose certificates are good. Without it, all are.
	TLS *BackendTLS `json:"tls,omitempty"`
}

// BackendTLS says what a backend's certificate has to be.
type BackendTLS struct {
	// ServerName is what the backend is asked for. The certificate has to have this name, or if there are Names or URIs, one of those.
	ServerName string   `json:"serverName"`
	Names      []string `json:"names,omitempty"`
	URIs       []string `json:"uris,omitempty"`
	// CAs are the certificates, as PEM, of which one has to have signed it.
	CAs []byte `json:"cas"`
	// Client is the index of the certificate that the data plane proves itself with; nil for none.
	Client *int `json:"client,omitempty"`
}

// Report is what a data plane serves. Table is the ID of the newest table that it has taken over.
type Report struct {
	Table string `json:"table"`
	// Listening are the ports that it serves, sorted.
	Listening []uint16 `json:"listening,omitempty"`
	// Failed has the ports that it cannot listen on, and why.
	Failed map[uint16]string `json:"failed,omitempty"`
}
