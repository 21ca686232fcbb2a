package corefile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coredns/caddy/caddyfile"
)

// Texts from the cluster are limited where a small one could grow large: snippets may import snippets.
const (
	maxImportDepth = 16
	maxNesting     = 16
	maxImported    = 20_000
)

// node is a line of a text and the block in braces after it. Server blocks, directives and their options are all nodes:
// the first word of a server block's line is its first zone, that of any other line the name of what it sets.
type node struct {
	words []string
	where place
	body  []node
	// block reports that there were braces, even empty ones.
	block bool
}

// place is a position in a text, for messages.
type place struct {
	source string // "configmap/kube-system/coredns"
	key    string // of the ConfigMap
	line   int
}

func (p place) String() string {
	if p.line == 0 {
		return p.key
	}
	return fmt.Sprintf("%s line %d", p.key, p.line)
}

func (n node) name() string { return n.words[0] }

func (n node) args() []string { return n.words[1:] }

// String is the line as it was written, shortened for messages.
func (n node) String() string { return shorten(strings.Join(n.words, " ")) }

// shorten limits a quotation in a message to one line of reasonable length, whatever a ConfigMap contains.
func shorten(s string) string { return clip(s, 60) }

func clip(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// errUnbalanced is returned for a text whose braces do not match: where one block ends and the next begins would be a
// guess.
var errUnbalanced = errors.New("braces do not match")

type token struct {
	text    string
	line    int
	newLine bool // it is the first of its line
}

// tokens is the lexer: words, quotes and comments. Nothing else of the Caddyfile package is used: its parser reads
// files and the environment of this process, which a ConfigMap must not have access to.
func tokens(text string) []token {
	d := caddyfile.NewDispenser("", strings.NewReader(text))
	var all []token
	end := 0 // the line on which the last token ended; quotes may hold line breaks
	for d.Next() {
		t := token{text: d.Val(), line: d.Line()}
		t.newLine = len(all) == 0 || t.line > end
		end = t.line + strings.Count(t.text, "\n")
		all = append(all, t)
	}
	return all
}

// parser turns tokens into nodes.
type parser struct {
	tokens []token
	source string
	key    string
	next   int
	depth  int // of braces
}

// parseLines reads a text of directives: an imported *.override, or the inside of braces.
func parseLines(source, key, text string) ([]node, error) {
	p := parser{tokens: tokens(text), source: source, key: key}
	nodes, err := p.lines()
	if err != nil {
		return nil, err
	}
	if p.next < len(p.tokens) {
		return nil, fmt.Errorf("line %d: %w: there is a closing brace too many", p.tokens[p.next].line, errUnbalanced)
	}
	return nodes, nil
}

// parseBlocks reads a text of server blocks. A text that begins with a line of zones and has no braces is a single
// block.
func parseBlocks(source, key, text string) ([]node, error) {
	p := parser{tokens: tokens(text), source: source, key: key}
	var blocks []node
	for p.next < len(p.tokens) {
		t := p.tokens[p.next]
		if t.text == "{" || t.text == "}" {
			return nil, fmt.Errorf("line %d: %w: %q instead of a server block", t.line, errUnbalanced, t.text)
		}
		block := node{where: p.place(t)}
		if t.text == "import" {
			block.words = p.words()
			blocks = append(blocks, block)
			continue
		}
		block.words = p.keys()
		if len(block.words) == 0 {
			return nil, fmt.Errorf("line %d: a server block needs a zone", t.line)
		}
		if !p.at("{") {
			rest, err := p.lines()
			if err != nil {
				return nil, err
			}
			block.body, block.block = rest, true
			if p.next < len(p.tokens) {
				return nil, fmt.Errorf("line %d: %w: there is no open brace here", p.tokens[p.next].line, errUnbalanced)
			}
			return append(blocks, block), nil
		}
		if err := p.braces(&block); err != nil {
			return nil, err
		}
		blocks = append(blocks, block)
	}
	return blocks, nil
}

func (p *parser) place(t token) place { return place{source: p.source, key: p.key, line: t.line} }

func (p *parser) at(text string) bool {
	return p.next < len(p.tokens) && p.tokens[p.next].text == text
}

// lines reads nodes up to a closing brace, which it does not consume, or the end.
func (p *parser) lines() ([]node, error) {
	var nodes []node
	for p.next < len(p.tokens) && !p.at("}") {
		t := p.tokens[p.next]
		if t.text == "{" {
			return nil, fmt.Errorf("line %d: %w: braces belong after a directive", t.line, errUnbalanced)
		}
		n := node{where: p.place(t), words: p.words()}
		// As in CoreDNS the brace may be on the next line.
		if p.at("{") {
			if err := p.braces(&n); err != nil {
				return nil, err
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// words reads the rest of a line up to a brace.
func (p *parser) words() []string {
	words := []string{p.tokens[p.next].text}
	for p.next++; p.next < len(p.tokens); p.next++ {
		t := p.tokens[p.next]
		if t.newLine || t.text == "{" || t.text == "}" {
			break
		}
		words = append(words, t.text)
	}
	return words
}

// keys reads the zones of a server block: one line, or more if a line ends with a comma.
func (p *parser) keys() []string {
	var keys []string
	more := true
	for first := true; p.next < len(p.tokens); p.next++ {
		t := p.tokens[p.next]
		if t.text == "{" || t.text == "}" || t.newLine && !more && !first {
			break
		}
		first = false
		more = strings.HasSuffix(t.text, ",")
		if key := strings.TrimSuffix(t.text, ","); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

func (p *parser) braces(n *node) error {
	open := p.tokens[p.next]
	if p.depth++; p.depth > maxNesting {
		return fmt.Errorf("line %d: braces are nested too deeply", open.line)
	}
	p.next++
	body, err := p.lines()
	if err != nil {
		return err
	}
	p.depth--
	if !p.at("}") {
		return fmt.Errorf("line %d: %w: the brace that opens here is never closed", open.line, errUnbalanced)
	}
	p.next++
	n.body, n.block = body, true
	return nil
}
