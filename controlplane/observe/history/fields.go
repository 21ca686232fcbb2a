package history

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
)

// ownMetadata are the fields of metadata that the API server keeps itself: they change with every write, or never.
var ownMetadata = []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"}

// lastApplied is the annotation in which kubectl apply keeps all that it has sent: what it says is in the fields already,
// and of a Secret it has the values.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// ofControllers are annotations that controllers keep as a status: nobody wants them to be as they were.
var ofControllers = []string{"deployment.kubernetes.io/revision", "endpoints.kubernetes.io/last-change-trigger-time"}

// differences returns the fields in which two versions of an object differ, in the order of their paths.
func differences(before, after object) []cluster.FieldChange {
	var list []cluster.FieldChange
	compare("", visible(before), visible(after), &list)
	if cmp.Or(after.text("kind"), before.text("kind")) == "Secret" {
		for i, f := range list {
			list[i] = withoutSecrets(f)
		}
	}
	return list
}

// visible is an object without what nobody has changed.
func visible(o object) any {
	if o == nil {
		return nil
	}
	o = maps.Clone(o)
	m := maps.Clone(o.metadata())
	for _, field := range ownMetadata {
		delete(m, field)
	}
	if annotations, ok := m["annotations"].(map[string]any); ok {
		annotations = maps.Clone(annotations)
		for _, name := range append([]string{lastApplied}, ofControllers...) {
			delete(annotations, name)
		}
		m["annotations"] = annotations
		if len(annotations) == 0 {
			delete(m, "annotations")
		}
	}
	o["metadata"] = m
	return map[string]any(o)
}

// compare appends the differences of two values.
func compare(path string, before, after any, list *[]cluster.FieldChange) {
	if reflect.DeepEqual(before, after) {
		return
	}
	if a, ok := before.(map[string]any); ok {
		if b, ok := after.(map[string]any); ok {
			compareMaps(a, b, func(key string) string { return join(path, key) }, list)
			return
		}
	}
	if a, ok := before.([]any); ok {
		if b, ok := after.([]any); ok {
			if key := keyOf(a, b); key != "" {
				compareMaps(byKey(a, key), byKey(b, key), func(key string) string { return path + "[" + key + "]" }, list)
				return
			}
		}
	}
	*list = append(*list, cluster.FieldChange{Path: path, Before: text(before), After: text(after)})
}

func compareMaps(before, after map[string]any, path func(key string) string, list *[]cluster.FieldChange) {
	keys := slices.Collect(maps.Keys(before))
	for key := range after {
		if _, both := before[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		compare(path(key), before[key], after[key], list)
	}
}

// join adds a field to a path. Names with dots, as labels have them, are put in brackets.
func join(path, field string) string {
	switch {
	case strings.ContainsAny(field, ".[]"):
		return path + "[" + field + "]"
	case path == "":
		return field
	}
	return path + "." + field
}

// listKeys are the fields by which the elements of lists are distinguished, the first that all of them have.
var listKeys = []string{"name", "type", "mountPath", "containerPort", "port", "key", "ip"}

// keyOf returns the field that is different in all elements of each list; empty if there is none.
func keyOf(lists ...[]any) string {
	for _, key := range listKeys {
		if !slices.ContainsFunc(lists, func(list []any) bool { return byKey(list, key) == nil }) {
			return key
		}
	}
	return ""
}

// byKey returns the elements of a list by a field; nil if that is not possible.
func byKey(list []any, key string) map[string]any {
	elements := map[string]any{}
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return nil
		}
		value, ok := m[key]
		if !ok {
			return nil
		}
		name := fmt.Sprint(value)
		if _, twice := elements[name]; twice {
			return nil
		}
		elements[name] = e
	}
	return elements
}

// text is a value as JSON; nil if there is none.
func text(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	data, err := json.Marshal(v)
	if err != nil { // it came from JSON, or from a type that can become JSON
		return nil
	}
	return data
}

// withoutSecrets replaces the values of a Secret by their sizes.
func withoutSecrets(f cluster.FieldChange) cluster.FieldChange {
	for _, field := range []string{"data", "stringData"} {
		if rest, ok := strings.CutPrefix(f.Path, field); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			f.Before, f.After = sizeOf(f.Before), sizeOf(f.After)
		}
	}
	return f
}

// sizeOf replaces texts in JSON by their sizes.
func sizeOf(value json.RawMessage) json.RawMessage {
	var v any
	if len(value) == 0 || json.Unmarshal(value, &v) != nil {
		return nil
	}
	return text(hidden(v))
}

func hidden(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = hidden(v[key])
		}
		return v
	case string:
		n := len(v)
		if data, err := base64.StdEncoding.DecodeString(v); err == nil {
			n = len(data)
		}
		return fmt.Sprintf("(hidden, %d bytes)", n)
	}
	return "(hidden)"
}

// onlyStatus reports whether nothing outside the status differs.
func onlyStatus(fields []cluster.FieldChange) bool {
	return !slices.ContainsFunc(fields, func(f cluster.FieldChange) bool { return !isStatus(f) })
}

func isStatus(f cluster.FieldChange) bool {
	rest, ok := strings.CutPrefix(f.Path, "status")
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
