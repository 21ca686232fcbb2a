package kube

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// values are all that travel.
var values = []any{
	RowQuery{}, RowBatch{}, PodDetail{}, EventLine{}, ServiceLine{}, LogQuery{}, LogLine{}, Exec{}, TerminalSize{},
	ForwardSpec{}, ForwardState{}, Action{},
}

// TestJSON writes every value with every field set and reads it again.
func TestJSON(t *testing.T) {
	for _, v := range values {
		want := reflect.New(reflect.TypeOf(v))
		fill(want.Elem(), 1)
		text, err := json.Marshal(want.Interface())
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(v))
		if err := json.Unmarshal(text, got.Interface()); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Errorf("%T comes back as %+v from %s, want %+v", v, got, text, want)
		}
	}
}

// TestJSONNames holds names to one form, and says what a unit is.
func TestJSONNames(t *testing.T) {
	camel := regexp.MustCompile(`^[a-z][a-zA-Z]*$`)
	seen := map[reflect.Type]bool{}
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			check(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[typ] || typ == reflect.TypeFor[time.Time]() {
			return
		}
		seen[typ] = true
		for f := range typ.Fields() {
			tag := f.Tag.Get("json")
			if tag == "-" {
				continue
			}
			name, _, _ := strings.Cut(tag, ",")
			if !camel.MatchString(name) {
				t.Errorf("%s.%s is %q in JSON, which is not a lower camel case name", typ, f.Name, name)
			}
			if f.Type == reflect.TypeFor[time.Duration]() && !strings.HasSuffix(name, "Nanos") {
				t.Errorf("%s.%s is %q in JSON, which does not name its unit", typ, f.Name, name)
			}
			check(f.Type)
		}
	}
	for _, v := range values {
		check(reflect.TypeOf(v))
	}
}

// fill gives v, and all that it consists of, values that differ from zero and from each other.
func fill(v reflect.Value, n int) int {
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Repeat("x", n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			n = fill(v.Index(i), n)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		n = fill(value, fill(key, n))
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(n), 0).UTC()))
			break
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				n = fill(v.Field(i), n)
			}
		}
	}
	return n + 1
}
