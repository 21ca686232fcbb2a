package wait

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReaderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	r := Reader(ctx, strings.NewReader("some text"))
	p := make([]byte, 4)
	if n, err := io.ReadFull(r, p); err != nil || n != 4 {
		t.Fatalf("got %d bytes, %v", n, err)
	}
	why := errors.New("enough")
	cancel(why)
	if n, err := r.Read(p); n != 0 || !errors.Is(err, why) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}
