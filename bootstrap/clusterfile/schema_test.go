package clusterfile

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

// TestTheSchemaAgreesWithTheParser: an editor marks what would be refused, and nothing else.
func TestTheSchemaAgreesWithTheParser(t *testing.T) {
	text, err := Schema(addonList())
	if err != nil {
		t.Fatal(err)
	}
	schema := &spec.Schema{}
	if err := json.Unmarshal(text, schema); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		file string
		good bool
	}{
		{full(t), true},
		{head, true},
		{head + "nodes: 0\nports: []\nproxy: {}\n", true},
		{head + "nodes: [{memory: 2048, labels: {a: 1, b: true, c: x}}]\nkubernetesVersion: 1.37\n", true},
		{head + "proxy: environment\n", true},
		{head + "proxy: none\n", false},
		{head + "node: 3\n", false},
		{head + "nodes: many\n", false},
		{head + "nodes: -1\n", false},
		{head + "nodes: [{role: master}]\n", false},
		{head + "nodes: [{cpu: 2}]\n", false},
		{head + "nodes: [{cpus: 0.01}]\n", false},
		{head + "name: Shop\n", false},
		{head + "registries: {docker.io: {}}\n", false},
		{head + "registries: {docker.io: {mirrors: [{username: me}]}}\n", false},
		{head + "registries: {docker.io: {mirrors: ['']}}\n", false},
		{head + "dns: {search: some}\n", false},
		{head + "upstreamHooks: 1\n", false},
		{head + "addons: {dns: {values: {cacheSeconds: 3, upstreams: 10.0.0.53, hosts: [a.test=10.0.0.1]}}, socket: {}}\n", true},
		{head + "addons: {dns: {values: {}}, class: {enabled: false, values: {policy: Retain}}}\n", true},
		{head + "addons: {lamp: true}\n", false},
		{head + "addons: {dns: {value: {}}}\n", false},
		{head + "addons: {dns: {values: {cache: 3}}}\n", false},
		{head + "addons: {dns: {values: {cacheSeconds: 0}}}\n", false},
		{head + "addons: {dns: {values: {upstreams: [10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4]}}}\n", false},
		{head + "addons: {class: {values: {policy: Keep}}}\n", false},
		{head + "addons: {class: {values: {name: ''}}}\n", false},
		{"kind: Cluster\n", false},
		{"apiVersion: v1\nkind: Cluster\n", false},
	} {
		var value any
		if err := yaml.Unmarshal([]byte(tc.file), &value); err != nil {
			t.Fatal(err)
		}
		result := validate.NewSchemaValidator(schema, nil, "", strfmt.Default).Validate(value)
		_, err := Parse("c.yaml", []byte(tc.file), options())
		if result.IsValid() != tc.good || (err == nil) != tc.good {
			t.Errorf("%s\nthe schema says %v, the parser %v", tc.file, result.Errors, err)
		}
	}
}

func TestEveryFieldIsDescribed(t *testing.T) {
	manual, err := os.ReadFile("../../docs/cluster-file.md")
	if err != nil {
		t.Fatal(err)
	}
	example := full(t)
	for _, of := range []reflect.Type{
		reflect.TypeFor[document](), reflect.TypeFor[nodeGroup](), reflect.TypeFor[network](), reflect.TypeFor[dns](),
		reflect.TypeFor[registry](), reflect.TypeFor[mirror](), reflect.TypeFor[proxyFields](), reflect.TypeFor[addonFields](),
	} {
		for f := range of.Fields() {
			name := fieldName(f)
			if f.Tag.Get("doc") == "" || !strings.Contains(string(manual), "`"+name+"`") {
				t.Errorf("%s of %s has no description, or is not in docs/cluster-file.md", name, of.Name())
			}
			if !strings.Contains(example, name+":") && name != "ca" && name != "skipVerify" && name != "http" {
				t.Errorf("testdata/full.yaml has no %s", name)
			}
		}
	}
}
