package kubeconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// extensionName marks what bonsai stores in a context of a user: the name of the context that was current before it.
const extensionName = "bonsai.io/previous-context"

// The lists of a kubeconfig.
const (
	clusters = "clusters"
	contexts = "contexts"
	users    = "users"
)

// bodyOf is the key of an item of each list, beside its name.
var bodyOf = map[string]string{clusters: "cluster", contexts: "context", users: "user"}

// errForm means that a file is YAML but not a kubeconfig.
var errForm = errors.New("not a kubeconfig")

// document is a kubeconfig as a tree. Methods change only those parts of the tree that they have to.
type document struct {
	tree  yaml.Node
	root  *yaml.Node // the mapping at its top
	style style
}

// style is how a file is written, as far as the tree does not know it.
type style struct {
	crlf   bool // lines end as on Windows
	marker bool // it begins with "---"
	lists  int  // by how many spaces lists are indented; 0 is kubectl's style
}

func styleOf(text string) style {
	s := style{crlf: strings.Contains(text, "\r\n")}
	for line := range strings.Lines(text) {
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case strings.HasPrefix(line, "---"):
			s.marker = true
		case strings.HasPrefix(trimmed, "- "):
			s.lists = len(line) - len(trimmed)
			return s
		}
	}
	return s
}

const emptyText = "apiVersion: v1\nkind: Config\npreferences: {}\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n"

func newDocument() *document {
	d, err := parse([]byte(emptyText))
	if err != nil {
		panic(err) // our own text
	}
	return d
}

func parse(data []byte) (*document, error) {
	text := string(data)
	d := &document{style: styleOf(text)}
	dec := yaml.NewDecoder(strings.NewReader(strings.ReplaceAll(text, "\r\n", "\n")))
	switch err := dec.Decode(&d.tree); {
	case errors.Is(err, io.EOF), err == nil && isNull(&d.tree):
		return emptied(text, d.style)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errForm, err)
	case len(d.tree.Content) != 1 || d.tree.Content[0].Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%w: the top level is not a mapping", errForm)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one document", errForm)
	}
	d.root = d.tree.Content[0]
	for list := range bodyOf {
		if n := get(d.root, list); n != nil && n.Kind != yaml.SequenceNode && n.Tag != "!!null" {
			return nil, fmt.Errorf("%w: %s is not a list", errForm, list)
		}
	}
	return d, nil
}

// isNull reports whether a document has no content, as "---" alone.
func isNull(tree *yaml.Node) bool {
	return len(tree.Content) == 0 || len(tree.Content) == 1 && tree.Content[0].Tag == "!!null"
}

// emptied is an empty kubeconfig below the comments of a text that has nothing else.
func emptied(text string, s style) (*document, error) {
	d := newDocument()
	var comments []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			comments = append(comments, line)
		}
	}
	d.style, d.tree.HeadComment = s, strings.Join(comments, "\n")
	return d, nil
}

// bytes returns the text of the tree in the style of the file; that of a new one is kubectl's own.
func (d *document) bytes() []byte {
	var b bytes.Buffer
	if d.style.marker {
		b.WriteString("---\n")
	}
	enc := yaml.NewEncoder(&b)
	if d.style.lists > 1 {
		enc.SetIndent(d.style.lists)
	} else {
		enc.SetIndent(2)
		enc.CompactSeqIndent()
	}
	if err := errors.Join(enc.Encode(&d.tree), enc.Close()); err != nil {
		panic(fmt.Sprintf("encode a tree that was decoded: %v", err))
	}
	if d.style.crlf {
		return bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte("\r\n"))
	}
	return b.Bytes()
}

// body is what the item of that name says; nil without one.
func (d *document) body(list, name string) *yaml.Node {
	return get(item(get(d.root, list), name), bodyOf[list])
}

// names are the names of the items of a list.
func (d *document) names(list string) (names []string) {
	if seq := get(d.root, list); seq != nil {
		for _, n := range seq.Content {
			names = append(names, scalar(get(n, "name")))
		}
	}
	return names
}

// replace sets the item of that name, at its old place or at the end of the list.
func (d *document) replace(list, name string, body fields) {
	n, values := &yaml.Node{Kind: yaml.MappingNode}, &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range body {
		setText(values, f.key, f.value)
	}
	setText(n, "name", name)
	setNode(n, bodyOf[list], values)
	if list != users { // kubectl sorts the keys
		n.Content = slices.Concat(n.Content[2:], n.Content[:2])
	}
	if old := item(get(d.root, list), name); old != nil {
		*old = *n
		return
	}
	seq := get(d.root, list)
	if seq == nil {
		seq = &yaml.Node{}
		d.root.Content = append(d.root.Content, text(list), seq)
	}
	if seq.Kind != yaml.SequenceNode || len(seq.Content) == 0 { // "clusters: null" and "[]" are kubectl's empty lists
		*seq = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", HeadComment: seq.HeadComment, FootComment: seq.FootComment}
	}
	seq.Content = append(seq.Content, n)
}

// remove removes the items of that name.
func (d *document) remove(list, name string) {
	seq := get(d.root, list)
	if item(seq, name) == nil {
		return
	}
	seq.Content = slices.DeleteFunc(seq.Content, func(n *yaml.Node) bool { return scalar(get(n, "name")) == name })
	if len(seq.Content) == 0 {
		seq.Style = yaml.FlowStyle // "[]"; block style has no empty list
	}
}

func (d *document) current() string { return scalar(get(d.root, "current-context")) }

func (d *document) setCurrent(name string) {
	n := get(d.root, "current-context")
	if n == nil {
		if name == "" {
			return
		}
		n = &yaml.Node{}
		d.root.Content = append(d.root.Content, text("current-context"), n)
	}
	if scalar(n) != name {
		n.SetString(name)
		n.Style = 0
		if name == "" {
			n.Style = yaml.DoubleQuotedStyle // what kubectl writes
		}
	}
}

// previous is the context that was current before that of this name, as recorded by setPrevious.
func (d *document) previous(name string) string {
	return scalar(get(item(get(d.body(contexts, name), "extensions"), extensionName), "extension"))
}

func (d *document) setPrevious(name, previous string) {
	context := d.body(contexts, name)
	if previous == "" || context == nil {
		return
	}
	list := get(context, "extensions")
	if list == nil || list.Kind != yaml.SequenceNode {
		list = &yaml.Node{Kind: yaml.SequenceNode}
		setNode(context, "extensions", list)
	}
	ext := item(list, extensionName)
	if ext == nil {
		ext = &yaml.Node{Kind: yaml.MappingNode}
		setText(ext, "name", extensionName)
		list.Content = append(list.Content, ext)
	}
	setText(ext, "extension", previous)
}

// fields are keys with their values, in order.
type fields []struct{ key, value string }

// setText sets a key of a mapping; a value that is right stays as it is written.
func setText(mapping *yaml.Node, key, value string) {
	n := get(mapping, key)
	if n == nil || n.Kind != yaml.ScalarNode {
		setNode(mapping, key, text(value))
	} else if n.Value != value {
		n.SetString(value)
	}
}

func setNode(mapping *yaml.Node, key string, n *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content[i+1] = n
			return
		}
	}
	mapping.Content = append(mapping.Content, text(key), n)
}

// text is a string for the tree, quoted where YAML would read it as something else.
func text(value string) *yaml.Node {
	n := &yaml.Node{}
	if err := n.Encode(value); err != nil {
		panic(err) // a string
	}
	return n
}

// get walks down mappings; nil where a key is missing.
func get(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if n = value(n, key); n == nil {
			return nil
		}
	}
	return n
}

func value(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := n.Content[i+1]; n.Content[i].Value == key {
			if v.Kind == yaml.AliasNode {
				v = v.Alias
			}
			return v
		}
	}
	return nil
}

// item finds the element of a list by its name.
func item(seq *yaml.Node, name string) *yaml.Node {
	if seq == nil || seq.Kind != yaml.SequenceNode {
		return nil
	}
	for _, n := range seq.Content {
		if value(n, "name") != nil && value(n, "name").Value == name {
			return n
		}
	}
	return nil
}

func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}
