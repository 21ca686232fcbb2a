package pki

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

func testSpec(nodes int) *cluster.Spec {
	s := &cluster.Spec{Version: 1, Name: "dev", ID: "x", KubernetesVersion: "1.37", APIPort: 6443, Subnet: netip.MustParsePrefix("10.201.4.0/22")}
	for i := range nodes {
		s.Nodes = append(s.Nodes, cluster.Node{Index: i + 1})
	}
	s.Replan()
	return s
}

func mustEnsure(t *testing.T, dir string, spec *cluster.Spec, now time.Time) {
	t.Helper()
	if err := ensure(dir, spec, now); err != nil {
		t.Fatal(err)
	}
}

func mustCert(t *testing.T, parts ...string) *x509.Certificate {
	t.Helper()
	c, err := readCert(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// files returns the content of every file below dir by relative path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if info, _ := d.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// changed lists what differs between two states of a folder, certificates only.
func changed(before, after map[string]string) []string {
	var names []string
	for name := range maps.Keys(after) {
		if strings.HasSuffix(name, ".crt") && before[name] != after[name] {
			names = append(names, strings.TrimSuffix(name, ".crt"))
		}
	}
	slices.Sort(names)
	return names
}

func TestEnsureTwiceChangesNothing(t *testing.T) {
	dir, spec, now := t.TempDir(), testSpec(2), time.Now()
	mustEnsure(t, dir, spec, now)
	before := files(t, dir)
	if want := 2*2 + 1 + 7*2 + 2*4*2; len(before) != want {
		t.Errorf("%d files, want %d", len(before), want)
	}
	began := time.Now()
	mustEnsure(t, dir, spec, now.Add(300*24*time.Hour))
	t.Logf("second Ensure took %s", time.Since(began))
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Errorf("changed: %v", changed(before, after))
	}
}

func TestRenewal(t *testing.T) {
	all := []string{
		"admin", "apiserver", "apiserver-kubelet-client", "controller-manager", "daemon", "front-proxy-client",
		"nodes/dev-1/agent", "nodes/dev-1/kube-proxy", "nodes/dev-1/kubelet", "nodes/dev-1/kubelet-client", "scheduler",
	}
	without := func(list []string, names ...string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(n string) bool { return slices.Contains(names, n) })
	}
	day := 24 * time.Hour
	for _, c := range []struct {
		what   string
		later  time.Duration
		change func(t *testing.T, dir string, spec *cluster.Spec)
		want   []string
	}{
		{"a month before expiry", 336 * day, nil, all},
		{"an authority about to end", 9 * 365 * day, nil, append([]string{"ca", "front-proxy-ca"}, all...)},
		{"a clock before the certificates", -2 * day, nil, append([]string{"ca", "front-proxy-ca"}, all...)},
		{"another gateway and node address", 0, func(_ *testing.T, _ string, s *cluster.Spec) {
			s.Subnet = netip.MustParsePrefix("10.201.8.0/22")
			s.Replan()
		}, []string{"apiserver", "nodes/dev-1/agent", "nodes/dev-1/kubelet"}},
		{"a lost key", 0, func(t *testing.T, dir string, _ *cluster.Spec) {
			if err := os.Remove(filepath.Join(dir, "admin.key")); err != nil {
				t.Fatal(err)
			}
		}, []string{"admin"}},
		{"a torn certificate", 0, func(t *testing.T, dir string, _ *cluster.Spec) {
			if err := os.WriteFile(filepath.Join(dir, "nodes/dev-1/kubelet.crt"), []byte("-----BEGIN"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"nodes/dev-1/kubelet"}},
		{"a key that others could read", 0, func(t *testing.T, dir string, _ *cluster.Spec) {
			if err := os.Chmod(filepath.Join(dir, "scheduler.key"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"scheduler"}},
		{"a lost authority", 0, func(t *testing.T, dir string, _ *cluster.Spec) {
			if err := os.Remove(filepath.Join(dir, "ca.crt")); err != nil {
				t.Fatal(err)
			}
		}, append([]string{"ca"}, without(all, "front-proxy-client")...)},
		{"a key of another certificate", 0, func(t *testing.T, dir string, _ *cluster.Spec) {
			data, err := os.ReadFile(filepath.Join(dir, "admin.key"))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "daemon.key"), data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, []string{"daemon"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir, spec, now := t.TempDir(), testSpec(1), time.Now()
			mustEnsure(t, dir, spec, now)
			before := files(t, dir)
			if c.change != nil {
				c.change(t, dir, spec)
			}
			mustEnsure(t, dir, spec, now.Add(c.later))
			after := files(t, dir)
			want := slices.Sorted(slices.Values(c.want))
			if got := changed(before, after); !slices.Equal(got, want) {
				t.Errorf("recreated %v\nwant      %v", got, want)
			}
			if before["sa.key"] != after["sa.key"] {
				t.Error("the key of service account tokens changed")
			}
			again := now.Add(c.later)
			mustEnsure(t, dir, spec, again)
			if got := changed(after, files(t, dir)); len(got) > 0 {
				t.Errorf("and once more: %v", got)
			}
		})
	}
}

func TestNodesComeAndGo(t *testing.T) {
	dir, spec := t.TempDir(), testSpec(2)
	mustEnsure(t, dir, spec, time.Now())
	before := files(t, dir)
	spec.Nodes = append(spec.Nodes[1:], spec.PlanNode(3))
	mustEnsure(t, dir, spec, time.Now())
	after := files(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "nodes/dev-1")); err == nil {
		t.Error("the keys of a removed node are still there")
	}
	if got := changed(before, after); len(got) != 4 || got[0] != "nodes/dev-3/agent" {
		t.Errorf("recreated: %v", got)
	}
	got, err := NodeFiles(dir, cluster.Node{Name: "dev-3"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"agent.crt", "agent.key", "ca.crt", "kube-proxy.crt", "kube-proxy.key", "kubelet-client.crt", "kubelet-client.key", "kubelet.crt", "kubelet.key",
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if _, err := NodeFiles(dir, cluster.Node{Name: "dev-1"}); err == nil {
		t.Error("files of a node that is gone")
	}
}

func TestIdentities(t *testing.T) {
	dir := t.TempDir()
	mustEnsure(t, dir, testSpec(1), time.Now())
	for name, want := range map[string]string{
		"admin":                      "CN=kubernetes-admin,O=system:masters",
		"apiserver-kubelet-client":   "CN=kube-apiserver-kubelet-client,O=bonsai:kubelet-clients",
		"controller-manager":         "CN=system:kube-controller-manager",
		"scheduler":                  "CN=system:kube-scheduler",
		"daemon":                     "CN=bonsai:daemon,O=bonsai:daemons",
		"nodes/dev-1/kubelet-client": "CN=system:node:dev-1,O=system:nodes",
		"nodes/dev-1/kube-proxy":     "CN=system:kube-proxy",
		"nodes/dev-1/agent":          "CN=bonsai:agent:dev-1,O=bonsai:agents",
	} {
		c := mustCert(t, dir, name+".crt")
		if got := c.Subject.String(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if c.SignatureAlgorithm != x509.ECDSAWithSHA256 || c.IsCA || len(c.AuthorityKeyId) == 0 {
			t.Errorf("%s: %s, CA %v, authority key id %x", name, c.SignatureAlgorithm, c.IsCA, c.AuthorityKeyId)
		}
	}
	ca := mustCert(t, dir, "ca.crt")
	if !ca.IsCA || len(ca.SubjectKeyId) == 0 || ca.KeyUsage&x509.KeyUsageCertSign == 0 || time.Until(ca.NotAfter) < 9*365*24*time.Hour {
		t.Errorf("authority: CA %v, key id %x, usage %b, until %s", ca.IsCA, ca.SubjectKeyId, ca.KeyUsage, ca.NotAfter)
	}
}

func TestNamesOfTheAPIServer(t *testing.T) {
	dir := t.TempDir()
	mustEnsure(t, dir, testSpec(1), time.Now())
	c := mustCert(t, dir, "apiserver.crt")
	for _, name := range []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
		"host.bonsai.internal", "127.0.0.1", "::1", "10.96.0.1", "10.201.4.1",
	} {
		if err := c.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if c.VerifyHostname("10.201.4.2") == nil {
		t.Error("a foreign address is accepted")
	}
	// Without nodes there is no gateway yet.
	apiOnly := &cluster.Spec{Version: 1, Name: "api", ID: "x", KubernetesVersion: "1.37", APIPort: 6443}
	mustEnsure(t, t.TempDir(), apiOnly, time.Now())
}

// TestMutualTLS does the handshake that daemon and agent do, and the ones that must fail.
func TestMutualTLS(t *testing.T) {
	dir, spec := t.TempDir(), testSpec(1)
	mustEnsure(t, dir, spec, time.Now())
	pool := func(name string) *x509.CertPool {
		p := x509.NewCertPool()
		p.AddCert(mustCert(t, dir, name))
		return p
	}
	pair := func(name string) []tls.Certificate {
		c, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{c}
	}
	for _, c := range []struct {
		client, server, name string
		ok                   bool
	}{
		{"daemon", "nodes/dev-1/agent", "10.201.4.10", true},
		{"daemon", "nodes/dev-1/agent", "10.201.4.11", false},          // another node's address
		{"front-proxy-client", "nodes/dev-1/agent", "dev-1", false},    // another authority
		{"nodes/dev-1/kubelet", "nodes/dev-1/agent", "dev-1", false},   // a server's certificate as a client
		{"daemon", "nodes/dev-1/kubelet-client", "10.201.4.10", false}, // a client's certificate as a server
		{"nodes/dev-1/kubelet-client", "apiserver", "10.201.4.1", true},
		{"apiserver-kubelet-client", "nodes/dev-1/kubelet", "10.201.4.10", true},
	} {
		a, b := net.Pipe()
		server := tls.Server(a, &tls.Config{Certificates: pair(c.server), ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool("ca.crt")})
		client := tls.Client(b, &tls.Config{Certificates: pair(c.client), RootCAs: pool("ca.crt"), ServerName: c.name})
		serverErr := make(chan error, 1)
		go func() {
			err := server.HandshakeContext(t.Context())
			_ = a.Close()
			serverErr <- err
		}()
		err := client.HandshakeContext(t.Context())
		_ = b.Close()
		if both := <-serverErr; err == nil {
			err = both
		}
		if (err == nil) != c.ok {
			t.Errorf("%s to %s as %s: %v", c.client, c.server, c.name, err)
		}
	}
}

func TestUnwritableFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(filepath.Join(path, "pki"), *testSpec(1)); err == nil {
		t.Error("no error")
	}
}

func TestRenewKeepsWhatIdentifiesTheCluster(t *testing.T) {
	dir, spec, now := t.TempDir(), testSpec(1), time.Now()
	mustEnsure(t, dir, spec, now)
	before := files(t, dir)
	for _, days := range []int{0, 334} {
		if renewed, err := Renew(dir, *spec, now.Add(time.Duration(days)*24*time.Hour)); err != nil || len(renewed) != 0 {
			t.Errorf("after %d days: renewed %v, %v", days, renewed, err)
		}
	}
	renewed, err := Renew(dir, *spec, now.Add(336*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, l := range clusterLeafs(spec) {
		want = append(want, l.name)
	}
	if slices.Sort(want); !slices.Equal(changed(before, files(t, dir)), want) || len(renewed) != len(want) {
		t.Errorf("renewed %v\nchanged %v\nwant    %v", renewed, changed(before, files(t, dir)), want)
	}
	// An authority that cannot sign for a year any more is replaced by a start, and not under a running cluster.
	before = files(t, dir)
	if renewed, err := Renew(dir, *spec, now.Add(caLife-leafLife)); err == nil || len(renewed) != 0 || len(changed(before, files(t, dir))) != 0 {
		t.Errorf("with an old authority: renewed %v, %v", renewed, err)
	}
}
