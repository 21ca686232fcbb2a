package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"bonsai/bootstrap/fault"
	"bonsai/test/e2e/harness"
)

// localPort is one that nobody has on this machine.
func localPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// Ports of this machine lead to nodes and Services, of a running cluster and after a stop; no container is recreated. And what
// people who come from elsewhere look for: service, ip, cp.
func TestPorts(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	first := localPort(t)
	c.Start(t, "--nodes", "2", "--port", fmt.Sprintf("%d:18080@2", first))
	c.LoadImages(t)
	n := c.NewNamespace(t)
	p := harness.On(c.Name+"-2", n.Pod("lonely", harness.Testpod, "serve"))
	p.Labels["role"] = "server"
	p.Spec.Containers[0].Ports = []corev1.ContainerPort{
		{ContainerPort: 8080, HostPort: 18080}, {ContainerPort: 8081, HostPort: 18081, Protocol: corev1.ProtocolUDP},
	}
	n.Create(t, p)
	service := n.Service(t, serverService("servers", corev1.ServiceTypeNodePort))
	containers := harness.Docker(t, "ps", "-q", "--no-trunc", "--filter", "label=io.bonsai.cluster="+c.Name)

	byNode, byService, datagrams := localPort(t), localPort(t), localPort(t)
	c.Must(t, "port", "add", fmt.Sprintf("%d:%d", byNode, service.Spec.Ports[0].NodePort), fmt.Sprintf("%d:%s/servers:80", byService, n.Namespace),
		fmt.Sprintf("%d:%d/udp", datagrams, service.Spec.Ports[2].NodePort))
	all := []string{fmt.Sprintf("udp://127.0.0.1:%d", datagrams)}
	for _, port := range []int{first, byNode, byService} {
		all = append(all, fmt.Sprintf("http://127.0.0.1:%d/", port))
	}
	answers := func() {
		t.Helper()
		for target, got := range harness.HostFetch(t, 3, all...) {
			if answerers(got)["lonely"] != 3 {
				t.Errorf("%s answers %q", target, got)
			}
		}
	}
	answers()
	if now := harness.Docker(t, "ps", "-q", "--no-trunc", "--filter", "label=io.bonsai.cluster="+c.Name); now != containers {
		t.Errorf("containers were %q and are %q", containers, now)
	}
	url := strings.TrimSpace(c.Must(t, "service", "servers", "-n", n.Namespace, "--url"))
	url, _, _ = strings.Cut(url, "\n")
	if got := harness.HostFetch(t, 1, url+"/")[url+"/"]; answerers(got)["lonely"] != 1 {
		t.Errorf("%s answers %q", url, got)
	}

	file, back := filepath.Join(t.TempDir(), "some.bin"), filepath.Join(t.TempDir(), "back.bin")
	want := bytes.Repeat([]byte("some bytes"), 100000)
	if err := os.WriteFile(file, want, 0o640); err != nil {
		t.Fatal(err)
	}
	c.Must(t, "cp", file, "1:/var/tmp/")
	c.Must(t, "cp", "1:/var/tmp/some.bin", "2:/var/tmp/other.bin")
	c.Must(t, "cp", "2:/var/tmp/other.bin", back)
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was copied has %d bytes, %v", len(got), err)
	}
	if r := c.Bonsai(t, "cp", "1:/var/nothing", back+"/"); r.Code != fault.ExitCode(fault.Newf(fault.Usage, "")) {
		t.Error(r)
	}

	c.Must(t, "stop")
	if r := c.Bonsai(t, "port", "remove", fmt.Sprint(byNode)); r.Code != 0 {
		t.Error(r)
	}
	all = append(all[:2], all[3:]...)
	c.Start(t)
	n.WaitReady(t, "lonely")
	answers()
	if conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", byNode)); err == nil {
		_ = conn.Close()
		t.Error("a port that was removed is open")
	}
}
