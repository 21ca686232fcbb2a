package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"bonsai/nodeagent/hostprep"
)

// DropIns are the user's own files, which add to ConfigFile.
const DropIns = hostprep.ContainerdDropInDir + "/*.toml"

// unknownKey is in what containerd logs about a setting that does not exist, and would ignore.
var unknownKey = regexp.MustCompile(`msg="Ignoring unknown key in TOML.* key=(\S+)(?: plugin=(\S+))?`)

// CheckDropIns returns why containerd would not start with the user's files, or which part of them it would ignore: a setting that
// silently does nothing is worse. Without such files it does nothing; otherwise it takes as long as a start of program, which is
// containerd's.
func CheckDropIns(ctx context.Context, program string) error {
	return checkDropIns(ctx, program, ConfigFile, DropIns)
}

func checkDropIns(ctx context.Context, program, config, pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "--config", config, "config", "dump") // which reads all of them, and starts nothing
	cmd.Stderr = &said
	failure := cmd.Run()
	var wrong []error
	for line := range strings.Lines(said.String()) {
		if m := unknownKey.FindStringSubmatch(line); m != nil && m[2] != "" {
			wrong = append(wrong, fmt.Errorf("unknown setting %s of %s", m[1], m[2]))
		} else if m != nil {
			wrong = append(wrong, fmt.Errorf("unknown setting %s", m[1]))
		}
		if reason, ok := strings.CutPrefix(strings.TrimSpace(line), "containerd: "); ok {
			wrong = append(wrong, errors.New(reason))
		}
	}
	if failure != nil && len(wrong) == 0 {
		wrong = append(wrong, failure)
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("read %s: %w", strings.Join(files, ", "), errors.Join(wrong...))
}
