package bootstrap_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap"
	"bonsai/bootstrap/bundle"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/plan"
)

// bundled returns the files of a bundle without their first folder.
func bundled(t *testing.T, m *machine, wish bootstrap.BundleWish) (map[string]string, bundle.Manifest) {
	t.Helper()
	var b bytes.Buffer
	manifest, err := m.Bundle(t.Context(), "dev", wish, &b)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zip); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, manifest
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		files[name] = string(text)
	}
}

func redactCopy(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, bytes.ReplaceAll(text, []byte("password"), []byte("removed")), 0o600)
}

func TestBundle(t *testing.T) {
	m := fit(t)
	m.with(func(e *bootstrap.Env) { e.Redact = redactCopy })
	if err := m.start(t, plan.Wish{Nodes: new(1), Proxy: &cluster.Proxy{HTTPS: "http://me:pa55@proxy.test:3128"}}); err != nil {
		t.Fatal(err)
	}
	m.setObjects(t, "pod password")
	state := m.dir.Cluster("dev")
	for name, text := range map[string]string{"etcd.log": "of etcd", "audit.log": "a Secret in a request"} {
		if err := os.WriteFile(state.LogFile(strings.TrimSuffix(name, ".log")), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.engine.Commands = func(_ string, e node.Exec) (int, error) {
		switch {
		case e.Cmd[0] == "ls":
			_, err := io.WriteString(e.Stdout, "kubelet.log\n../../etc/shadow\n")
			return 0, err
		case e.Cmd[0] == "tail":
			_, err := io.WriteString(e.Stdout, "the end of "+filepath.Base(e.Cmd[3]))
			return 0, err
		case e.Cmd[0] == "crictl":
			_, err := io.WriteString(e.Stderr, "containerd does not answer")
			return 1, err
		}
		return 0, nil
	}
	files, manifest := bundled(t, m, bootstrap.BundleWish{})
	for name, want := range map[string]string{
		"cluster.yaml": "kind: Cluster", "doctor.json": `"id": "kernel"`, "status.json": `"name": "dev"`, "versions.json": "kubernetes", "starts.json": "daemon",
		"checkpoints.json": "[]", "logs/etcd.log": "of etcd", "nodes/dev-1/kubelet.log": "the end of kubelet.log", "objects.db": "pod removed", "bundle.json": `"cluster": "dev"`,
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %q: %q", name, want, files[name])
		}
	}
	missing := strings.Join(manifest.Missing, "\n")
	for _, want := range []string{"logs/audit.log: left out", "nodes/dev-1/crictl-ps.txt: containerd does not answer"} {
		if !strings.Contains(missing, want) {
			t.Errorf("%q is not in what is missing:\n%s", want, missing)
		}
	}
	for name, text := range files {
		for _, secret := range []string{"pa55", "password", "a Secret in", "shadow"} {
			if strings.Contains(text, secret) && name != "nodes/dev-1/logs.txt" {
				t.Errorf("%s has %q", name, secret)
			}
		}
	}
	if !manifest.Objects || manifest.Secrets {
		t.Errorf("the manifest is %+v", manifest)
	}
	if left, err := filepath.Glob(filepath.Join(state.Dir(), "bundle-*")); err != nil || len(left) > 0 {
		t.Errorf("left in the cluster's folder: %v, %v", left, err)
	}

	files, manifest = bundled(t, m, bootstrap.BundleWish{Secrets: true})
	if files["objects.db"] != "pod password" || !manifest.Secrets {
		t.Errorf("with secrets: %q, %+v", files["objects.db"], manifest)
	}
	if files, manifest = bundled(t, m, bootstrap.BundleWish{NoObjects: true}); files["objects.db"] != "" || manifest.Objects {
		t.Errorf("without objects: %q, %+v", files["objects.db"], manifest)
	}
}

// What is broken is where bundles are needed most.
func TestBundleOfABrokenCluster(t *testing.T) {
	m := fit(t)
	if _, err := m.Bundle(t.Context(), "dev", bootstrap.BundleWish{}, io.Discard); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of one that does not exist: %v", err)
	}
	m.with(func(e *bootstrap.Env) { e.Redact = redactCopy })
	if err := m.start(t, plan.Wish{Nodes: new(1)}); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	state := m.dir.Cluster("dev")
	db := filepath.Join(state.Etcd(), "member", "snap", "db")
	if err := os.MkdirAll(filepath.Dir(db), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(db, []byte("password of the end"), 0o600); err != nil {
		t.Fatal(err)
	}
	if files, _ := bundled(t, m, bootstrap.BundleWish{}); files["objects.db"] != "removed of the end" {
		t.Errorf("of one that was stopped: %q", files["objects.db"])
	}

	// Objects that cannot be made safe are left out.
	m.with(func(e *bootstrap.Env) { e.Redact = func(string, string) error { return errors.New("it is damaged") } })
	if err := os.WriteFile(state.SpecFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, manifest := bundled(t, m, bootstrap.BundleWish{})
	if _, has := files["objects.db"]; has || manifest.Objects {
		t.Errorf("it has objects: %+v", manifest)
	}
	for _, want := range []string{"objects.db: remove the values of Secrets: it is damaged", "cluster.yaml: "} {
		if !slices.ContainsFunc(manifest.Missing, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("%q is not in %q", want, manifest.Missing)
		}
	}
	if files["doctor.json"] == "" || files["logs/daemon.log"] == "" && files["starts.json"] == "" {
		t.Errorf("it has only %d files", len(files))
	}
}
