package dashboard

import (
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bonsai/bootstrap/servicename"
)

// policy lets a page load what this server has, and nothing else. No markup can run a script or bring a style: scripts and styles
// come from files, and only one module may make markup of text that this server sent.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types bonsai"

const (
	// maxForm is the size of what a form sends.
	maxForm = 64 << 10
	// maxText is the size of one with YAML, which is sent twice, and escaped: objects have 1.5 MB at most.
	maxText = 8 << 20
)

// harden sets the headers of every answer.
func harden(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// Not "no-referrer", with which browsers send no origin with forms.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), usb=()")
	h.Set("Cache-Control", "no-store")
}

// own says whether host, as a Host header has it, is a name of this dashboard. Any other one is that of a site which has made its
// own name lead here (DNS rebinding).
func own(host, cluster string, port int) bool {
	name, p, err := net.SplitHostPort(host)
	if err != nil {
		name, p = strings.Trim(host, "[]"), "80"
	}
	return p == strconv.Itoa(port) && slices.Contains([]string{servicename.DashboardHost(cluster), "localhost", "127.0.0.1", "::1"}, strings.ToLower(name))
}

// refusal is why a request gets nothing.
type refusal struct {
	status int
	// title and cause are English, for Words.
	title, cause string
}

// check decides about a request by its headers, before the session is looked at.
func check(r *http.Request, cluster string, port int) *refusal {
	if err, _ := r.Context().Value(stranger{}).(error); err != nil {
		return &refusal{http.StatusForbidden, "This dashboard is another user's", err.Error()}
	}
	if !own(r.Host, cluster, port) {
		return &refusal{http.StatusMisdirectedRequest, "This is not a name of the dashboard", "open the address that bonsai dashboard prints"}
	}
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	foreign := &refusal{http.StatusForbidden, "A page of another site sent this request", "only pages of the dashboard may use it"}
	if origin != "" && origin != "http://"+r.Host {
		return foreign
	}
	if reads(r) {
		// A link on another page leads here, which is harmless: the browser sends no cookie with it.
		link := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
		if site != "" && site != "none" && site != "same-origin" && !link {
			return foreign
		}
		return nil
	}
	// All browsers send it with what changes something.
	if origin == "" || site != "" && site != "same-origin" {
		return foreign
	}
	return nil
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// cookieOf is the name of the cookie with a session's key: clusters that are opened at 127.0.0.1 share its cookies.
func cookieOf(cluster string) string { return "bonsai-" + cluster }

// sessionOf is the session of a request, nil if it has none. A page below a name of this machine can set cookies for others below
// it, so that there may be several of the same name.
func (s *Server) sessionOf(r *http.Request) *session {
	name, _ := s.at()
	for _, c := range r.CookiesNamed(cookieOf(name)) {
		if of := s.sessions.find(c.Value); of != nil {
			return of
		}
	}
	return nil
}

// mayChange says whether a form of that session was sent by a page of it.
func mayChange(r *http.Request, of *session) *refusal {
	switch {
	case of.readOnly && r.URL.Path != "/logout":
		return &refusal{http.StatusForbidden, "This session is read-only", "bonsai dashboard opens one that is not"}
	case subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(of.csrf)) != 1:
		return &refusal{http.StatusForbidden, "The form is not one of this session", "open the page again"}
	}
	return nil
}
