package words

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// someValue stands for a name or figure that is not known before.
const someValue = "Xy9"

// sample is what an expression can be at run time: its literals, with a value for everything else.
func sample(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return sample(e.X) + sample(e.Y)
		}
	case *ast.ParenExpr:
		return sample(e.X)
	case *ast.CallExpr:
		name := ""
		switch f := e.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		switch name {
		case "Sprintf":
			text := sample(e.Args[0])
			args := e.Args[1:]
			return regexp.MustCompile(`%[0-9.]*[a-z%]`).ReplaceAllStringFunc(text, func(verb string) string {
				if verb == "%%" || len(args) == 0 {
					return "%"
				}
				arg := sample(args[0])
				args = args[1:]
				return arg
			})
		case "meant", "elsewhere":
			return ""
		case "going":
			return "the pod is being deleted, but "
		case "count":
			return "9 " + sample(e.Args[1]) + "s"
		case "times":
			return "9 times"
		case "ToLower":
			return "failed" // of a phase
		case "word":
			return "container " + someValue
		}
	}
	return someValue
}

// phraseFuncs return parts of what is said.
var phraseFuncs = regexp.MustCompile(`([wW]ords|Meaning|Answer|Cause|Reason|reachable|[wW]hy)$|^(pullCause|going|word|plainNode|meant|whatIsLost|hasClasses|elsewhere)$`)

// returnsCause says that the first result of a function is a part of what is said, by its name.
func returnsCause(f *ast.FuncDecl) bool {
	if f.Type.Results == nil || len(f.Type.Results.List[0].Names) == 0 {
		return false
	}
	return slices.Contains([]string{"cause", "why", "reason", "summary"}, f.Type.Results.List[0].Names[0].Name)
}

// diagnosed are samples of all that is said of problems, with where.
func diagnosed(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	set := token.NewFileSet()
	files, err := filepath.Glob("../../controlplane/observe/problems/diagnose/*.go")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	more, err := filepath.Glob("../../bootstrap/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.Concat(files, more) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		note := func(e ast.Expr) {
			text := strings.TrimLeft(sample(e), ":;, ")
			if text = strings.TrimSuffix(text, ", but "); strings.HasSuffix(text, " is being deleted") || strings.HasSuffix(text, someValue+" it") {
				return // the other part is noted where it is made
			}
			words := strings.ReplaceAll(text, someValue, "")
			if strings.IndexFunc(words, unicode.IsLower) >= 0 {
				texts[text] = set.Position(e.Pos()).String()
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok && (id.Name == "Summary" || id.Name == "Cause") {
					note(n.Value)
				}
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					if id, ok := to.(*ast.Ident); ok && i < len(n.Rhs) && len(n.Lhs) == len(n.Rhs) && slices.Contains([]string{"cause", "why", "reason"}, id.Name) {
						note(n.Rhs[i])
					}
					if s, ok := to.(*ast.SelectorExpr); ok && (s.Sel.Name == "Summary" || s.Sel.Name == "Cause") && i < len(n.Rhs) && len(n.Lhs) == len(n.Rhs) {
						note(n.Rhs[i])
					}
				}
			case *ast.FuncDecl:
				if !phraseFuncs.MatchString(n.Name.Name) && !returnsCause(n) {
					break
				}
				ast.Inspect(n.Body, func(n ast.Node) bool {
					if r, ok := n.(*ast.ReturnStmt); ok {
						for _, e := range r.Results {
							note(e)
						}
					}
					return true
				})
			case *ast.CallExpr:
				id, ok := n.Fun.(*ast.Ident)
				if !ok || len(n.Args) < 2 {
					break
				}
				to, _ := n.Args[0].(*ast.Ident)
				switch {
				case id.Name == "because":
					note(n.Args[0])
				case id.Name == "append" && to != nil && (to.Name == "causes" || to.Name == "lacking"):
					note(n.Args[1])
				}
			}
			return true
		})
	}
	return texts
}

// TestEveryDiagnosisIsInEveryLanguage walks all that is said of problems in the source.
func TestEveryDiagnosisIsInEveryLanguage(t *testing.T) {
	texts := diagnosed(t)
	var missing []string
	for text, where := range texts {
		got := For("zh").Diagnosis(text)
		// Nothing but names may be left in Latin letters.
		left := got
		for _, known := range sameInChinese {
			left = strings.ReplaceAll(left, known, "")
		}
		left = regexp.MustCompile(`[A-Za-z.]*[A-Z0-9/.][A-Za-z0-9/.]*|\{\}`).ReplaceAllString(left, "")
		if got == text || regexp.MustCompile(`[a-z]{2,}`).MatchString(left) {
			missing = append(missing, fmt.Sprintf("%s: %q is %q", where, text, got))
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 || len(texts) < 80 {
		t.Errorf("%d of %d are not translated:\n%s", len(missing), len(texts), strings.Join(missing, "\n"))
	}
}

// sameInChinese are words that Chinese texts have as they are.
var sameInChinese = []string{
	"server", "API server", "ephemeral-storage", "ext4", "xfs", "btrfs", "rootless", "runc", "seccomp", "/proc", "/sys", "gRPC", "https", "http", "API metrics.k8s.io", "k8s.io", "metrics", "-server", "该 pod", "PodDisruptionBudget", "provisioner", "false", "finalizer", "etcd", "webhook", "kubelet", "hostPath", "metrics-server", "initialDelaySeconds", "docker system prune", "spec.scaleTargetRef",
	"concurrencyPolicy", "Forbid", "startingDeadlineSeconds", "imagePullPolicy", "imagePullSecrets", "hostUsers", "failurePolicy", "Never", "cordon",
	"progressDeadlineSeconds", "metrics.k8s.io", "root", "DaemonSet", "StatefulSet",
}

func TestDiagnosisInChinese(t *testing.T) {
	for text, want := range map[string]string{
		"image shop:1 cannot be pulled":                                          "无法拉取镜像 shop:1",
		"container web exits with 1, 4 times so far":                             "容器 web 以 1 退出，至今 4 次",
		"its rollout is stuck; 2 pods of the revision before still run":          "其滚动更新卡住了；上一版本的 2 个 Pod 仍在运行",
		"asks DNS for redis.defualt.svc: no such name; meant redis.default.svc?": "向 DNS 查询 redis.defualt.svc：没有这个名称；是否指 redis.default.svc？",
		"no node has enough memory left":                                         "没有节点剩余足够的 内存",
		"the pod is being deleted, but node dev-2 does not end it":               "该 Pod 正在删除，但节点 dev-2 没有结束它",
		"claim data is good and ready for what nobody has written":               "claim data is good and ready for what nobody has written",
		"something that nobody has written":                                      "something that nobody has written",
		"":                                                                       "",
	} {
		if got := For("zh").Diagnosis(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
		if got := For("en").Diagnosis(text); got != text {
			t.Errorf("%q is %q in English", text, got)
		}
	}
}
