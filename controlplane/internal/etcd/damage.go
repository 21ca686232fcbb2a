package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"google.golang.org/protobuf/proto"
)

// doubtAfter is how long a member may take to lead and serve before its data is looked at. A tenth of it is usual.
const doubtAfter = time.Second

// waitReady returns once e leads and serves.
//
// etcd takes a record in its log whose length is damaged for the last one, which a power failure has cut, and cuts the log
// there. What follows was in the data file already, and etcd applies nothing for as long as its log is behind that: it
// never gets ready, and says nothing.
func waitReady(ctx context.Context, e *embed.Etcd) error {
	// Before anything is written: what the file has applied was in the log.
	applied, _ := schema.ReadConsistentIndex(e.Server.Backend().ReadTx())
	doubt := time.NewTimer(doubtAfter)
	defer doubt.Stop()
	for {
		select {
		case <-e.Server.ReadyNotify():
			return nil
		case err := <-e.Err():
			return fmt.Errorf("start etcd: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("wait for etcd to elect itself: %w", context.Cause(ctx))
		case <-doubt.C:
			// It ends when the leader has committed and applied all that is in its log.
			if err := e.Server.LinearizableReadNotify(ctx); err == nil && e.Server.AppliedIndex() < applied {
				return cutError(e.Config().Dir, applied)
			}
			doubt.Reset(doubtAfter)
		}
	}
}

// damageError is the error of data that etcd cannot use. bootstrap finds it by its text, and advises what to do.
func damageError(dir string, cause error) error {
	return fmt.Errorf("etcd's data in %s is damaged: %w", dir, cause)
}

// cutError is damageError for a log that lacks an entry, with the place where etcd has cut it.
func cutError(dir string, entry uint64) error {
	cause := fmt.Errorf("its log ends before entry %d, which is in the data file", entry)
	if file, at, ok := cutAt(filepath.Join(dir, "member", "wal")); ok {
		cause = fmt.Errorf("%w: etcd cannot read on from byte %d of %s, and has cut the log there", cause, at, file)
	}
	return damageError(dir, cause)
}

// cutAt returns where etcd has cut its log last. It keeps the whole file beside the cut one.
func cutAt(dir string) (file string, at int64, ok bool) {
	kept, err := filepath.Glob(filepath.Join(dir, "*.wal.broken"))
	if err != nil || len(kept) == 0 {
		return "", 0, false
	}
	f, err := os.Open(slices.Max(kept))
	if err != nil {
		return "", 0, false
	}
	defer func() { _ = f.Close() }()
	decoder, record := wal.NewDecoder(fileutil.NewFileReader(f)), &walpb.Record{}
	for {
		err := decoder.Decode(record)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return filepath.Base(f.Name()), decoder.LastOffset(), true
		case err != nil:
			return "", 0, false
		case record.GetType() == wal.CrcType:
			decoder.UpdateCRC(record.GetCrc())
		}
	}
}

// isDamage reports whether an error of embed.StartEtcd is about what is in the data.
func isDamage(err error) bool {
	return slices.ContainsFunc([]error{
		wal.ErrCRCMismatch, wal.ErrFileNotFound, wal.ErrMetadataConflict, wal.ErrSliceOutOfRange, wal.ErrSnapshotMismatch, wal.ErrSnapshotNotFound,
		io.ErrUnexpectedEOF, proto.Error,
	}, func(damage error) bool { return errors.Is(err, damage) })
}
