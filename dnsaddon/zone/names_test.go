package zone

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

// parsePod is how CoreDNS reads the address in the label of a pod.
func parsePod(label string) (netip.Addr, bool) {
	for i := range len(label) { // these are escaped in a name's text
		if strings.IndexByte(`. '@;()"\`, label[i]) >= 0 || label[i] < ' ' || label[i] > '~' {
			return netip.Addr{}, false
		}
	}
	separator := ":"
	if strings.Count(label, "-") == 3 && !strings.Contains(label, "--") {
		separator = "."
	}
	return parseAddr(strings.ReplaceAll(label, "-", separator))
}

func FuzzParseDashed(f *testing.F) {
	for _, label := range []string{"1-2-3-4", "--1", "--", "fd00--1", "1-2-3-4-5-6-7-8", "1-2-3-4-5-6-7--", "--2-3-4-5-6-7-8",
		"1-2-3-4-5-6-7--8", "1--2--3", "-1", "1-", "1-2-3", "1-2-3-", "1-2-3-256", "01-2-3-4", "0-0-0-0", "--ffff-102-304",
		"::ffff:1-2-3-4", "1:2:3:4:5:6:7:8", "12345--", "fd00--g", "FD00--A", "", "1.2.3.4", "fe80--1%eth0", "---", "1---2", "--0"} {
		f.Add(label)
	}
	f.Fuzz(func(t *testing.T, label string) {
		if len(label) > maxLabel {
			return
		}
		got, ok := parseDashed([]byte(label))
		want, wantOK := parsePod(label)
		if ok != wantOK || ok && got != want {
			t.Errorf("%q: got %v, %v, want %v, %v", label, got, ok, want, wantOK)
		}
	})
}

func FuzzDashedAndBack(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4})
	f.Add(make([]byte, 16))
	f.Add(append([]byte{0xfd, 15: 0}, make([]byte, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		addr = addr.Unmap()
		label := appendDashed(nil, addr)
		if clean, ok := cleanLabel(string(label)); !ok && label[0] != '-' || ok && clean != string(label) {
			t.Errorf("%v is called %q", addr, label)
		}
		back, ok := parseDashed(label)
		if !ok || back != addr {
			t.Errorf("%v is called %q, which is read as %v, %v", addr, label, back, ok)
		}
	})
}

func TestSplit(t *testing.T) {
	top, _ := newApex("cluster.local.")
	for _, c := range []struct {
		name   string
		labels []string // nil: not in the zone
	}{
		{"\x07cluster\x05local\x00", []string{}},
		{"\x03web\x07cluster\x05local\x00", []string{"web"}},
		{"\x01a\x03b\x00.\x07cluster\x05local\x00", []string{"a", "b\x00."}},
		{"\x08xcluster\x05local\x00", nil},
		{"\x09x\x07cluster\x05local\x00", nil}, // the zone's bytes within a label
		{"\x00\x07cluster\x05local\x00", nil},
		{"\x41\x07cluster\x05local\x00", nil},
		{"\x46" + strings.Repeat("a", 70) + "\x07cluster\x05local\x00", nil},
		{"\xc0\x07cluster\x05local\x00", nil},
		{"\x05local\x00", nil},
		{"\x00", nil},
		{"", nil},
		{strings.Repeat("\x01a", 200) + "\x07cluster\x05local\x00", nil},
		{strings.Repeat("\x01a", 120) + "\x07cluster\x05local\x00", strings.Split(strings.Repeat("a", 120), "")},
	} {
		var l labels
		ok := l.split([]byte(c.name), &top)
		if ok != (c.labels != nil) {
			t.Errorf("%q: in the zone: %v", c.name, ok)
			continue
		}
		if !ok {
			continue
		}
		var got []string
		for i := range l.n {
			got = append(got, string(l.label(i)))
		}
		if strings.Join(got, "|") != strings.Join(c.labels, "|") {
			t.Errorf("%q: labels %q, want %q", c.name, got, c.labels)
		}
	}
}

func TestKeyIsPartOfTheName(t *testing.T) {
	key, ok := serviceKey("Default", "web")
	if !ok || key != "\x03web\x07default" {
		t.Fatalf("key %q", key)
	}
	name, _ := packName("x.Web.default.svc.cluster.local.")
	if !bytes.Contains(name, []byte(key)) {
		t.Errorf("%q is not in %q", key, name)
	}
	if namespace, name := splitKey(key); namespace != "default" || name != "web" {
		t.Errorf("split into %s and %s", namespace, name)
	}
}
