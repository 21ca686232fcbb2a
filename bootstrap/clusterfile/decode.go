package clusterfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/nearmiss"
)

const (
	// maxSize bounds a file; certificates are the largest part of one.
	maxSize = 1 << 20
	// maxEntries bounds a list or a mapping, and maxValues all of them: aliases could make a small file a large document.
	maxEntries = 1000
	maxValues  = 20_000
)

// decoder reads YAML into documents, strictly, and collects what is wrong.
type decoder struct {
	name string // of the file
	errs []error
	// lines are those of all fields, by path ("nodes[1].taints[0]").
	lines map[string]int
	// values counts what was decoded.
	values int
}

// bad records a mistake.
func (d *decoder) bad(line int, format string, args ...any) {
	cause := fmt.Errorf(format, args...)
	f := fault.Newf(fault.Usage, "%s:%d: %w", d.name, line, cause)
	if inner, ok := errors.AsType[*fault.Fault](cause); ok {
		f.Advice = inner.Advice
	}
	d.errs = append(d.errs, f)
}

// badAt records a mistake in a field.
func (d *decoder) badAt(path string, err error) {
	if err != nil {
		d.bad(cmp.Or(d.lines[path], 1), "%s: %w", path, err)
	}
}

// syntaxLine finds the line in an error of the YAML library.
var syntaxLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?`)

// root parses the only document of a file; nil if there is none, which is a mistake.
func (d *decoder) root(data []byte) *yaml.Node {
	if len(data) > maxSize {
		d.bad(1, "the file has %d bytes, at most %d are possible", len(data), maxSize)
		return nil
	}
	var first, second yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(data))
	err := in.Decode(&first)
	if err == nil {
		if err = in.Decode(&second); err == nil {
			d.bad(second.Line, "the file has a second document; one file is one cluster")
			return nil
		}
	}
	switch {
	case errors.Is(err, io.EOF) && len(first.Content) == 1 && first.Content[0].ShortTag() != "!!null":
		return first.Content[0]
	case errors.Is(err, io.EOF):
		d.bad(1, "the file is empty; it begins with  apiVersion: %s  and  kind: %s", APIVersion, Kind)
		return nil
	}
	match := syntaxLine.FindStringSubmatch(err.Error())
	line := 1
	if match != nil {
		if n, err := strconv.Atoi(match[1]); err == nil {
			line = n
		}
	}
	d.bad(line, "this is not YAML: %s", syntaxLine.ReplaceAllString(err.Error(), ""))
	return nil
}

// value decodes a node into v, which can be set. tag is that of the field.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	line := n.Line
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.values++; d.values >= maxValues {
		if d.values == maxValues { // once is enough
			d.bad(line, "the file has more than %d values", maxValues)
		}
		return
	}
	d.lines[path] = line
	if n.ShortTag() == "!!null" {
		d.bad(line, "%s has no value; remove the line, or write what it should be", path)
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if u, ok := reflect.TypeAssert[union](v.Addr()); ok {
		into := u.as(n.Kind)
		if into == nil {
			d.bad(line, "%s cannot be %s", path, kindName(n))
			return
		}
		v = reflect.ValueOf(into).Elem()
	}
	if in, ok := reflect.TypeAssert[*inline](v.Addr()); ok {
		in.Node = *n
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.fields(n, line, v, path)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.bad(line, "%s has to be a list, not %s", path, kindName(n))
			return
		}
		if len(n.Content) > maxEntries {
			d.bad(line, "%s has %d entries, at most %d are possible", path, len(n.Content), maxEntries)
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i), tag)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		d.pairs(n, line, path, func(key string, item *yaml.Node) {
			into := reflect.New(v.Type().Elem()).Elem()
			d.value(item, into, path+"."+key, tag)
			v.SetMapIndex(reflect.ValueOf(key), into)
		})
	default:
		d.scalar(n, line, v, path, tag)
	}
}

// fields decodes a mapping into a struct.
func (d *decoder) fields(n *yaml.Node, line int, v reflect.Value, path string) {
	known := map[string]int{}
	var names []string
	for i := range v.NumField() {
		name := fieldName(v.Type().Field(i))
		known[name] = i
		names = append(names, name)
	}
	seen := map[string]bool{}
	ok := d.pairs(n, line, cmp.Or(path, "the file"), func(key string, item *yaml.Node) {
		i, exists := known[key]
		if !exists {
			d.bad(item.Line, "%s", unknown(key, path, names))
			return
		}
		seen[key] = true
		d.value(item, v.Field(i), strings.TrimPrefix(path+"."+key, "."), v.Type().Field(i).Tag)
	})
	for _, name := range names {
		if ok && !seen[name] && v.Type().Field(known[name]).Tag.Get("required") != "" {
			d.bad(line, "%s is missing", strings.TrimPrefix(path+"."+name, "."))
		}
	}
}

func unknown(key, path string, names []string) string {
	text := fmt.Sprintf("unknown field %q", key)
	if path != "" {
		text += " in " + path
	}
	switch near := nearmiss.Nearest(key, names); {
	case key == "<<":
		return text + ": merge keys are not possible; repeat the fields"
	case near != "":
		return text + fmt.Sprintf("; did you mean %q?", near)
	}
	return text + "; possible are " + strings.Join(names, ", ")
}

// pairs calls f for each entry of a mapping. It reports whether it is one.
func (d *decoder) pairs(n *yaml.Node, line int, path string, f func(key string, item *yaml.Node)) bool {
	if n.Kind != yaml.MappingNode {
		d.bad(line, "%s has to be a mapping, not %s", path, kindName(n))
		return false
	}
	if len(n.Content) > 2*maxEntries {
		d.bad(line, "%s has %d entries, at most %d are possible", path, len(n.Content)/2, maxEntries)
		return false
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, item := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.bad(key.Line, "a name in %s is %s", path, kindName(key))
			continue
		}
		if before, twice := seen[key.Value]; twice {
			d.bad(key.Line, "%q is in line %d already", key.Value, before)
			continue
		}
		seen[key.Value] = key.Line
		// The line of a field is that of its name: a list begins in the next one.
		at := *item
		at.Line = key.Line
		f(key.Value, &at)
	}
	return true
}

// scalar decodes text, a number or a truth value.
func (d *decoder) scalar(n *yaml.Node, line int, v reflect.Value, path string, tag reflect.StructTag) {
	wanted := map[reflect.Kind]string{reflect.String: "text", reflect.Bool: "true or false", reflect.Int: "a whole number", reflect.Float64: "a number"}[v.Kind()]
	wrong := func() {
		if n.Kind != yaml.ScalarNode {
			d.bad(line, "%s has to be %s, not %s", path, wanted, kindName(n))
			return
		}
		d.bad(line, "%s: %q is not %s", path, n.Value, wanted)
	}
	kind := n.ShortTag()
	plain := slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}, kind)
	if n.Kind != yaml.ScalarNode || !plain {
		wrong()
		return
	}
	switch v.Kind() {
	case reflect.String: // as it is written, so that 1.30 stays 1.30
		v.SetString(n.Value)
		if n.Value == "" && tag.Get("filled") != "" {
			d.badAt(path, errors.New("it is empty"))
			return
		}
		if enum := tag.Get("enum"); enum != "" {
			d.among(n.Value, strings.Split(enum, ","), path)
		}
	case reflect.Bool:
		if kind != "!!bool" {
			wrong()
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int:
		i, err := strconv.Atoi(n.Value)
		if err != nil || kind != "!!int" {
			wrong()
			return
		}
		v.SetInt(int64(i))
		d.within(float64(i), n.Value, path, tag)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || kind != "!!int" && kind != "!!float" {
			wrong()
			return
		}
		v.SetFloat(f)
		d.within(f, n.Value, path, tag)
	}
}

// among checks a value against the only possible ones.
func (d *decoder) among(value string, possible []string, path string) {
	if slices.Contains(possible, value) {
		return
	}
	text := fmt.Sprintf("%q is not one of %s", value, strings.Join(possible, ", "))
	if len(possible) == 1 {
		text = fmt.Sprintf("%q is not %s", value, possible[0])
	}
	if near := nearmiss.Nearest(value, possible); near != "" && len(possible) > 1 {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	d.badAt(path, errors.New(text))
}

// within checks a number against the limits of its field.
func (d *decoder) within(f float64, text, path string, tag reflect.StructTag) {
	least, err := strconv.ParseFloat(tag.Get("min"), 64)
	most, err2 := strconv.ParseFloat(tag.Get("max"), 64)
	if err == nil && err2 == nil && !(f >= least && f <= most) {
		d.badAt(path, fmt.Errorf("%s is not possible: from %s to %s", text, tag.Get("min"), tag.Get("max")))
	}
}

// fieldName is the name of a struct's field in files.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// kindName names what a node is, for messages.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	return "a single value" // which may be a password
}
