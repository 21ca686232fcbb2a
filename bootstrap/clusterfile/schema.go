package clusterfile

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/cluster"
)

// Schema returns the JSON schema of files, in the draft that editors know best. It allows all that Parse allows, and
// refuses what can be refused without knowing more than the file and the addons that there are.
func Schema(addons []cluster.AddonDescription) ([]byte, error) {
	s := schemaOf(reflect.TypeFor[document](), "")
	fields := s["properties"].(map[string]any)
	named := addonsSchema(addons)
	named["description"] = fields["addons"].(map[string]any)["description"]
	fields["addons"] = named
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = "bonsai cluster file"
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the schema of cluster files: %w", err)
	}
	return append(data, '\n'), nil
}

// schemaOf describes what decodes into a type; tag is that of the field, and applies to the entries of a list.
func schemaOf(t reflect.Type, tag reflect.StructTag) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if u, ok := reflect.TypeAssert[union](reflect.New(t)); ok {
		var alternatives []any
		for _, kind := range []yaml.Kind{yaml.ScalarNode, yaml.SequenceNode, yaml.MappingNode} {
			if into := u.as(kind); into != nil {
				alternatives = append(alternatives, schemaOf(reflect.TypeOf(into), tag))
			}
		}
		return map[string]any{"oneOf": alternatives}
	}
	if t == reflect.TypeFor[inline]() {
		return map[string]any{"type": "object"}
	}
	switch t.Kind() {
	case reflect.Struct:
		return schemaOfStruct(t)
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), tag)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), tag)}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return limited(map[string]any{"type": "integer"}, tag)
	case reflect.Float64:
		return limited(map[string]any{"type": "number"}, tag)
	}
	text := map[string]any{"type": "string"}
	if more := tag.Get("of"); more != "" {
		text["type"] = append([]string{"string"}, strings.Split(more, ",")...)
	}
	if enum := tag.Get("enum"); enum != "" {
		text["enum"] = strings.Split(enum, ",")
	}
	if pattern := tag.Get("pattern"); pattern != "" {
		text["pattern"] = pattern
	}
	if tag.Get("filled") != "" {
		text["minLength"] = 1
	}
	return text
}

func schemaOfStruct(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for f := range t.Fields() {
		s := schemaOf(f.Type, f.Tag)
		s["description"] = f.Tag.Get("doc")
		properties[fieldName(f)] = s
		if f.Tag.Get("required") != "" {
			required = append(required, fieldName(f))
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// limited adds the limits of a number.
func limited(s map[string]any, tag reflect.StructTag) map[string]any {
	for of, name := range map[string]string{"min": "minimum", "max": "maximum"} {
		if f, err := strconv.ParseFloat(tag.Get(of), 64); err == nil {
			s[name] = f
		}
	}
	return s
}
