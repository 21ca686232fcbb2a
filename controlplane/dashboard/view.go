package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

//go:embed web
var web embed.FS

// view is what the frame around each page shows.
type view struct {
	Lang, Cluster, Title string
	// Page is the name of the page; Live is where its newer versions come from.
	Page, Live string
	Nav        []navItem
	ReadOnly   bool
	CSRF       string
	// Assets is the path of scripts and styles.
	Assets string
	// Back is this page, for what leads back to it.
	Back string
	// OtherLang is the language that can be chosen, OtherName its own name.
	OtherLang, OtherName string
	// Line is the command that shows the same.
	Line string
	// Now is when the page was made.
	Now time.Time
	// Notice says what was just done.
	Notice string
	// Trouble is why Data is missing.
	Trouble *problemView
	Data    any
	// Refused says that there is no session.
	Refused bool
}

// navItem is a page in the navigation. Key is the second key that leads there, after g.
type navItem struct {
	Name, Path, Title, Key string
	Current                bool
}

// keys are those of the pages.
var keys = map[string]string{
	"overview": "o", "architecture": "a", "workloads": "w", "nodes": "n", "events": "e", "addons": "d", "history": "h", "traffic": "t", "dns": "q", "start": "b",
}

func (s *Server) viewOf(q *request, p page) view {
	v := view{
		Lang: q.words.Lang(), Cluster: q.cluster, Page: p.name, Title: q.words.T(p.title), ReadOnly: q.session.readOnly, CSRF: q.session.csrf,
		Assets: assetPrefix(), Back: q.URL.RequestURI(), Now: time.Now().UTC(), OtherLang: "zh", OtherName: "简体中文",
	}
	if v.Lang == "zh" {
		v.OtherLang, v.OtherName = "en", "English"
	}
	for _, n := range s.allPages() {
		if key, ok := keys[n.name]; ok {
			v.Nav = append(v.Nav, navItem{n.name, n.path, n.title, key, n.name == p.name})
		}
	}
	if p.follow != nil {
		v.Live = "/live/" + p.name
		if q.URL.RawQuery != "" {
			v.Live += "?" + q.URL.RawQuery
		}
	}
	if text, ok := dones[q.query.Get("done")]; ok {
		v.Notice = q.words.T(text)
	}
	if p.line != nil {
		v.Line = p.line(q).Of(q.cluster).String()
	}
	return v
}

// pages are the templates, in each language that was asked for.
type pages struct {
	mu     sync.Mutex // guards byLang
	byLang map[string]map[string]*template.Template
}

func newPages() *pages {
	return &pages{byLang: map[string]map[string]*template.Template{}}
}

// of returns the templates of a language, by page.
func (p *pages) of(w Words) map[string]*template.Template {
	p.mu.Lock()
	defer p.mu.Unlock()
	all, ok := p.byLang[w.Lang()]
	if !ok {
		all = parse(w)
		p.byLang[w.Lang()] = all
	}
	return all
}

// parse makes the templates of a language. A mistake in one is a bug that every test finds.
func parse(w Words) map[string]*template.Template {
	frame := template.Must(template.New("frame.html").Funcs(functions(w)).ParseFS(web, "web/frame.html", "web/parts.html"))
	all := map[string]*template.Template{}
	files, err := fs.Glob(web, "web/page-*.html")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(path.Base(file), "page-"), ".html")
		all[name] = template.Must(template.Must(frame.Clone()).ParseFS(web, file))
	}
	return all
}

// write answers with a whole page.
func (p *pages) write(w http.ResponseWriter, words Words, status int, name string, v view) {
	var b bytes.Buffer
	if err := p.of(words)[name].ExecuteTemplate(&b, "frame.html", v); err != nil {
		http.Error(w, fmt.Sprintf("make the page %s: %v", name, err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // to a browser that may be gone
}

// part is the part of a page that changes.
func (p *pages) part(words Words, name string, v view) (string, error) {
	var b strings.Builder
	err := p.of(words)[name].ExecuteTemplate(&b, "main", v)
	return b.String(), err
}

// functions are those of templates.
func functions(w Words) template.FuncMap {
	return template.FuncMap{
		"T": w.T, "D": w.Diagnosis,
		"bytes": bytesText, "cores": func(c float64) string { return fmt.Sprintf("%.2f", c) },
		"percent": func(part, whole float64) string {
			if whole <= 0 {
				return "?"
			}
			return fmt.Sprintf("%.0f%%", 100*part/whole)
		},
		"share": func(part, whole float64) string {
			if whole <= 0 {
				return "0"
			}
			return fmt.Sprintf("%.3f", min(1, part/whole))
		},
		"float":  func(n uint64) float64 { return float64(n) },
		"lower":  strings.ToLower,
		"phase":  func(p cluster.Phase) string { return w.T(strings.ToLower(string(p))) },
		"object": objectPath, "tone": tone, "verbTitle": func(v kube.Verb) string { return titles[v] },
		"severityTone": func(s cluster.Severity) string {
			return map[cluster.Severity]string{cluster.SeverityError: "bad", cluster.SeverityWarning: "warn"}[s]
		},
		"addonTone": func(s cluster.AddonState) string {
			switch s {
			case cluster.AddonRunning:
				return "ok"
			case cluster.AddonDisabled, cluster.AddonStopped:
				return "off"
			case cluster.AddonFailed, cluster.AddonBlocked:
				return "bad"
			}
			return "warn"
		},
		"containerTone": func(c containerView) string {
			switch {
			case c.State == string(kube.ContainerRunning) && c.Ready:
				return "ok"
			case c.State == string(kube.ContainerTerminated):
				return "off"
			}
			return "warn"
		},
		"endBox": func(x int, e trafficEnd) endBox { return endBox{e, x, cut(e.Name)} }, "cut": cut,
		"rate": func(n float64) string {
			if n < 1 {
				return "0"
			}
			return bytesText(max(1<<10, uint64(n)))
		},
		"tableOf": func(source, target, filter, label string) tableData { return tableData{source, target, filter, label} },
		"add":     func(a, b, c int) int { return a + b + c }, "half": func(n int) int { return n / 2 }, "middle": func(x, w int) int { return x + w/2 },
		// below is where a label is if a note is below it.
		"below": func(note string) int {
			if note != "" {
				return -2
			}
			return 5
		},
		"rfc": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
}

// endBox is an end of traffic in its drawing, at X.
type endBox struct {
	trafficEnd
	X     int
	Label string
}

// cut is a name with as many characters as a box has room for.
func cut(name string) string {
	const most = 34
	runes := []rune(name)
	if len(runes) <= most {
		return name
	}
	return string(runes[:most/2]) + "…" + string(runes[len(runes)-most/2+1:])
}

// tableData is a table whose rows a script fetches from Source; what they lead to begins with Target.
type tableData struct{ Source, Target, Filter, Label string }

// bytesText is a size for people.
func bytesText(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// objectPath is where the page of an object is. kind is its type as an address has it ("pods", "deployments.apps"), or the kind in
// any case.
func objectPath(kind, namespace, name string) string {
	q := url.Values{"type": {kind}, "name": {name}}
	if namespace != "" {
		q.Set("ns", namespace)
	}
	return "/object?" + q.Encode()
}

// problemView is a problem as templates show it.
type problemView struct {
	cluster.Problem
	// Where is the page of its object, empty if it has none; What is its name for people.
	Where, What string
	Todo        []adviceView
	// Fix is what can be done about it from here; nil if nothing is known to help.
	Fix *fixLink
}

// adviceView is a piece of advice: Text in the user's language, Line to copy.
type adviceView struct{ Text, Line string }

func (s *Server) problemOf(q *request, err error) *problemView {
	v := showProblem(q.words, q.cluster, fault.Problem(err))
	return &v
}

func showProblem(w Words, clusterName string, p cluster.Problem) problemView {
	v := problemView{Problem: p.For(clusterName), What: p.Object}
	parts := strings.Split(p.Object, "/")
	switch {
	case len(parts) == 3 && parts[0] != "component":
		v.Where, v.What = objectPath(parts[0], parts[1], parts[2]), parts[0]+" "+parts[2]
	case parts[0] == "node" && len(parts) == 2:
		v.Where = objectPath("nodes", "", parts[1])
	case parts[0] == "addon":
		v.Where = "/addons"
	}
	for _, a := range v.Advice {
		text := ""
		if a.Text != "" {
			text = w.T(a.Text)
		}
		v.Todo = append(v.Todo, adviceView{text, a.Line()})
	}
	return v
}

// assetVersion is in the path of assets, so that browsers keep them as long as they are the same.
var assetVersion = sync.OnceValue(func() string {
	sum := sha256.New()
	_ = fs.WalkDir(web, "web", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			data, _ := web.ReadFile(path)
			sum.Write(data)
		}
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:12]
})

func assetPrefix() string { return "/assets/" + assetVersion() + "/" }

// asset answers with a script or a style. They say nothing about the cluster.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	kind := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}[path.Ext(name)]
	data, err := web.ReadFile("web/" + path.Base(name))
	if err != nil || kind == "" {
		s.refuse(w, r, &refusal{http.StatusNotFound, "There is no such page", ""})
		return
	}
	w.Header().Set("Content-Type", kind)
	if r.PathValue("version") == assetVersion() {
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	_, _ = w.Write(data)
}
