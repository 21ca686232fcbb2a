package dns

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/addons"
	"bonsai/dnsaddon/corefile"
)

// TestValuesAreUnderstoodByTheServers: each value becomes the configuration that its description promises, without a problem.
func TestValuesAreUnderstoodByTheServers(t *testing.T) {
	for _, tc := range []struct {
		values    map[string]string
		upstreams []string
		cache     string
		hosts     int
	}{
		{nil, []string{"127.0.0.11:53"}, "30s", 0},
		{map[string]string{"upstreams": "10.0.0.53,10.0.0.54:5353"}, []string{"10.0.0.53:53", "10.0.0.54:5353"}, "30s", 0},
		{map[string]string{"upstreams": "fd00::53"}, []string{"[fd00::53]:53"}, "30s", 0},
		{map[string]string{"cacheSeconds": "10"}, []string{"127.0.0.11:53"}, "10s", 0},
		{map[string]string{"hosts": "registry.test=192.168.1.20,six.test=fd00::1"}, []string{"127.0.0.11:53"}, "30s", 2},
		{map[string]string{"upstreams": "", "hosts": ""}, []string{"127.0.0.11:53"}, "30s", 0},
	} {
		d := New(nil)
		spec := cluster.Spec{Name: "dev", AddonValues: map[string]map[string]string{Name: tc.values}}
		for name, text := range tc.values {
			s, known := d.Describe().Setting(name)
			if got, err := s.Canonical(text); !known || err != nil || got != text {
				t.Errorf("%s=%s: %q, %v", name, text, got, err)
			}
		}
		src := corefile.Sources{Corefile: map[string]string{"Corefile": cluster.Corefile(cluster.ClusterDomain)}}
		for _, object := range d.Objects(addons.Cluster{Spec: func() cluster.Spec { return spec }}) {
			if m, ok := object.(*corev1.ConfigMap); ok {
				src.Values = m.Data
			}
		}
		config, problems := corefile.Parse(src, corefile.Defaults{Upstreams: []string{"127.0.0.11:53"}})
		if len(problems) > 0 || len(config.Forward) != 1 || len(config.Blocks) != 1 {
			t.Fatalf("%v: %+v, problems %v", tc.values, config, problems)
		}
		f := config.Forward[0]
		if !reflect.DeepEqual(f.Upstreams, tc.upstreams) || f.Cache.Success.Max.String() != tc.cache || f.Cache.Denial.Max.String() != tc.cache {
			t.Errorf("%v: names are asked of %v and kept for %s", tc.values, f.Upstreams, f.Cache.Success.Max)
		}
		hosts := 0
		if h := config.Blocks[0].Hosts; h != nil {
			hosts = len(h.Entries)
			if !reflect.DeepEqual(h.Fallthrough, []string{"."}) {
				t.Errorf("%v: other names end at %v", tc.values, h.Fallthrough)
			}
		}
		if hosts != tc.hosts {
			t.Errorf("%v: %d names", tc.values, hosts)
		}
	}
}
