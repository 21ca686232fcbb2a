package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/test/browser"
	"bonsai/test/e2e/harness"
)

// browse has a browser show a page, and returns what it shows in the end.
func browse(t *testing.T, url string, args ...string) string {
	t.Helper()
	return browseFrom(t, "", url, args...)
}

// browseFrom is browse for a user with another folder, empty for that of this process.
func browseFrom(t *testing.T, home, url string, args ...string) string {
	t.Helper()
	program := browser.Find(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args = append([]string{
		"--headless=new", "--disable-gpu", "--no-first-run", "--disable-extensions", "--user-data-dir=" + t.TempDir(),
		"--virtual-time-budget=20000", "--dump-dom",
	}, args...)
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium refuses to run as root otherwise
	}
	cmd := exec.CommandContext(ctx, program, append(args, url)...)
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS=disabled:")
	if home != "" {
		cmd.Env = append(cmd.Env, "HOME="+home)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", program, url, err)
	}
	return string(out)
}

// A browser reaches Services by name, without anything that was set up; pages of other sites do not reach them through it.
func TestBrowser(t *testing.T) {
	t.Parallel()
	if out := browse(t, "data:text/html,here"); !strings.Contains(out, "here") {
		t.Fatalf("the browser shows %q", out)
	}
	c := harness.New(t)
	c.Start(t, "--nodes", "1")
	c.LoadImages(t)
	n := c.NewNamespace(t)
	p := n.Pod("lonely", harness.Testpod, "serve")
	p.Labels["role"] = "server"
	n.Create(t, p)
	n.Service(t, serverService("servers", corev1.ServiceTypeClusterIP))
	n.WaitReady(t, "lonely")
	snapshot, _ := c.Status(t)
	if snapshot.Names == nil || !snapshot.Names.Open {
		t.Fatalf("the names are %+v", snapshot.Names)
	}
	port := snapshot.Names.Port
	base := fmt.Sprintf("http://servers.%s.localhost:%d", n.Namespace, port)
	if got := browse(t, base+"/"); !strings.Contains(got, "lonely") {
		t.Errorf("%s shows %s", base, got)
	}
	if got := browse(t, fmt.Sprintf("http://server.%s.localhost:%d/", n.Namespace, port)); !strings.Contains(got, "has no Service server") || !strings.Contains(got, `href="http://servers.`) {
		t.Errorf("a name that does not exist shows %s", got)
	}
	// A name of the Internet that leads here.
	rebound := fmt.Sprintf("http://evil.test:%d/", port)
	if got := browse(t, rebound, "--host-resolver-rules=MAP evil.test 127.0.0.1"); !strings.Contains(got, "is not the name of a Service") {
		t.Errorf("%s shows %s", rebound, got)
	}
	// What a page of another site sends reaches the app only when the user lets it.
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<body>asking<img src=%q><script>
fetch(%q, {method: "POST", mode: "no-cors"}).finally(() => document.body.append(" finished"))
</script></body>`, base+"/log?line=by-an-image", base+"/log?line=by-a-script")
	}))
	defer page.Close()
	visit := func() {
		t.Helper()
		if got := browse(t, page.URL); !strings.Contains(got, "finished") {
			t.Errorf("the page of another site shows %s", got)
		}
	}
	logged := func(line string) (log string) { // waits: the runtime writes a log after the app
		t.Helper()
		harness.Until(t, time.Minute, line+" is in the app's log", func() error {
			if log = c.Kubectl(t, "logs", "lonely", "-n", n.Namespace); !strings.Contains(log, line) {
				return fmt.Errorf("it is %q", log)
			}
			return nil
		})
		return log
	}
	visit()
	if got := browse(t, base+"/log?line=by-the-user"); strings.Contains(got, "bonsai") {
		t.Errorf("the user gets %s", got)
	}
	if log := logged("by-the-user"); strings.Contains(log, "by-a") {
		t.Errorf("a page of another site reaches the app: %s", log)
	}
	c.Must(t, "addons", "configure", "localhost-names", "origins="+page.URL)
	visit()
	logged("by-a-script")
	logged("by-an-image")
}
