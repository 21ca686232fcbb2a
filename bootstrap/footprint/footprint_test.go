package footprint

import (
	"slices"
	"testing"
)

func TestReadOnlyMappings(t *testing.T) {
	const maps = `00400000-00c00000 r-xp 00000000 fe:00 1 /opt/my bin/bonsai
00c00000-01a00000 r--p 00800000 fe:00 1 /opt/my bin/bonsai
01a00000-01b00000 rw-p 01600000 fe:00 1 /opt/my bin/bonsai
01b00000-01c00000 rw-p 00000000 00:00 0
7f0000000000-7f0000001000 r-xp 00000000 fe:00 2 /lib/libc.so
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0 [stack]
nonsense
`
	got := readOnlyMappings(maps, "/opt/my bin/bonsai")
	want := []mapping{{0x400000, 0xc00000}, {0xc00000, 0x1a00000}}
	if !slices.Equal(got, want) {
		t.Errorf("readOnlyMappings = %x, want %x", got, want)
	}
}

// A program that lost a page which it cannot read again would crash here.
func TestProgramRunsOnAfterShrink(t *testing.T) {
	for range 3 {
		if err := Shrink(); err != nil {
			t.Fatal(err)
		}
	}
}
