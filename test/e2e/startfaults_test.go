package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/bootstrap/statedir"
	"bonsai/test/e2e/harness"
	tmuxterm "bonsai/test/e2e/terminal"
)

// startFault is something that makes a start fail, and what the start view has to show: the cause, and what to do.
type startFault struct {
	name string
	// plant injects it, for a new cluster unless it creates one, and returns additions to the environment.
	plant func(t *testing.T, c *harness.Cluster) []string
	// during runs while the cluster starts; nil for nothing.
	during func(ctx context.Context, t *testing.T, c *harness.Cluster)
	says   []string
}

// TestStartFaults injects ten faults and starts a cluster in the terminal UI: each time the start view shows the cause
// and what to do about it, without reading any log, and nothing of the failed start is left.
func TestStartFaults(t *testing.T) {
	t.Parallel()
	for _, f := range startFaults() {
		t.Run(f.name, func(t *testing.T) {
			c := harness.New(t)
			planted := f.plant(t, c)
			state := statedir.Dir{Root: c.Dir}.Cluster(c.Name)
			existed := state.Exists()
			env := terminalEnv(c, append(planted, "TERM=screen")...)
			term := tmuxterm.Start(t, 110, 40, env, fmt.Sprintf("%s ui -p %s; sleep 1000", harness.Binary(), c.Name))
			term.Wait(20*time.Second, c.Name, "start")
			if f.during != nil {
				ctx, cancel := context.WithTimeout(t.Context(), harness.Scale(time.Minute))
				done := make(chan struct{})
				go func() {
					defer close(done)
					f.during(ctx, t, c)
				}()
				defer func() {
					cancel()
					<-done
				}()
			}
			term.Keys("Enter")
			term.Wait(60*time.Second, append([]string{"failed after", "r again"}, f.says...)...)
			t.Logf("\n%s", term.Screen())
			if state.Exists() != existed {
				t.Errorf("the cluster's folder was there before: %t, and is now: %t", existed, !existed)
			}
			if left := c.Leftovers(t); len(left) > 0 {
				t.Errorf("the failed start left %v", left)
			}
			term.Keys("q")
		})
	}
}

func startFaults() []startFault {
	return []startFault{
		{
			name: "no engine",
			plant: func(*testing.T, *harness.Cluster) []string {
				return []string{"DOCKER_HOST=unix:///nowhere/docker.sock"}
			},
			says: []string{"/nowhere/docker.sock", "start Docker"},
		},
		{
			name:  "an engine that is too old",
			plant: func(t *testing.T, _ *harness.Cluster) []string { return []string{"DOCKER_HOST=unix://" + oldEngine(t)} },
			says:  []string{"1.30", "update Docker"},
		},
		{
			name: "a silent engine",
			plant: func(t *testing.T, _ *harness.Cluster) []string {
				return []string{"DOCKER_HOST=unix://" + silentEngine(t)}
			},
			says: []string{"waiting for an answer from Docker", "restart Docker"},
		},
		{
			name: "the port is taken",
			plant: func(t *testing.T, c *harness.Cluster) []string {
				port := stoppedCluster(t, c)
				l, err := net.Listen("tcp", "127.0.0.1:"+port)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = l.Close() })
				return nil
			},
			says: []string{"port", "--api-port"},
		},
		{
			name: "another command works on it",
			plant: func(t *testing.T, c *harness.Cluster) []string {
				stoppedCluster(t, c)
				lock, err := statedir.Dir{Root: c.Dir}.Cluster(c.Name).Lock(t.Context(), "node add")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = lock.Release() })
				return nil
			},
			says: []string{"node add", strconv.Itoa(os.Getpid())},
		},
		{
			name: "etcd's data is damaged",
			plant: func(t *testing.T, c *harness.Cluster) []string {
				stoppedCluster(t, c)
				db := filepath.Join(statedir.Dir{Root: c.Dir}.Cluster(c.Name).Etcd(), "member", "snap", "db")
				if err := os.WriteFile(db, []byte(strings.Repeat("damaged ", 4096)), 0o600); err != nil {
					t.Fatal(err)
				}
				return nil
			},
			says: []string{"etcd", "is damaged", "delete the cluster"},
		},
		{
			name: "the state folder is damaged",
			plant: func(t *testing.T, c *harness.Cluster) []string {
				stoppedCluster(t, c)
				dir := statedir.Dir{Root: c.Dir}.Cluster(c.Name).PKI()
				if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
					t.Fatal(err)
				}
				return nil
			},
			says: []string{"pki", "not a directory"},
		},
		{
			name: "the kubeconfig is not one",
			plant: func(t *testing.T, c *harness.Cluster) []string {
				if err := os.WriteFile(c.Kubeconfig, []byte("a: [broken"), 0o600); err != nil {
					t.Fatal(err)
				}
				return nil
			},
			says: []string{"not a kubeconfig", "move the file away"},
		},
		{
			name:  "the control plane is killed",
			plant: func(*testing.T, *harness.Cluster) []string { return nil },
			during: func(ctx context.Context, t *testing.T, c *harness.Cluster) {
				state := statedir.Dir{Root: c.Dir}.Cluster(c.Name)
				for ctx.Err() == nil {
					if d, ok := state.Daemon(); ok {
						_ = syscall.Kill(d.PID, syscall.SIGKILL)
						return
					}
				}
			},
			says: []string{"start the control plane", "killed", "dmesg"},
		},
		{
			name:  "a node is killed",
			plant: func(*testing.T, *harness.Cluster) []string { return nil },
			during: func(ctx context.Context, t *testing.T, c *harness.Cluster) {
				for ctx.Err() == nil {
					out, _ := exec.CommandContext(ctx, "docker", "ps", "-q", "--filter", "label="+harness.Label+"="+c.Name).Output()
					if id, _, _ := strings.Cut(string(out), "\n"); id != "" {
						_ = exec.CommandContext(ctx, "docker", "kill", id).Run()
						return
					}
				}
			},
			says: []string{"its container", "exited with code 137", "dmesg"},
		},
	}
}

// stoppedCluster creates a cluster without nodes, stops it, and returns its API server's port.
func stoppedCluster(t *testing.T, c *harness.Cluster) string {
	t.Helper()
	c.Must(t, "start", "--nodes", "0")
	spec, err := statedir.Dir{Root: c.Dir}.Cluster(c.Name).LoadSpec()
	if err != nil {
		t.Fatal(err)
	}
	c.Must(t, "stop")
	return strconv.Itoa(spec.APIPort)
}

// listen serves a socket that simulates an engine that cannot be run here.
func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

// silentEngine accepts connections and never answers.
func silentEngine(t *testing.T) string {
	_, path := listen(t) // the kernel accepts
	return path
}

// oldEngine answers as Docker 17.06 does.
func oldEngine(t *testing.T) string {
	l, path := listen(t)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.30")
		w.Header().Set("Ostype", "linux")
		if strings.HasSuffix(r.URL.Path, "/_ping") {
			_, _ = w.Write([]byte("OK"))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"message":"client version is too new. Maximum supported API version is 1.30"}`))
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return path
}
