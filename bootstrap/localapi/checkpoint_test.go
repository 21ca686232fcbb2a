package localapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

var storeData = bytes.Repeat([]byte("objects "), 100000)

// CopyStore fails at once if there are no events, and else after its data.
func (b *backend) CopyStore(_ context.Context, begin func(cluster.StoreCopy) (io.Writer, error)) error {
	if err := b.failure(); fault.KindOf(err) == fault.NotRunning {
		return err
	}
	w, err := begin(cluster.StoreCopy{Objects: 3, Revision: 9, StoreBytes: int64(len(storeData))})
	if err == nil {
		_, err = w.Write(storeData)
	}
	return errors.Join(err, b.failure())
}

func TestCopyStoreRoundTrip(t *testing.T) {
	b := newBackend()
	c, _, _ := serve(t, b)
	var got bytes.Buffer
	var about cluster.StoreCopy
	read := func() error {
		got.Reset()
		about = cluster.StoreCopy{}
		return c.CopyStore(t.Context(), func(a cluster.StoreCopy, r io.Reader) error {
			about = a
			_, err := io.Copy(&got, r)
			return err
		})
	}
	if err := read(); err != nil || !bytes.Equal(got.Bytes(), storeData) || about.Objects != 3 || about.Revision != 9 {
		t.Errorf("got %d bytes of %+v, %v", got.Len(), about, err)
	}
	b.fail(fault.Newf(fault.Internal, "the disk is gone"))
	if err := read(); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("a copy that fails in the middle: %v", err)
	}
	b.fail(fault.Newf(fault.NotRunning, "it is still starting"))
	if err := read(); fault.KindOf(err) != fault.NotRunning || got.Len() > 0 {
		t.Errorf("a copy that fails at once: %v after %d bytes", err, got.Len())
	}
}
