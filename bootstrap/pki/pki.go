// Package pki creates a cluster's certificates and keeps them valid: one authority for everything that talks to the API
// server and to nodes, one for the API server's front proxy, and the key that signs service account tokens.
//
// Ensure can be repeated at any time: everything that is missing, damaged, about to expire or issued for other names is
// created again; everything else stays unchanged, byte for byte. All keys are ECDSA P-256. Begin reading at Ensure.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/statedir"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 365 * 24 * time.Hour
	// RenewBefore is how long a certificate must still be valid to be kept; otherwise a start renews it.
	RenewBefore = 30 * 24 * time.Hour
	// backdate tolerates a clock that is slightly slow, like that of a VM after its host slept.
	backdate = time.Hour
)

// Identities that our own roles are bound to; upstream's names are literals below.
const (
	// KubeletClientUser is the API server's identity towards kubelets, KubeletClientsGroup the group that has its
	// rights.
	KubeletClientUser   = "kube-apiserver-kubelet-client"
	KubeletClientsGroup = "bonsai:kubelet-clients"
	// DaemonUser is the cluster's daemon towards agents; agents serve only the daemon.
	DaemonUser   = "bonsai:daemon"
	DaemonsGroup = "bonsai:daemons"
	// AgentUserPrefix plus the node's name is an agent towards the API server.
	AgentUserPrefix = "bonsai:agent:"
	AgentsGroup     = "bonsai:agents"
	// HostName is the name of the machine that runs the control plane, for pods and nodes.
	HostName = "host.bonsai.internal"
)

// Ensure makes sure that all certificates of spec exist in dir, those of its nodes in dir/nodes/NODE. A new authority
// renews everything that it signs. Files of nodes that are no longer in spec are removed.
func Ensure(dir string, spec cluster.Spec) error { return ensure(dir, &spec, time.Now()) }

func ensure(dir string, spec *cluster.Spec, now time.Time) error {
	if err := statedir.MkdirPrivate(dir); err != nil {
		return err
	}
	ca, err := ensureCA(dir, "ca", authorityName(*spec, false), now)
	if err != nil {
		return err
	}
	front, err := ensureCA(dir, "front-proxy-ca", authorityName(*spec, true), now)
	if err != nil {
		return err
	}
	if err := ensureKey(filepath.Join(dir, "sa.key")); err != nil {
		return err
	}
	for _, l := range clusterLeafs(spec) {
		signer := ca
		if l.frontProxy {
			signer = front
		}
		if err := signer.ensureLeaf(dir, l, now); err != nil {
			return err
		}
	}
	for _, n := range spec.Nodes {
		nodeDir := filepath.Join(dir, "nodes", n.Name)
		if err := statedir.MkdirPrivate(nodeDir); err != nil {
			return err
		}
		for _, l := range nodeLeafs(n) {
			if err := ca.ensureLeaf(nodeDir, l, now); err != nil {
				return err
			}
		}
	}
	return removeOthers(filepath.Join(dir, "nodes"), spec)
}

// Renew renews the certificates of the control plane that are about to expire, for one that goes on with them, and returns
// their names. What identifies the cluster does not change: it is an error if an authority is missing or itself too old,
// and nothing is renewed then. Those of nodes are renewed by Ensure only, when a start can give them to the nodes.
func Renew(dir string, spec cluster.Spec, now time.Time) (renewed []string, err error) {
	authorities := map[bool]*authority{}
	for front, name := range map[bool]string{false: "ca", true: "front-proxy-ca"} {
		if authorities[front] = readCA(dir, name, authorityName(spec, front), now); authorities[front] == nil {
			return nil, fmt.Errorf("%s.crt in %s is not an authority that can renew certificates", name, dir)
		}
	}
	for _, l := range clusterLeafs(&spec) {
		file := filepath.Join(dir, l.name+".crt")
		before, _ := os.ReadFile(file)
		if err := authorities[l.frontProxy].ensureLeaf(dir, l, now); err != nil {
			return renewed, err
		}
		if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
			renewed = append(renewed, l.name)
		}
	}
	return renewed, nil
}

// authorityName is the common name of an authority of the cluster.
func authorityName(spec cluster.Spec, frontProxy bool) string {
	if frontProxy {
		return "bonsai " + spec.Name + " front proxy"
	}
	return "bonsai " + spec.Name
}

// Expiry returns until when the certificates in dir are valid, by file name.
func Expiry(dir string) (map[string]time.Time, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.crt"))
	if err != nil {
		return nil, err
	}
	until := map[string]time.Time{}
	for _, file := range files {
		cert, err := readCert(file)
		if err != nil {
			return nil, err
		}
		until[filepath.Base(file)] = cert.NotAfter
	}
	return until, nil
}

// NodeFiles returns what a node's container needs in cluster.NodePKIDir, by file name. Call Ensure first.
func NodeFiles(dir string, n cluster.Node) (map[string][]byte, error) {
	files := map[string]string{"ca.crt": filepath.Join(dir, "ca.crt")}
	for _, l := range nodeLeafs(n) {
		for _, ext := range []string{".crt", ".key"} {
			files[l.name+ext] = filepath.Join(dir, "nodes", n.Name, l.name+ext)
		}
	}
	out := make(map[string][]byte, len(files))
	for name, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read certificates of node %s: %w", n.Name, err)
		}
		out[name] = data
	}
	return out, nil
}

// leaf is a required certificate; its files are NAME.crt and NAME.key.
type leaf struct {
	name       string
	user       string
	groups     []string
	server     bool
	client     bool
	dns        []string
	ips        []netip.Addr
	frontProxy bool // signed by the front proxy's authority
}

func clusterLeafs(spec *cluster.Spec) []leaf {
	ips := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback(), spec.APIServiceIP()}
	if spec.Gateway.IsValid() {
		ips = append(ips, spec.Gateway)
	}
	return []leaf{
		{name: "apiserver", user: "kube-apiserver", server: true, ips: ips, dns: []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + cluster.ClusterDomain,
			"localhost", HostName,
		}},
		// Not system:masters: the API server's rights on kubelets come from a role binding that can be inspected.
		{name: "apiserver-kubelet-client", user: KubeletClientUser, groups: []string{KubeletClientsGroup}, client: true},
		{name: "admin", user: "kubernetes-admin", groups: []string{"system:masters"}, client: true},
		{name: "controller-manager", user: "system:kube-controller-manager", client: true},
		{name: "scheduler", user: "system:kube-scheduler", client: true},
		{name: "daemon", user: DaemonUser, groups: []string{DaemonsGroup}, client: true},
		{name: "front-proxy-client", user: "front-proxy-client", client: true, frontProxy: true},
	}
}

func nodeLeafs(n cluster.Node) []leaf {
	var ips []netip.Addr
	if n.IP.IsValid() {
		ips = []netip.Addr{n.IP}
	}
	return []leaf{
		{name: "kubelet", user: "system:node:" + n.Name, groups: []string{"system:nodes"}, server: true, dns: []string{n.Name}, ips: ips},
		{name: "kubelet-client", user: "system:node:" + n.Name, groups: []string{"system:nodes"}, client: true},
		{name: "kube-proxy", user: "system:kube-proxy", client: true},
		{name: "agent", user: AgentUserPrefix + n.Name, groups: []string{AgentsGroup}, server: true, client: true, dns: []string{n.Name}, ips: ips},
	}
}

// removeOthers removes the keys of nodes that left the cluster: they would still be valid for it.
func removeOthers(nodesDir string, spec *cluster.Spec) error {
	entries, err := os.ReadDir(nodesDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("list node certificates: %w", err)
	}
	for _, e := range entries {
		if _, ok := spec.NodeByName(e.Name()); ok {
			continue
		}
		if err := os.RemoveAll(filepath.Join(nodesDir, e.Name())); err != nil {
			return fmt.Errorf("remove certificates of node %s: %w", e.Name(), err)
		}
	}
	return nil
}

// ensureKey keeps or creates a signing key.
func ensureKey(path string) error {
	if _, err := readKey(path); err == nil {
		return nil
	}
	_, err := writeKey(path, statedir.WriteFile)
	return err
}

func writeKey(path string, write func(string, []byte) error) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create key %s: %w", filepath.Base(path), err)
	}
	// The EC form, not PKCS 8: every Kubernetes component reads it.
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key %s: %w", filepath.Base(path), err)
	}
	return key, write(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	block, err := readPEM(path, "EC PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	return x509.ParseECPrivateKey(block)
}

func readCert(path string) (*x509.Certificate, error) {
	block, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(block)
}

// readPEM also rejects a file that others can read: a key that was once readable is not kept.
func readPEM(path, kind string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(path, ".key") && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %s", path, info.Mode())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s contains no %s", path, kind)
	}
	return block.Bytes, nil
}
