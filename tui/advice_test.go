package tui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bonsai/tui/words"
)

// TestEveryAdviceIsInEveryLanguage: advice is put into words where it arises, often far from the UI. Its fixed phrases are
// literals given to functions of these names.
func TestEveryAdviceIsInEveryLanguage(t *testing.T) {
	set, found := token.NewFileSet(), 0
	var missing []string
	look := func(path string) {
		f, err := parser.ParseFile(set, path, nil, 0)
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
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING || name != "Advise" && name != "advise" {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if found++; !sameEverywhere(text) && !words.Has("zh", text) {
				missing = append(missing, strings.TrimPrefix(set.Position(call.Pos()).String(), "../")+": "+literal.Value)
			}
			return true
		})
	}
	for _, dir := range []string{"bootstrap", "cmd", "controlplane", "dnsaddon", "nodeagent", "tui"} {
		err := filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				look(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 || found < 100 {
		t.Errorf("of %d phrases %d are not translated:\n%s", found, len(missing), strings.Join(missing, "\n"))
	}
}
