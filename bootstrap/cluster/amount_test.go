package cluster

import "testing"

func TestMemoryIsWrittenAsItIsRead(t *testing.T) {
	for bytes, want := range map[int64]string{
		2 << 30: "2Gi", 1500 << 20: "1500Mi", 1 << 40: "1Ti", 256<<20 + 1024: "262145Ki", 300_000_001: "292968.7509765625Ki",
	} {
		text := FormatMemory(bytes)
		if again, err := ParseMemory(text); text != want || err != nil || again != bytes {
			t.Errorf("%d is written %s, want %s, and read as %d, %v", bytes, text, want, again, err)
		}
	}
}

func TestProcessorsThatANodeCannotHave(t *testing.T) {
	for _, text := range []string{"", "x", "NaN", "0", "0.01", "-1", "+Inf", "1025"} {
		if n, err := ParseCPUs(text); err == nil {
			t.Errorf("%q is read as %v", text, n)
		}
	}
}
