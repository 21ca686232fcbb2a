package hostprep

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"bonsai/bootstrap/atomicfile"
)

// followed is the beginning of a resolv.conf that is not the engine's.
const followed = "# Written by bonsai-agent, because this machine has other resolvers than when the node started.\n"

// engineLine begins a line of such a file that the engine's had.
const engineLine = "#engine# "

// NodeResolvConf is the resolv.conf by which the node itself looks names up, those of registries above all. The engine writes it
// when it starts the node, and the copy of that is kept, because what the engine said is needed as long as the node runs. Its
// methods may be called from any goroutine.
type NodeResolvConf struct {
	mu         sync.Mutex // held while the file is changed
	path, kept string
}

// NewNodeResolvConf returns that of this container.
func NewNodeResolvConf() *NodeResolvConf {
	return &NodeResolvConf{path: "/etc/resolv.conf", kept: EngineResolvConf}
}

// Keep copies what the engine wrote, with its time. If Follow has written the file in an earlier life of the agent, the copy
// exists; an engine that starts the node without writing the file again takes the copy away, and then it is made of the file.
func (n *NodeResolvConf) Keep() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	text, err := os.ReadFile(n.path)
	if err != nil {
		return fmt.Errorf("keep the engine's resolv.conf: %w", err)
	}
	if bytes.HasPrefix(text, []byte(followed)) {
		if _, err := os.Stat(n.kept); err == nil {
			return nil
		}
		text = []byte(enginesOf(string(text)))
	}
	info, err := os.Stat(n.path)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(n.kept), 0o755)
	}
	if err == nil {
		err = atomicfile.Write(n.kept, text, 0o644, atomicfile.Options{})
	}
	if err == nil {
		err = os.Chtimes(n.kept, info.ModTime(), info.ModTime())
	}
	if err != nil {
		return fmt.Errorf("keep the engine's resolv.conf: %w", err)
	}
	return nil
}

// Follow makes the node ask resolver, and the engine's servers only if that does not answer. search are the domains; the
// options stay as the engine set them.
func (n *NodeResolvConf) Follow(resolver netip.Addr, search []string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	engine, err := os.ReadFile(n.kept)
	if err != nil {
		return fmt.Errorf("read the engine's resolv.conf: %w", err)
	}
	_, err = n.write(followConf(string(engine), resolver, search))
	return err
}

// Restore makes the file again what the engine wrote, with its time.
func (n *NodeResolvConf) Restore() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	engine, err := os.ReadFile(n.kept)
	if err != nil {
		return fmt.Errorf("read the engine's resolv.conf: %w", err)
	}
	info, err := os.Stat(n.kept)
	if err != nil {
		return fmt.Errorf("read the engine's resolv.conf: %w", err)
	}
	changed, err := n.write(string(engine))
	if err == nil && changed {
		err = os.Chtimes(n.path, info.ModTime(), info.ModTime())
	}
	return err
}

// write replaces the text of the file, which the engine has mounted, so that no other file can take its place. Who reads in the
// meantime finds whole lines.
func (n *NodeResolvConf) write(text string) (changed bool, err error) {
	before, err := os.ReadFile(n.path)
	if err != nil {
		return false, fmt.Errorf("read the node's resolv.conf: %w", err)
	}
	if string(before) == text {
		return false, nil
	}
	f, err := os.OpenFile(n.path, os.O_WRONLY, 0)
	if err != nil {
		return false, fmt.Errorf("write the node's resolv.conf: %w", err)
	}
	defer func() { _ = f.Close() }()
	whole := text + strings.Repeat("\n", max(0, len(before)-len(text)))
	if _, err = f.WriteAt([]byte(whole), 0); err == nil {
		err = f.Truncate(int64(len(text)))
	}
	if err != nil {
		return true, fmt.Errorf("write the node's resolv.conf: %w", err)
	}
	return true, nil
}

// followConf derives the text from the engine's. At most three servers are asked by the C library.
func followConf(engine string, resolver netip.Addr, search []string) string {
	var servers, options []string
	for line := range strings.Lines(engine) {
		switch f := strings.Fields(line); {
		case len(f) < 2:
		case f[0] == "nameserver" && !slices.Contains(servers, f[1]):
			servers = append(servers, f[1])
		case f[0] == "options":
			options = append(options, strings.Join(f, " "))
		}
	}
	lines := []string{"nameserver " + resolver.String()}
	for _, s := range servers[:min(len(servers), 2)] {
		lines = append(lines, "nameserver "+s)
	}
	if len(search) > 0 {
		lines = append(lines, "search "+strings.Join(search, " "))
	}
	text := followed + strings.Join(append(lines, options...), "\n") + "\n"
	for line := range strings.Lines(engine) {
		text += engineLine + strings.TrimRight(line, "\n") + "\n"
	}
	return text
}

// enginesOf is the text from which followConf has derived another.
func enginesOf(followed string) string {
	var engine strings.Builder
	for line := range strings.Lines(followed) {
		if own, ok := strings.CutPrefix(line, engineLine); ok {
			engine.WriteString(own)
		}
	}
	return engine.String()
}
