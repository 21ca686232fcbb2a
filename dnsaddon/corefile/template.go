package corefile

import (
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/miekg/dns"
)

// templateDirective reads: template CLASS TYPE [ZONE...] { … }
func (b *builder) templateDirective(s *block, n node) {
	if len(n.words) < 3 {
		b.problems.add(n.where, "write: template IN A example.org { … }", "template: needs a class and a type; the directive is ignored")
		return
	}
	if class := strings.ToUpper(n.words[1]); class != "IN" && class != "ANY" {
		b.problems.add(n.where, "", "template: only the class IN is answered; the directive is ignored")
		return
	}
	qtype, ok := dns.StringToType[strings.ToUpper(n.words[2])]
	if !ok {
		b.problems.add(n.where, "", "template: %q is not a type; the directive is ignored", shorten(n.words[2]))
		return
	}
	t := Template{Type: qtype, Zones: b.zones(n, n.words[3:], s.out.Zones)}
	for _, o := range n.body {
		if err := b.templateOption(&t, o); err != nil {
			// Part of a template would answer wrongly where the whole one answers correctly.
			b.problems.add(o.where, "", "template: %s: %v; the directive is ignored", o, err)
			return
		}
	}
	s.out.Templates = append(s.out.Templates, t)
}

func (b *builder) templateOption(t *Template, o node) error {
	sections := map[string]*[]string{"answer": &t.Answer, "additional": &t.Additional, "authority": &t.Authority}
	switch name := o.name(); name {
	case "match":
		for _, pattern := range o.args() {
			if err := b.regex(pattern); err != nil {
				return err
			}
			t.Match = append(t.Match, pattern)
		}
	case "answer", "additional", "authority":
		for _, text := range o.args() {
			if _, err := CompileTemplate(text); err != nil {
				return err
			}
			section := sections[name]
			if *section = append(*section, text); len(*section) > maxTemplateRecords {
				return fmt.Errorf("more than %d records", maxTemplateRecords)
			}
		}
	case "rcode":
		rcode, ok := dns.StringToRcode[strings.ToUpper(strings.Join(o.args(), " "))]
		if !ok || rcode > 0xf {
			return fmt.Errorf("unknown rcode")
		}
		t.Rcode = rcode
	case "fallthrough":
		t.Fallthrough = b.fallthroughZones(o)
	case "ederror":
		b.problems.addNote(o.where, "template: %s: answers carry no extended errors", o)
	case "upstream":
		// CoreDNS itself no longer supports it.
	default:
		return fmt.Errorf("unknown option")
	}
	return nil
}

// Limits for one answer.
const (
	maxTemplateRecords = 20
	maxTemplateText    = 4 << 10
	maxTemplateNodes   = 200
)

// templateFields are the fields that a template can use. Others that CoreDNS has contain whole messages or come from
// plugins that are not available here.
func templateFields(name string) bool {
	switch name {
	case "Zone", "Name", "Class", "Type", "Match", "Group", "Question":
		return true
	}
	return false
}

// CompileTemplate compiles a record's template for data with the fields Zone, Name, Class, Type, Match, Group and
// Question. The language is restricted to what runs in a short, fixed time with little memory, because anybody can ask
// questions: there are no loops, no definitions, and no method calls.
func CompileTemplate(text string) (*template.Template, error) {
	if len(text) > maxTemplateText {
		return nil, fmt.Errorf("the template is longer than %d characters", maxTemplateText)
	}
	t, err := template.New("record").Option("missingkey=error").Funcs(template.FuncMap{
		// Its results are decimal: the last step from "0a" to 10.
		"parseInt": strconv.ParseUint,
		"printf":   printf,
	}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read: %s", shorten(err.Error()))
	}
	if len(t.Templates()) != 1 {
		return nil, fmt.Errorf("define and block are not supported")
	}
	left := maxTemplateNodes
	if err := checkTemplate(t.Root, &left); err != nil {
		return nil, err
	}
	return t, nil
}

// printf is fmt's, except that a name in a question cannot make its result large: widths come from the configuration
// only, and are small.
func printf(format string, args ...any) (string, error) {
	digits := 0
	for _, c := range format {
		if c >= '0' && c <= '9' {
			digits++
		} else {
			digits = 0
		}
		if digits > 2 || c == '*' {
			return "", fmt.Errorf("printf: widths have two digits at most")
		}
	}
	return fmt.Sprintf(format, args...), nil
}

// checkTemplate allows the parts of the language that are known to be harmless.
func checkTemplate(n parse.Node, left *int) error {
	if *left--; *left < 0 {
		return fmt.Errorf("the template has too many parts")
	}
	var parts []parse.Node
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil { // as is the list of an else that is not there
			parts = n.Nodes
		}
	case *parse.ActionNode:
		parts = []parse.Node{n.Pipe}
	case *parse.IfNode:
		parts = []parse.Node{n.Pipe, n.List, n.ElseList}
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			parts = append(parts, c)
		}
	case *parse.CommandNode:
		parts = n.Args
	case *parse.FieldNode:
		return checkField(n.Ident)
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 {
			return checkField(n.Ident[1:])
		}
		if len(n.Ident) > 1 {
			return fmt.Errorf("%s is not supported", shorten(n.String()))
		}
	case *parse.IdentifierNode:
		switch n.Ident {
		case "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "index", "len", "slice", "print", "printf", "parseInt":
		default:
			return fmt.Errorf("the function %s is not supported", shorten(n.Ident))
		}
	case *parse.TextNode, *parse.CommentNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.NilNode, *parse.DotNode:
	default:
		return fmt.Errorf("%s is not supported", shorten(n.String()))
	}
	for _, part := range parts {
		if err := checkTemplate(part, left); err != nil {
			return err
		}
	}
	return nil
}

func checkField(path []string) error {
	if !templateFields(path[0]) {
		return fmt.Errorf(".%s is not supported", shorten(path[0]))
	}
	return nil
}
