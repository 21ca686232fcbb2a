package kubeconfig

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// extensionName marks what bonsai stores in its own context: the name of the context that was current before.
const extensionName = "bonsai.io/previous-context"

// errForm means that a file is YAML but not a kubeconfig.
var errForm = errors.New("not a kubeconfig")

// document is a kubeconfig as a tree. Methods change only those parts of the tree that they have to.
type document struct {
	tree yaml.Node
	root *yaml.Node // the mapping at its top
}

func newDocument() *document {
	d, err := parse([]byte("apiVersion: v1\nkind: Config\npreferences: {}\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n"))
	if err != nil {
		panic(err) // our own text
	}
	return d
}

// load reads a file. An empty one counts as missing content, not as an error.
func load(path string) (*document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(data)
}

func parse(data []byte) (*document, error) {
	d := &document{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&d.tree); errors.Is(err, io.EOF) {
		return newDocument(), nil
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	if len(d.tree.Content) != 1 || d.tree.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%w: the top level is not a mapping", errForm)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one document", errForm)
	}
	d.root = d.tree.Content[0]
	for _, list := range []string{"clusters", "contexts", "users"} {
		if n := get(d.root, list); n != nil && n.Kind != yaml.SequenceNode && n.Tag != "!!null" {
			return nil, fmt.Errorf("%w: %s is not a list", errForm, list)
		}
	}
	return d, nil
}

// bytes returns the text of the tree, formatted like kubectl's own: two spaces, lists not indented further.
func (d *document) bytes() []byte {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	if err := errors.Join(enc.Encode(&d.tree), enc.Close()); err != nil {
		panic(fmt.Sprintf("encode a tree that was decoded: %v", err))
	}
	return b.Bytes()
}

func (d *document) put(e Entry) {
	encode := base64.StdEncoding.EncodeToString
	d.set("clusters", e.Name, "cluster", map[string]string{"server": e.Server, "certificate-authority-data": encode(e.CA)})
	d.set("users", e.Name, "user", map[string]string{"client-certificate-data": encode(e.Cert), "client-key-data": encode(e.Key)})
	// If the user chose a namespace for the context, it is kept.
	context := map[string]string{"cluster": e.Name, "user": e.Name}
	if namespace := scalar(get(item(get(d.root, "contexts"), e.Name), "context", "namespace")); namespace != "" {
		context["namespace"] = namespace
	}
	d.set("contexts", e.Name, "context", context)
}

// set replaces the body of the named item of a list, at its old place or at the end.
func (d *document) set(list, name, key string, body map[string]string) {
	n := &yaml.Node{}
	if err := n.Encode(map[string]any{"name": name, key: body}); err != nil {
		panic(err) // strings only
	}
	if old := item(get(d.root, list), name); old != nil {
		*old = *n
		return
	}
	seq := get(d.root, list)
	if seq == nil {
		seq = &yaml.Node{}
		d.root.Content = append(d.root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: list}, seq)
	}
	if seq.Kind != yaml.SequenceNode || len(seq.Content) == 0 { // "clusters: null" and "[]" are kubectl's empty lists
		*seq = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", HeadComment: seq.HeadComment, FootComment: seq.FootComment}
	}
	seq.Content = append(seq.Content, n)
}

// remove removes the cluster, user and context of that name and reports whether there were any.
func (d *document) remove(name string) (removed bool) {
	for _, list := range []string{"clusters", "contexts", "users"} {
		seq := get(d.root, list)
		for it := item(seq, name); it != nil; it = item(seq, name) {
			for i, n := range seq.Content {
				if n == it {
					seq.Content = append(seq.Content[:i], seq.Content[i+1:]...)
					removed = true
					break
				}
			}
		}
		if removed && seq != nil && len(seq.Content) == 0 {
			seq.Style = yaml.FlowStyle // "[]"; block style has no empty list
		}
	}
	return removed
}

// contexts are the names of the contexts.
func (d *document) contexts() (names []string) {
	seq := get(d.root, "contexts")
	if seq == nil {
		return nil
	}
	for _, n := range seq.Content {
		names = append(names, scalar(get(n, "name")))
	}
	return names
}

func (d *document) current() string { return scalar(get(d.root, "current-context")) }

func (d *document) setCurrent(name string) {
	n := get(d.root, "current-context")
	if n == nil {
		if name == "" {
			return
		}
		n = &yaml.Node{}
		d.root.Content = append(d.root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "current-context"}, n)
	}
	if scalar(n) != name {
		n.SetString(name)
		n.Style = 0
		if name == "" {
			n.Style = yaml.DoubleQuotedStyle // what kubectl writes
		}
	}
}

// previous is the context that was current before name's, as recorded by setPrevious.
func (d *document) previous(name string) string {
	context := get(item(get(d.root, "contexts"), name), "context")
	return scalar(get(item(get(context, "extensions"), extensionName), "extension"))
}

func (d *document) setPrevious(name, previous string) {
	context := get(item(get(d.root, "contexts"), name), "context")
	if previous == "" || context == nil {
		return
	}
	key, ext := &yaml.Node{Kind: yaml.ScalarNode, Value: "extensions"}, &yaml.Node{}
	if err := ext.Encode([]map[string]string{{"name": extensionName, "extension": previous}}); err != nil {
		panic(err) // strings only
	}
	context.Content = append(context.Content, key, ext)
}

// access is everything that determines where a context leads and as which user.
func (d *document) access(name string) [4]string {
	context := get(item(get(d.root, "contexts"), name), "context")
	c := get(item(get(d.root, "clusters"), scalar(get(context, "cluster"))), "cluster")
	u := get(item(get(d.root, "users"), scalar(get(context, "user"))), "user")
	return [4]string{
		scalar(get(c, "server")), scalar(get(c, "certificate-authority-data")),
		scalar(get(u, "client-certificate-data")), scalar(get(u, "client-key-data")),
	}
}

// trusts reports whether the cluster entry of that name has this CA, by which one cluster is told from another of its name:
// the port of a server changes, its CA does not.
func (d *document) trusts(name string, ca []byte) bool {
	data := scalar(get(item(get(d.root, "clusters"), name), "cluster", "certificate-authority-data"))
	return len(ca) > 0 && data == base64.StdEncoding.EncodeToString(ca)
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
