package kinds

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bonsai/bootstrap/fault"
)

var update = flag.Bool("update", false, "write docs/problems.md")

const page = "../../docs/problems.md"

func TestThePageIsUpToDate(t *testing.T) {
	if *update {
		if err := os.WriteFile(page, []byte(Page()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != Page() {
		t.Error("docs/problems.md is not what the registry says; write it again:  go test ./bootstrap/kinds -update")
	}
}

// constants are the texts of the constants whose names begin with prefix, or that are of a type, in the files of a folder.
func constants(t *testing.T, dir, prefix, typ string) (values []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			named, _ := spec.Type.(*ast.Ident)
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING &&
				(prefix != "" && strings.HasPrefix(spec.Names[0].Name, prefix) || typ != "" && named != nil && named.Name == typ) {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
			return true
		})
	}
	return values
}

// TestTheRegistryIsComplete: what can be reported is in it, once, with a meaning; and nothing else is.
func TestTheRegistryIsComplete(t *testing.T) {
	declared := slices.Concat(constants(t, "../fault", "", "Kind"), constants(t, "../cluster", "Problem", ""))
	if len(declared) < 70 {
		t.Fatalf("found only %d kinds in the source", len(declared))
	}
	seen := map[string]Kind{}
	for _, k := range All() {
		if _, twice := seen[k.Name]; twice {
			t.Errorf("%s is in the registry twice", k.Name)
		}
		seen[k.Name] = k
		if k.Means == "" {
			t.Errorf("%s has no meaning", k.Name)
		}
		if !slices.Contains(declared, k.Name) {
			t.Errorf("%s is in the registry, and nothing reports it", k.Name)
		}
	}
	for _, name := range declared {
		if _, ok := seen[name]; !ok {
			t.Errorf("%s is reported, and not in the registry", name)
		}
	}
}

func TestExitCodesAreUnique(t *testing.T) {
	codes := map[int]string{}
	for _, k := range All() {
		if (k.Group == Command) != (k.Code > 0) {
			t.Errorf("%s of group %s has exit code %d", k.Name, k.Group, k.Code)
		}
		if before := codes[k.Code]; k.Code > 0 && before != "" {
			t.Errorf("%s and %s have exit code %d", before, k.Name, k.Code)
		}
		codes[k.Code] = k.Name
	}
	for kind := range maps.Keys(commandTexts) {
		if !slices.Contains(fault.Kinds(), kind) {
			t.Errorf("%s has no exit code", kind)
		}
	}
}

func TestFind(t *testing.T) {
	for text, want := range map[string]string{"21": "EnginePermission", "crashloop": "CrashLoop", "MachineLimit": "MachineLimit", "nothing": "", "0": "", "99": ""} {
		got := ""
		if found := Find(text); len(found) == 1 {
			got = found[0].Name
		} else if len(found) > 1 {
			t.Errorf("%q: %d kinds", text, len(found))
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestLinksLeadSomewhere: the pages and headings that the texts name exist.
func TestLinksLeadSomewhere(t *testing.T) {
	found := 0
	for _, m := range link.FindAllStringSubmatch(Page(), -1) {
		target := strings.TrimSuffix(m[0][strings.Index(m[0], "](")+2:], ")")
		file, anchor, _ := strings.Cut(target, "#")
		data := []byte(Page())
		if file != "" {
			var err error
			if data, err = os.ReadFile(filepath.Join("../../docs", file)); err != nil {
				t.Errorf("%s: %v", target, err)
				continue
			}
		}
		found++
		has := anchor == ""
		for line := range strings.Lines(string(data)) {
			if heading := strings.TrimLeft(line, "#"); heading != line {
				has = has || slug(strings.TrimSpace(heading)) == anchor
			}
		}
		if !has {
			t.Errorf("%s has no heading %q", file, anchor)
		}
	}
	if found < 40 {
		t.Errorf("found only %d links", found)
	}
}

// slug is the anchor that a heading gets.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, strings.ToLower(heading))
}

func TestPlain(t *testing.T) {
	if got := Plain("see [limits](limits.md) and `bonsai df`"); got != "see limits and bonsai df" {
		t.Errorf("got %q", got)
	}
}
