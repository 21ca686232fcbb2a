package kubeconfig

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

// view is the user's kubeconfig as kubectl merges it: of two things of one name that of the first file counts.
type view struct{ files []*file }

// find returns the body of the item of that name, and its file; nil if there is none.
func (v *view) find(list, name string) (*file, *yaml.Node) {
	for _, f := range v.files {
		if item(get(f.doc.root, list), name) != nil {
			return f, f.doc.body(list, name)
		}
	}
	return nil, nil
}

// current is the current context, and the file that decides on it; nil if none does.
func (v *view) current() (*file, string) {
	for _, f := range v.files {
		if name := f.doc.current(); name != "" {
			return f, name
		}
	}
	return nil, ""
}

// places are the files that can be changed, the best for something new first. As with kubectl that is the first that
// exists, or if none does, the last.
func (v *view) places() (list []*file) {
	var missing []*file
	for _, f := range v.files {
		switch {
		case f.locked != nil:
		case f.exists:
			list = append(list, f)
		default:
			missing = append(missing, f)
		}
	}
	if !slices.ContainsFunc(v.files, func(f *file) bool { return f.exists }) {
		slices.Reverse(missing)
	}
	return append(list, missing...)
}

// way is a context that leads to a cluster, whatever its name.
type way struct {
	context       string
	file          *file
	cluster, user string // the names that it refers to
	works         bool   // address and credentials are right
}

// ways are the contexts that lead to the cluster of e, those that work first. One is recognised by its CA: a cluster's
// port changes, and others may have the port that it had before.
func (v *view) ways(e Entry) (list []way) {
	for _, f := range v.files {
		for _, name := range f.doc.names(contexts) {
			if first, _ := v.find(contexts, name); first != f || slices.ContainsFunc(list, func(w way) bool { return w.context == name }) {
				continue
			}
			body := f.doc.body(contexts, name)
			w := way{context: name, file: f, cluster: scalar(get(body, "cluster")), user: scalar(get(body, "user"))}
			origin, c := v.find(clusters, w.cluster)
			if origin == nil || !origin.trusts(c, e.CA) {
				continue
			}
			w.works = serves(scalar(get(c, "server")), e.Server) && v.admits(w.user, e)
			list = append(list, w)
		}
	}
	slices.SortStableFunc(list, func(a, b way) int { return cmp.Compare(rank(a), rank(b)) })
	return list
}

func rank(w way) int {
	if w.works {
		return 0
	}
	return 1
}

// trusts reports whether a cluster entry of this file has this CA.
func (f *file) trusts(c *yaml.Node, ca []byte) bool {
	ca = bytes.TrimSpace(ca)
	return len(ca) > 0 && bytes.Equal(bytes.TrimSpace(f.data(c, "certificate-authority")), ca)
}

// data is what an entry of this file embeds under the key with "-data", or names a file for.
func (f *file) data(n *yaml.Node, key string) []byte {
	if embedded := scalar(get(n, key+"-data")); embedded != "" {
		data, err := base64.StdEncoding.DecodeString(embedded) // which skips line breaks
		if err != nil {
			return nil
		}
		return data
	}
	path := scalar(get(n, key))
	if path == "" {
		return nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(f.path), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return data
}

// serves reports whether a server's address can be taken for one of the cluster's: it is the right port of this machine,
// or it is elsewhere, such as the end of a tunnel, on which only the user can decide.
func serves(server, right string) bool {
	x, err1 := url.Parse(server)
	y, err2 := url.Parse(right)
	if server == right || server == "" || err1 != nil || err2 != nil {
		return server == right
	}
	return !loopback(x) || x.Scheme == y.Scheme && x.Port() == y.Port()
}

func loopback(u *url.URL) bool {
	return u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
}

// admits reports whether a user can be taken for one that the cluster lets in: with the administrator's certificate as it
// is now, or with credentials of another kind, on which only the cluster can decide.
func (v *view) admits(user string, e Entry) bool {
	f, n := v.find(users, user)
	if n == nil || len(n.Content) == 0 {
		return false
	}
	return f.administers(n, e) || !f.isAdministrator(user, n, e)
}

func (f *file) administers(n *yaml.Node, e Entry) bool {
	return bytes.Equal(f.data(n, "client-certificate"), e.Cert) && bytes.Equal(f.data(n, "client-key"), e.Key)
}

// isAdministrator reports whether a user's certificate is the cluster's administrator's, perhaps an older one.
func (f *file) isAdministrator(name string, n *yaml.Node, e Entry) bool {
	cert := f.data(n, "client-certificate")
	return len(cert) > 0 && (name == e.Name || subject(cert) != "" && subject(cert) == subject(e.Cert))
}

func subject(cert []byte) string {
	block, _ := pem.Decode(cert)
	if block == nil {
		return ""
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return c.Subject.String()
}

// repair makes the contexts that lead to the cluster work again where an older address or certificate of it prevents that.
func (v *view) repair(e Entry) {
	for _, w := range v.ways(e) {
		if w.works || w.user == "" {
			continue
		}
		if f, c := v.find(clusters, w.cluster); f.locked == nil && !serves(scalar(get(c, "server")), e.Server) {
			setText(c, "server", e.Server)
		}
		if v.admits(w.user, e) {
			continue
		}
		f, u := v.find(users, w.user)
		if f == nil {
			f = w.file
		}
		if f.locked != nil {
			continue
		}
		if u == nil || u.Kind != yaml.MappingNode {
			f.doc.replace(users, w.user, credentials(e))
			continue
		}
		for _, field := range credentials(e) {
			setText(u, field.key, field.value)
		}
	}
}

func credentials(e Entry) fields {
	encode := base64.StdEncoding.EncodeToString
	return fields{{"client-certificate-data", encode(e.Cert)}, {"client-key-data", encode(e.Key)}}
}

// put adds the entry, as a context of its name where possible, and returns the server to which a context of that name led
// before, if that was another cluster. A context of that name is replaced; a cluster or a user of that name that other
// contexts use is not, and neither is what stands in a file that cannot be changed.
func (v *view) put(e Entry) (displaced string, err error) {
	places := v.places()
	if len(places) == 0 {
		return "", v.unwritable()
	}
	context := v.free(contexts, e.Name, func(string) bool { return true })
	home, body := v.find(contexts, context)
	keep := fields{}
	previous := ""
	if home == nil {
		home = places[0]
	} else {
		origin, c := v.find(clusters, scalar(get(body, "cluster")))
		if origin == nil || !origin.trusts(c, e.CA) {
			displaced = cmp.Or(scalar(get(c, "server")), "?")
		}
		if namespace := scalar(get(body, "namespace")); namespace != "" { // the user's choice
			keep = fields{{"namespace", namespace}}
		}
		previous = home.doc.previous(context)
	}
	cluster := v.free(clusters, e.Name, func(name string) bool {
		f, c := v.find(clusters, name)
		return f != nil && f.trusts(c, e.CA) || !v.used(clusters, name, context)
	})
	user := v.free(users, e.Name, func(name string) bool { return !v.used(users, name, context) })
	replace := func(list, name string, body fields) {
		f, _ := v.find(list, name)
		cmp.Or(f, home).doc.replace(list, name, body)
	}
	replace(clusters, cluster, fields{{"certificate-authority-data", base64.StdEncoding.EncodeToString(e.CA)}, {"server", e.Server}})
	replace(users, user, credentials(e))
	replace(contexts, context, append(fields{{"cluster", cluster}, {"user", user}}, keep...))
	home.doc.setPrevious(context, previous)
	return displaced, nil
}

// free is a name for a new item: the given one, where replacing such an item is ok, or the first with a number that does
// not exist. ok is also asked for names that do not exist, to which a context may refer all the same.
func (v *view) free(list, name string, ok func(name string) bool) string {
	for i, candidate := 2, name; ; i, candidate = i+1, fmt.Sprintf("%s-%d", name, i) {
		f, _ := v.find(list, candidate)
		if (f == nil || candidate == name && f.locked == nil) && ok(candidate) {
			return candidate
		}
	}
}

// used reports whether any context but one refers to the item of that name.
func (v *view) used(list, name, except string) bool {
	return slices.ContainsFunc(v.files, func(f *file) bool {
		return slices.ContainsFunc(f.doc.names(contexts), func(c string) bool {
			return c != except && scalar(get(f.doc.body(contexts, c), bodyOf[list])) == name
		})
	})
}

// choose makes one of the ways the current context, unless the current one leads to the cluster already, and returns which
// one that is; it is empty if the file that decides cannot be changed.
func (v *view) choose(e Entry, ways []way) string {
	decider, current := v.current()
	if slices.ContainsFunc(ways, func(w way) bool { return w.context == current }) {
		return current
	}
	i := max(0, slices.IndexFunc(ways, func(w way) bool { return w.works && w.context == e.Name }))
	w := ways[i]
	place := decider
	if place == nil && w.file.locked == nil {
		place = w.file
	}
	if place == nil || place.locked != nil {
		place = nil
		for _, f := range v.places() {
			if decider == nil || slices.Index(v.files, f) < slices.Index(v.files, decider) {
				place = f
				break
			}
		}
	}
	if place == nil {
		return ""
	}
	place.doc.setCurrent(w.context)
	if f, _ := v.find(contexts, current); f != nil && w.file.locked == nil {
		w.file.doc.setPrevious(w.context, current)
	}
	return w.context
}

// remains are what leads to a cluster.
type remains struct {
	any      bool
	contexts []string
	stuck    *file // a file that cannot be changed, with some of it
}

// remove removes every context that leads to the cluster with this CA, with its cluster and user. A user goes if nothing
// else refers to it and all it has is a client certificate, which was for this cluster. If the current context goes, the
// one before it is current again, if there still is one.
func (v *view) remove(ca []byte) (found remains) {
	_, current := v.current()
	unused := map[string]bool{} // names of users that may be
	var previous []string
	var todo []func()
	for _, f := range v.files {
		remove := func(list, name string) {
			found.any = true
			if f.locked != nil {
				found.stuck = f
				return
			}
			todo = append(todo, func() { f.doc.remove(list, name) })
		}
		for _, name := range f.doc.names(contexts) {
			body := f.doc.body(contexts, name)
			if !v.leadsTo(f, scalar(get(body, "cluster")), ca) {
				continue
			}
			remove(contexts, name)
			found.contexts = append(found.contexts, name)
			unused[scalar(get(body, "user"))] = true
			if before := f.doc.previous(name); name == current {
				previous = slices.Insert(previous, 0, before)
			} else {
				previous = append(previous, before)
			}
		}
		for _, name := range f.doc.names(clusters) {
			if f.trusts(f.doc.body(clusters, name), ca) {
				remove(clusters, name)
				unused[name] = true
			}
		}
	}
	for _, do := range todo {
		do()
	}
	for name := range unused {
		for _, f := range v.files {
			if f.locked == nil && onlyCertificate(f.doc.body(users, name)) && !v.used(users, name, "") {
				f.doc.remove(users, name)
			}
		}
	}
	decider, _ := v.current()
	for _, f := range v.files {
		name := f.doc.current()
		if still, _ := v.find(contexts, name); !slices.Contains(found.contexts, name) || still != nil {
			continue
		}
		if f.locked != nil {
			found.stuck = f
			continue
		}
		f.doc.setCurrent("")
		if f != decider {
			continue
		}
		i := slices.IndexFunc(previous, func(p string) bool { has, _ := v.find(contexts, p); return p != "" && has != nil })
		if _, now := v.current(); i >= 0 && now != previous[i] { // which another file may set
			f.doc.setCurrent(previous[i])
		}
	}
	return found
}

// leadsTo reports whether the cluster that a context of a file refers to has this CA. Unlike kubectl, which merges files,
// it looks into the context's own file first, which may be used alone.
func (v *view) leadsTo(f *file, cluster string, ca []byte) bool {
	if item(get(f.doc.root, clusters), cluster) != nil {
		return f.trusts(f.doc.body(clusters, cluster), ca)
	}
	origin, c := v.find(clusters, cluster)
	return origin != nil && origin.trusts(c, ca)
}

// onlyCertificate reports whether a user has no other credentials than a client certificate.
func onlyCertificate(user *yaml.Node) bool {
	if user == nil || user.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(user.Content); i += 2 {
		switch user.Content[i].Value {
		case "client-certificate-data", "client-key-data", "client-certificate", "client-key":
		default:
			return false
		}
	}
	return true
}
