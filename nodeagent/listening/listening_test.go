package listening

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

const uid = "0a3f9c52-8f0e-4b5a-bb4e-5f1d6a7e0001"

const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func line(local, state string) string {
	return "   0: " + local + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000 100 0 0 10 0\n"
}

// node has the tables of process 7, in the form of a little-endian machine; process 6 has ended.
func node(t *testing.T, tables map[string]string) Reader {
	t.Helper()
	proc := t.TempDir()
	dir := filepath.Join(proc, "7", "net")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, lines := range tables {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(head+lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Reader{Proc: proc, Processes: func(string) ([]int, error) { return []int{6, 7}, nil }}
}

func TestPortsOfAPod(t *testing.T) {
	r := node(t, map[string]string{
		"tcp": line("0100007F:1F90", listens) + line("00000000:1F91", listens) + line("7F01F40A:1F92", listens) + line("0100007F:1F91", listens) +
			line("0100007F:9999", "01") + line("00000000:0001", listens),
		"tcp6": line("00000000000000000000000000000000:1F93", listens) + line("00000000000000000000000001000000:1F94", listens) +
			line("0000000000000000FFFF00000100007F:1F95", listens) + line("B80D0120000000000000000001000000:1F96", listens),
		"udp":  line("00000000:0035", closed) + line("00000000:0036", "01"),
		"udp6": "",
	})
	got, err := r.Pod(uid)
	want := []cluster.Listening{
		{Protocol: "TCP", Port: 8080, Inside: true}, {Protocol: "TCP", Port: 8081}, {Protocol: "TCP", Port: 8082}, {Protocol: "TCP", Port: 8083},
		{Protocol: "TCP", Port: 8084, Inside: true}, {Protocol: "TCP", Port: 8085, Inside: true}, {Protocol: "TCP", Port: 8086},
		{Protocol: "UDP", Port: 53},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
}

func TestAKernelWithoutIPv6AndStrangeLines(t *testing.T) {
	r := node(t, map[string]string{"tcp": "x\n" + line("zz:1", listens) + line("00:1", listens) + line("00000000:0000", listens) + line("00000000:0050", listens), "udp": ""})
	if got, err := r.Pod(uid); err != nil || !slices.Equal(got, []cluster.Listening{{Protocol: "TCP", Port: 80}}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestABusyPodIsReadInParts(t *testing.T) {
	r := node(t, map[string]string{"tcp": "", "udp": strings.Repeat(line("0100007F:1F90", "01"), maxLines) + line("00000000:0035", closed)})
	if got, err := r.Pod(uid); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestNoProcess(t *testing.T) {
	r := node(t, nil)
	r.Processes = func(string) ([]int, error) { return []int{6}, nil }
	if got, err := r.Pod(uid); err == nil {
		t.Errorf("got %v", got)
	}
	for _, bad := range []string{"", "../x", "x"} {
		if _, err := r.Pod(bad); !errors.Is(err, ErrUID) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// TestThisMachine reads the kernel's own tables, of this test's network.
func TestThisMachine(t *testing.T) {
	var config net.ListenConfig
	inside, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	all, err := config.Listen(t.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	packets, err := config.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	got, err := Reader{Proc: "/proc", Processes: func(string) ([]int, error) { return []int{os.Getpid()}, nil }}.Pod(uid)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []cluster.Listening{
		{Protocol: "TCP", Port: uint16(inside.Addr().(*net.TCPAddr).Port), Inside: true},
		{Protocol: "TCP", Port: uint16(all.Addr().(*net.TCPAddr).Port)},
		{Protocol: "UDP", Port: uint16(packets.LocalAddr().(*net.UDPAddr).Port), Inside: true},
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%v is not among %v", want, got)
		}
	}
}
