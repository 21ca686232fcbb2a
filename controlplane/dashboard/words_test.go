package dashboard

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/words"
)

var (
	inTemplate  = regexp.MustCompile(`\bT "([^"]*)"`)
	verbPattern = regexp.MustCompile(`%[-+# 0]*[0-9]*(\.[0-9]+)?[a-zA-Z%]`)
)

// said is every text of the dashboard: literals given to T, in templates and in code, and those of tables that are given to T later.
func said(t *testing.T) []string {
	t.Helper()
	var texts []string
	files, err := fs.Glob(web, "web/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := web.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inTemplate.FindAllSubmatch(data, -1) {
			texts = append(texts, string(m[1]))
		}
	}
	code, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	literal := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			text, err := strconv.Unquote(l.Value)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		}
	}
	for _, file := range code {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				name := ""
				switch fun := n.Fun.(type) {
				case *ast.SelectorExpr:
					name = fun.Sel.Name
				case *ast.Ident:
					name = fun.Name
				}
				if len(n.Args) > 0 && (name == "T" || name == "note") {
					literal(n.Args[0])
				}
				if len(n.Args) == 3 && name == "end" { // the result of a task
					literal(n.Args[1])
				}
				if len(n.Args) == 2 && name == "add" { // the title of related objects
					literal(n.Args[0])
				}
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "refusal" {
					for _, e := range n.Elts[1:] {
						literal(e)
					}
				}
			}
			return true
		})
	}
	s := New(Options{})
	defer s.Close()
	for _, p := range s.allPages() {
		texts = append(texts, p.title)
	}
	for _, tab := range tabsOf(&request{words: words.For("en")}, kube.Ref{Type: kube.PodType(), Namespace: "shop", Name: "cart-1"}, "pods", "") {
		texts = append(texts, tab.Title)
	}
	for _, f := range forms {
		for _, field := range f.fields {
			texts = append(texts, field.Label, field.Hint)
		}
	}
	for _, e := range explanations {
		texts = append(texts, e.Text)
	}
	for _, state := range flowStates {
		texts = append(texts, state)
	}
	for _, title := range titles {
		texts = append(texts, title)
	}
	for _, done := range dones {
		texts = append(texts, done)
	}
	for _, p := range []cluster.Phase{
		cluster.PhaseAbsent, cluster.PhaseStopped, cluster.PhaseStarting, cluster.PhaseRunning, cluster.PhaseDegraded, cluster.PhasePaused, cluster.PhaseStopping,
		cluster.PhaseFailed, cluster.PhaseUnknown,
	} {
		texts = append(texts, strings.ToLower(string(p)))
	}
	for _, s := range []cluster.AddonState{
		cluster.AddonDisabled, cluster.AddonInstalling, cluster.AddonRunning, cluster.AddonDegraded, cluster.AddonBlocked, cluster.AddonFailed, cluster.AddonRemoving,
		cluster.AddonStopped,
	} {
		texts = append(texts, string(s))
	}
	return append(texts, "error", "warning", "info", "created", "updated", "deleted", "waiting", "running", "terminated", "goes with it")
}

// TestEveryTextIsInEveryLanguage also checks that translations take the same arguments, in the same order.
func TestEveryTextIsInEveryLanguage(t *testing.T) {
	var missing []string
	found := said(t)
	for _, text := range found {
		if !strings.ContainsFunc(verbPattern.ReplaceAllString(text, ""), func(r rune) bool { return r >= 'a' && r <= 'z' }) {
			continue // YAML, and what has no words
		}
		if !words.Has("zh", text) {
			missing = append(missing, strconv.Quote(text))
			continue
		}
		translated := words.For("zh").T(text)
		if want, got := verbPattern.FindAllString(text, -1), verbPattern.FindAllString(translated, -1); !slices.Equal(want, got) {
			t.Errorf("%q takes %v, its translation %q %v", text, want, translated, got)
		}
	}
	slices.Sort(missing)
	if missing = slices.Compact(missing); len(missing) > 0 || len(found) < 150 {
		t.Errorf("of %d texts %d are not translated:\n%s", len(found), len(missing), strings.Join(missing, "\n"))
	}
}
