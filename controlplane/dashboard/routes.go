package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// page is one page of the dashboard.
type page struct {
	// name is that of its template, and of its part of the navigation; path is where it is.
	name, path string
	// title is English, for Words.
	title string
	// load returns what the template shows, now.
	load func(ctx context.Context, q *request) (any, error)
	// follow sends the same again whenever it has changed, until ctx ends or send fails. It is nil for pages that do not change, or
	// whose scripts follow something else.
	follow func(ctx context.Context, q *request, send func(any) error) error
	// submit answers a form that the page sends to its own address: with the page again, or by leading elsewhere. It is nil for pages
	// without one.
	submit func(ctx context.Context, q *request) (data any, to string, err error)
	// line is the command that shows the same in a terminal; nil if there is none.
	line func(q *request) cluster.Command
}

// request is one request of a session.
type request struct {
	*http.Request
	session *session
	words   Words
	cluster string
	query   url.Values
}

// allPages are the pages in the order of the navigation; the last ones are not in it.
func (s *Server) allPages() []page {
	bonsai := func(verb ...string) func(*request) cluster.Command {
		return func(*request) cluster.Command { return cluster.Bonsai(verb...) }
	}
	return []page{
		{name: "overview", path: "/", title: "Overview", load: s.loadOverview, follow: s.followOverview, line: bonsai("status")},
		{name: "architecture", path: "/architecture", title: "Architecture", load: s.loadDrawing, follow: s.followDrawing, line: bonsai("top")},
		{name: "workloads", path: "/workloads", title: "Workloads", load: s.loadWorkloads, line: lineOfWorkloads},
		{name: "nodes", path: "/nodes", title: "Nodes", load: s.loadNodes, follow: s.followNodes, line: bonsai("node", "list")},
		{name: "traffic", path: "/traffic", title: "Traffic", load: s.loadTraffic, follow: s.followTraffic, line: bonsai("flow")},
		{name: "dns", path: "/dns", title: "DNS", load: s.loadDNS, line: bonsai("dns", "log")},
		{name: "events", path: "/events", title: "Events", load: s.loadEvents, line: func(*request) cluster.Command {
			return cluster.Kubectl("get", "events").With("--all-namespaces", "--sort-by=.lastTimestamp")
		}},
		{name: "addons", path: "/addons", title: "Addons", load: s.loadAddons, follow: s.followAddons, line: bonsai("addons", "list")},
		{name: "history", path: "/history", title: "History", load: s.loadHistory, line: lineOfHistory},
		{name: "start", path: "/start", title: "Start", load: s.loadStart},
		{name: "object", path: "/object", load: s.loadObject, follow: s.followObject, line: lineOfObject},
		{name: "confirm", path: "/confirm", load: s.loadConfirm},
		{name: "edit", path: "/edit", title: "Edit", load: s.loadEdit, submit: s.submitEdit, line: lineOfEdit},
		{name: "past", path: "/past", load: s.loadPast, submit: s.submitPast, line: lineOfPast},
		{name: "run", path: "/run", title: "Run it", load: s.loadRun, submit: s.submitRun},
		{name: "task", path: "/task", load: s.loadTask, follow: s.followTask},
		{name: "create", path: "/create", title: "Create", load: s.loadCreate, submit: s.submitCreate, line: lineOfCreate},
	}
}

// Handler serves everything. It looks at each request's host, origin and session.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", s.login)
	mux.HandleFunc("GET /assets/{version}/{file}", s.asset)
	for _, p := range s.allPages() {
		path := p.path
		if path == "/" {
			path = "/{$}"
		}
		mux.HandleFunc("GET "+path, s.inSession(func(w http.ResponseWriter, q *request) { s.show(w, q, p) }))
		if p.submit != nil {
			mux.HandleFunc("POST "+path, s.inSession(func(w http.ResponseWriter, q *request) { s.submit(w, q, p) }))
		}
		if p.follow != nil {
			mux.HandleFunc("GET /live/"+p.name, s.inSession(func(w http.ResponseWriter, q *request) { s.live(w, q, p) }))
		}
	}
	mux.HandleFunc("GET /session", s.inSession(func(w http.ResponseWriter, _ *request) { w.WriteHeader(http.StatusNoContent) }))
	mux.HandleFunc("GET /language", s.inSession(s.language))
	mux.HandleFunc("GET /rows", s.inSession(s.streamRows))
	mux.HandleFunc("GET /eventrows", s.inSession(s.streamEvents))
	mux.HandleFunc("GET /dnsrows", s.inSession(s.streamDNS))
	mux.HandleFunc("GET /logs", s.inSession(s.streamLogs))
	mux.HandleFunc("POST /do", s.inSession(s.do))
	mux.HandleFunc("POST /logout", s.inSession(s.logout))
	mux.HandleFunc("/", s.inSession(func(w http.ResponseWriter, q *request) {
		s.refuse(w, q.Request, &refusal{http.StatusNotFound, "There is no such page", ""})
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, ok := s.enter()
		if !ok {
			http.Error(w, "the cluster is stopping", http.StatusServiceUnavailable)
			return
		}
		defer leave()
		harden(w.Header())
		name, at := s.at()
		if no := check(r, name, at.Port); no != nil {
			s.refuse(w, r, no)
			return
		}
		limit := int64(maxForm)
		if r.URL.Path == "/edit" || r.URL.Path == "/create" {
			limit = maxText
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		mux.ServeHTTP(w, r)
	})
}

// inSession passes on the requests of sessions.
func (s *Server) inSession(f func(http.ResponseWriter, *request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		of := s.sessionOf(r)
		if of == nil {
			s.refuse(w, r, &refusal{http.StatusUnauthorized, "This browser is not logged in", "bonsai dashboard prints an address that lets it in"})
			return
		}
		if !reads(r) {
			if err := r.ParseForm(); err != nil {
				s.refuse(w, r, &refusal{http.StatusBadRequest, "The form cannot be read", ""})
				return
			}
			if no := mayChange(r, of); no != nil {
				s.refuse(w, r, no)
				return
			}
		}
		name, _ := s.at()
		f(w, &request{Request: r, session: of, words: s.wordsOf(r), cluster: name, query: r.URL.Query()})
	}
}

// wordsOf are those of the language that the browser's user has chosen here, or wants in general.
func (s *Server) wordsOf(r *http.Request) Words {
	if c, err := r.Cookie(languageCookie); err == nil {
		return s.o.Words(c.Value)
	}
	for tag := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ = strings.Cut(strings.TrimSpace(tag), ";")
		base, _, _ := strings.Cut(tag, "-")
		if w := s.o.Words(base); strings.EqualFold(w.Lang(), base) {
			return w
		}
	}
	return s.o.Words("en")
}

const languageCookie = "bonsai-language"

// language keeps the choice of a language, and leads back.
func (s *Server) language(w http.ResponseWriter, q *request) {
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: s.o.Words(q.query.Get("to")).Lang(), Path: "/", MaxAge: int((365 * 24 * time.Hour).Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, q.Request, local(q.query.Get("back")), http.StatusSeeOther)
}

// local is a path of this server, "/" for what is none.
func local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

// login makes a session of the token in the address, which is gone from there afterwards.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	key, ok := "", false
	if r.Method == http.MethodGet { // HEAD is for programs that look at links
		key, ok = s.sessions.enter(r.URL.Query().Get("token"))
	}
	if !ok {
		s.refuse(w, r, &refusal{http.StatusUnauthorized, "This address was used already, or is too old", "bonsai dashboard prints a new one"})
		return
	}
	name, _ := s.at()
	http.SetCookie(w, &http.Cookie{Name: cookieOf(name), Value: key, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		// A browser that followed a link of another page sends no strict cookie with a redirect. With a request of a page of ours, it does.
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><meta http-equiv="refresh" content="0;url=/"><title>bonsai</title>`))
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logout ends the session.
func (s *Server) logout(w http.ResponseWriter, q *request) {
	s.sessions.leave(q.session)
	http.SetCookie(w, &http.Cookie{Name: cookieOf(q.cluster), Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	s.refuse(w, q.Request, &refusal{http.StatusOK, "The session has ended", "bonsai dashboard prints an address that lets it in"})
}

// show answers with a page as it is now.
func (s *Server) show(w http.ResponseWriter, q *request, p page) {
	ctx, cancel := s.o.Scale.Limit(q.Context(), loadLimit, "what the page shows")
	defer cancel()
	data, err := p.load(ctx, q)
	s.answer(w, q, p, data, err)
}

// submit answers a form of a page.
func (s *Server) submit(w http.ResponseWriter, q *request, p page) {
	ctx, cancel := s.o.Scale.Limit(q.Context(), doLimit, "the change")
	defer cancel()
	data, to, err := p.submit(ctx, q)
	if to != "" && err == nil {
		http.Redirect(w, q.Request, to, http.StatusSeeOther)
		return
	}
	s.answer(w, q, p, data, err)
}

// answer is a whole page, or why there is none.
func (s *Server) answer(w http.ResponseWriter, q *request, p page, data any, err error) {
	v := s.viewOf(q, p)
	status := http.StatusOK
	if err != nil {
		status = statusOf(err)
		v.Trouble = s.problemOf(q, err)
	} else {
		v.Data = data
		if t, ok := data.(titled); ok {
			v.Title = t.title()
		}
	}
	s.pages.write(w, q.words, status, p.name, v)
}

const (
	// loadLimit bounds how long a page may take.
	loadLimit = 20 * time.Second
	// doLimit bounds a change: a paused cluster wakes for it first.
	doLimit = time.Minute
)

// titled is what has a title of its own.
type titled interface{ title() string }

// statusOf is the status of an answer that is about an error.
func statusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.ObjectNotFound, fault.AddonNotFound, fault.NotFound:
		return http.StatusNotFound
	case fault.Usage:
		return http.StatusBadRequest
	case fault.Conflict:
		return http.StatusConflict
	case fault.Refused:
		return http.StatusForbidden
	case fault.NotRunning, fault.ControlPlane, fault.Timeout:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// refuse answers with why there is nothing.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, no *refusal) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		words := s.wordsOf(r)
		http.Error(w, words.T(no.title)+"\n"+words.T(no.cause), no.status)
		return
	}
	name, _ := s.at()
	words := s.wordsOf(r)
	s.pages.write(w, words, no.status, "refused", view{
		Lang: words.Lang(), Cluster: name, Title: words.T(no.title), Assets: assetPrefix(), Refused: true,
		Data: refusedData{Title: no.title, Cause: no.cause, Line: cluster.Bonsai("dashboard").Of(name).String()},
	})
}

// refusedData is what the page refused shows.
type refusedData struct{ Title, Cause, Line string }
