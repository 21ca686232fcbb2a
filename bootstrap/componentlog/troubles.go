package componentlog

import (
	"io"
	"os"
	"strings"
)

// troublesRead is how much of the end of a log LastTroubles reads.
const troublesRead = 64 << 10

// Troubles are the last n lines of a log that report an error, or its last n lines if none does.
func Troubles(log string, n int) []string {
	var all, bad []string
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		all = append(all, line)
		lower := strings.ToLower(line)
		if line[0] == 'E' || line[0] == 'F' || strings.Contains(lower, "error") || strings.Contains(lower, "fail") || strings.Contains(lower, "panic") {
			bad = append(bad, line)
		}
	}
	if len(bad) == 0 {
		bad = all
	}
	return bad[max(0, len(bad)-n):]
}

// LastTroubles are the Troubles of a file's end, none if it cannot be read.
func LastTroubles(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > troublesRead {
		if _, err := f.Seek(-troublesRead, io.SeekEnd); err != nil {
			return nil
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, troublesRead))
	if err != nil {
		return nil
	}
	return Troubles(string(text), n)
}

// PanicIn returns the panic with which a program ended, from the last lines that it printed; "" if there is none.
func PanicIn(lines []string) string {
	for _, line := range lines {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return "its process exited because of a " + line
		}
	}
	return ""
}
