package bootstrap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/statedir"
)

// claimsFile records at each stop which claims have their data on which node, for a status of a cluster that does not run:
// the container engine may lose volumes meanwhile ("docker system prune").
const claimsFile = "claims.json"

// claimsLimit bounds the question for them. A stop does not depend on its answer.
const claimsLimit = 2 * time.Second

// claimsOn are claims as namespace/name, by the node that has their data.
type claimsOn map[string][]string

// recordClaims asks the running API server for the volumes on nodes. If it does not answer, the record of an earlier stop
// stays.
func (m *Manager) recordClaims(ctx context.Context, state statedir.Cluster, spec *cluster.Spec) error {
	if len(spec.Nodes) == 0 || !state.DaemonAlive() {
		return nil
	}
	ctx, cancel := m.limit(ctx, claimsLimit, "the list of volumes")
	defer cancel()
	data, err := m.getVolumes(ctx, state, spec)
	if err != nil {
		return err
	}
	claims, err := claimsOf(data)
	if err != nil {
		return err
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	return statedir.WriteFile(filepath.Join(state.Dir(), claimsFile), text)
}

// getVolumes lists the PersistentVolumes.
func (m *Manager) getVolumes(ctx context.Context, state statedir.Cluster, spec *cluster.Spec) ([]byte, error) {
	return m.get(ctx, state, spec, "/api/v1/persistentvolumes")
}

// get asks the API server as the cluster's administrator. Bootstrap links nothing of Kubernetes.
func (m *Manager) get(ctx context.Context, state statedir.Cluster, spec *cluster.Spec, path string) ([]byte, error) {
	entry, err := kubeconfigEntry(state, spec)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(entry.Cert, entry.Key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(entry.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, entry.Server+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", cluster.OwnAgentPrefix+"cli")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API server answers %s with %s", path, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 16<<20))
}

// claimsOf reads a list of PersistentVolumes as the addon storage-provisioner creates them: bound, on the disk of one node.
func claimsOf(list []byte) (claimsOn, error) {
	var volumes struct {
		Items []struct {
			Spec struct {
				Local    *struct{ Path string }
				ClaimRef *struct{ Namespace, Name string }
				Affinity struct {
					Required struct {
						Terms []struct {
							Expressions []struct {
								Key    string
								Values []string
							} `json:"matchExpressions"`
						} `json:"nodeSelectorTerms"`
					}
				} `json:"nodeAffinity"`
			}
		}
	}
	if err := json.Unmarshal(list, &volumes); err != nil {
		return nil, fmt.Errorf("read the list of volumes: %w", err)
	}
	claims := claimsOn{}
	for _, v := range volumes.Items {
		if v.Spec.Local == nil || v.Spec.ClaimRef == nil {
			continue
		}
		for _, term := range v.Spec.Affinity.Required.Terms {
			for _, e := range term.Expressions {
				if e.Key == "kubernetes.io/hostname" && len(e.Values) == 1 {
					claims[e.Values[0]] = append(claims[e.Values[0]], v.Spec.ClaimRef.Namespace+"/"+v.Spec.ClaimRef.Name)
				}
			}
		}
	}
	for _, names := range claims {
		slices.Sort(names)
	}
	return claims, nil
}

// loadClaims returns the record of the last stop, nil if there is none.
func loadClaims(state statedir.Cluster) (claims claimsOn) {
	data, err := os.ReadFile(filepath.Join(state.Dir(), claimsFile))
	if err != nil || json.Unmarshal(data, &claims) != nil {
		return nil
	}
	return claims
}

// lostNodes are planned nodes of which the engine has neither container nor volume, nil if it cannot be asked.
func lostNodes(ctx context.Context, driver node.Driver, spec *cluster.Spec, containers map[string]node.Container) map[string]bool {
	missing := func(n cluster.Node) bool { _, ok := containers[n.Name]; return !ok && !n.Pending }
	if !slices.ContainsFunc(spec.Nodes, missing) {
		return nil
	}
	holdings, err := driver.Holdings(ctx)
	if err != nil {
		return nil
	}
	var volumes []string
	for _, h := range holdings {
		if h.ID == spec.ID {
			volumes = h.Volumes
		}
	}
	lost := map[string]bool{}
	for _, n := range spec.Nodes {
		if missing(n) && !slices.Contains(volumes, node.VolumeName(spec, n)) {
			lost[n.Name] = true
		}
	}
	return lost
}

// whatIsLost describes what a node without its volume has lost.
func whatIsLost(claims []string) string {
	if len(claims) == 0 {
		return "the images in it, and the data of all claims that were on it, are lost"
	}
	return "the images in it, and the data of " + plural(len(claims), "claim", "claims") + " " + strings.Join(claims, ", ") + ", are lost"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// warnOfLoss says which nodes of an existing cluster are created again without their data.
func (o *operation) warnOfLoss(ctx context.Context) {
	if o.driver == nil || o.Current.Spec == nil {
		return
	}
	containers := map[string]node.Container{}
	for _, c := range o.containers {
		containers[c.Node] = c
	}
	lost := lostNodes(ctx, o.driver, o.Current.Spec, containers)
	claims := loadClaims(o.state)
	for _, n := range o.Current.Spec.Nodes {
		if lost[n.Name] {
			o.rec.warnOf(n.Name, errors.New("node "+n.Name+" is created again, because its container and its volume are gone: "+whatIsLost(claims[n.Name])))
		}
	}
}

// lostProblem is that of a node whose container is gone, and perhaps its volume.
func lostProblem(n, clusterName string, lost bool, claims []string) cluster.Problem {
	p := cluster.Problem{
		Kind: string(fault.Node), Severity: cluster.SeverityError, Object: "node/" + n,
		Summary: "the container of node " + n + " is gone",
		Advice:  []cluster.Advice{cluster.Advise("recreate it", cluster.Bonsai("start").Of(clusterName).Cure())},
	}
	if lost {
		p.Summary = "node " + n + " is gone, with its data"
		p.Cause = "its container and its volume were removed from the container engine, for example by docker system prune; " + whatIsLost(claims)
		p.Advice = []cluster.Advice{cluster.Advise("create it again, without its data", cluster.Bonsai("start").Of(clusterName).Cure())}
	}
	return p
}
