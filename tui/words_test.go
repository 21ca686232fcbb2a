package tui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bonsai/tui/feed"
	"bonsai/tui/keymap"
	"bonsai/tui/words"
)

// said is every text that the UI says: literals given to T, and texts of tables that are given to T later.
func said(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			name := ""
			switch fun := call.Fun.(type) {
			case *ast.SelectorExpr:
				name = fun.Sel.Name
			case *ast.Ident:
				name = fun.Name
			}
			if literal, ok := call.Args[0].(*ast.BasicLit); ok && name == "T" && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				texts[text] = set.Position(call.Pos()).String()
			}
			return true
		})
	}
	for _, v := range verbs() {
		texts[v.title] = "verbs"
	}
	for _, place := range keymap.Places() {
		for _, a := range keymap.Default().Actions(place.Context) {
			texts[a.Help] = "help of " + a.ID
			texts[a.Hint] = "hint of " + a.ID
		}
	}
	u, err := newUI(healthy(), Options{}, feed.NewHub(t.Context(), calmPace))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range u.screens {
		texts[s.title] = "screens"
	}
	return texts
}

var verbPattern = regexp.MustCompile(`%[-+# 0]*[0-9]*(\.[0-9]+)?[a-zA-Z%]`)

// sameEverywhere are texts that other languages say in English, too.
func sameEverywhere(text string) bool {
	return !strings.ContainsFunc(verbPattern.ReplaceAllString(text, ""), func(r rune) bool { return r >= 'a' && r <= 'z' })
}

// TestEveryTextIsInEveryLanguage also checks that translations take the same arguments, in the same order.
func TestEveryTextIsInEveryLanguage(t *testing.T) {
	texts := said(t)
	var missing []string
	for text, where := range texts {
		if sameEverywhere(text) {
			continue
		}
		if !words.Has("zh", text) {
			missing = append(missing, where+": "+strconv.Quote(text))
			continue
		}
		translated := words.For("zh").T(text)
		if want, got := verbPattern.FindAllString(text, -1), verbPattern.FindAllString(translated, -1); !slices.Equal(want, got) {
			t.Errorf("%s: %q takes %v, its translation %q %v", where, text, want, translated, got)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("%d texts are not translated:\n%s", len(missing), strings.Join(missing, "\n"))
	}
}

func TestLanguages(t *testing.T) {
	for lang, want := range map[string]string{"zh_CN.UTF-8": "zh", "zh": "zh", "zh-Hans": "zh", "en_GB.UTF-8": "en", "": "en", "C": "en", "xx": "en", "zhx": "en"} {
		if got := words.For(lang).Lang(); got != want {
			t.Errorf("%q: %q, want %q", lang, got, want)
		}
	}
	if got := words.For("zh").T("nodes %d/%d", 1, 3); got != "节点 1/3" {
		t.Errorf("got %q", got)
	}
}
