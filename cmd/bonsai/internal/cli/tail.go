package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
)

// tailer shows the end of a file that may grow and be rotated meanwhile.
type tailer struct {
	path   string
	lines  int // from the end; negative: all
	follow bool
}

func (t tailer) copy(ctx context.Context, w io.Writer) error {
	err := componentlog.Tail(ctx, t.path, t.lines, t.follow, w)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.NotRunning, "there is no log %s yet", t.path)
	}
	// Errors of w are no matter of the state folder; a closed pipe is told apart further up.
	if p, ok := errors.AsType[*fs.PathError](err); ok && p.Path == t.path {
		return fault.New(fault.State, "read a log", err)
	}
	return err
}
