package cli

import (
	"io"

	"bonsai/bootstrap/fault"
)

// output is standard output. It remembers the first error, for verbs that print as they go: an answer that did not
// arrive, for example because the disk is full, must not look like success.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// failure is what a run ends with that otherwise succeeded.
func (o *output) failure() error {
	if o.err == nil {
		return nil
	}
	return fault.New(fault.Output, "write the output", o.err).Advise("make room, or write it elsewhere")
}
