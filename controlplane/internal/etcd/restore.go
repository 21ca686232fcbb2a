package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime/debug"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"bonsai/bootstrap/cluster"
)

// Replacing the data of a cluster must never lose it. So the new data is built beside the old (next), both are renamed, and
// the old is kept (previous) until the API server has served the new (Keep). A process that finds kept data when it starts
// goes back to it: the one before has not come so far (goBack).
const (
	nextSuffix     = ".next"
	previousSuffix = cluster.ReplacedSuffix
	goneSuffix     = ".gone"
)

// Revisions of restored data begin beyond all that clients can have seen: a watch or an informer that goes on from before
// learns that its revision is gone, and lists again. Upstream's "etcdutl snapshot restore --bump-revision --mark-compacted"
// does the same.
const (
	// revisionGap is added to the newest revision in the data file. What is only in the log of etcd is newer, by 10,000
	// operations at most.
	revisionGap = 1 << 20
	// blindGap is added if the old data file cannot be read.
	blindGap = 1 << 30
)

// Restoring is new data for a cluster.
type Restoring struct {
	// Open opens a copy that Copy has written.
	Open func() (io.ReadCloser, error)
	// Newest is the newest revision that is known of, in case the old data cannot be read.
	Newest int64
	// Mark is written into cluster.RestoredFile, unless it is empty.
	Mark string
	// Edit changes the new data before it is used; it may be nil.
	Edit func(*Data) error
}

// Copy writes a consistent copy of the data file to w, while the server goes on.
func (s *Server) Copy(ctx context.Context, begin func(cluster.StoreCopy) (io.Writer, error)) error {
	objects, err := s.Count(ctx, "/registry/")
	if err != nil {
		return err
	}
	// It contains everything that was acknowledged before this call.
	snapshot := s.etcd.Server.Backend().Snapshot()
	defer snapshot.Close()
	w, err := begin(cluster.StoreCopy{Objects: objects, Revision: s.etcd.Server.KV().Rev(), StoreBytes: snapshot.Size()})
	if err != nil {
		return err
	}
	_, err = snapshot.WriteTo(w)
	return err
}

// Restore replaces the data in dir. If it fails, the data is as it was. Afterwards the old data is kept beside it, until
// Keep is called.
func Restore(dir string, r Restoring) error {
	next, previous := dir+nextSuffix, dir+previousSuffix
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	err := build(next, dir, r)
	if err == nil && r.Mark != "" {
		err = os.WriteFile(filepath.Join(next, cluster.RestoredFile), []byte(r.Mark), fileutil.PrivateFileMode)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(next))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { // lost data has to be replaced, too
		return err
	}
	if err := os.Rename(dir, previous); err != nil {
		return fmt.Errorf("keep the old data: %w", err)
	}
	if err := os.Rename(next, dir); err != nil {
		return errors.Join(fmt.Errorf("use the new data: %w", err), goBack(dir))
	}
	return syncParent(dir)
}

// Keep ends a Restore: the data in dir is the cluster's, and there is no way back.
func Keep(dir string) error {
	gone := dir + goneSuffix
	// Removing takes its time: half of the old data must not be what a later start goes back to.
	if err := os.Rename(dir+previousSuffix, gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the replaced data: %w", err)
	}
	return os.RemoveAll(gone)
}

// goBack undoes a Restore that no Keep has followed, and removes what is left of others.
func goBack(dir string) error {
	for _, left := range []string{dir + nextSuffix, dir + goneSuffix} {
		if err := os.RemoveAll(left); err != nil {
			return err
		}
	}
	previous := dir + previousSuffix
	if _, err := os.Lstat(previous); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("go back to the data before a restore: %w", err)
	}
	if err := os.Rename(previous, dir); err != nil {
		return fmt.Errorf("go back to the data before a restore: %w", err)
	}
	return syncParent(dir)
}

func syncParent(dir string) error {
	f, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	_ = f.Sync() // not every file system can do that for a folder
	return f.Close()
}

// build creates the folder of a member in dir: the data file of a copy, which knows nothing of members and logs, so that
// etcd starts with it as a new cluster of one. old is the folder that it will replace.
func build(dir, old string, r Restoring) (err error) {
	file := dataFile(dir)
	if err := fill(file, r.Open); err != nil {
		return err
	}
	if err := checkData(file); err != nil {
		return err
	}
	defer func() { // etcd panics where data is not what it expects
		if p := recover(); p != nil {
			err = fmt.Errorf("the copy is damaged: etcd panics: %v", p)
		}
	}()
	newest, err := newestRevision(dataFile(old))
	begin := newest + revisionGap
	if err != nil {
		begin = r.Newest + blindGap
	}
	have, err := newestRevision(file)
	if err != nil {
		return fmt.Errorf("the copy is damaged: %w", err)
	}
	log := zap.NewNop()
	b := backend.NewDefaultBackend(log, file)
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := forgetMember(b, log); err != nil {
		return err
	}
	tx := b.BatchTx()
	tx.LockOutsideApply()
	mvcc.UnsafeSetScheduledCompact(tx, max(begin, have+revisionGap))
	tx.Unlock()
	b.ForceCommit()
	if r.Edit == nil {
		return nil
	}
	kv := mvcc.New(log, b, &lease.FakeLessor{}, mvcc.StoreConfig{})
	defer func() { err = errors.Join(err, kv.Close()) }()
	err = r.Edit(&Data{kv, dataFile(old)})
	kv.Commit()
	return err
}

func dataFile(dir string) string { return filepath.Join(dir, "member", "snap", "db") }

func fill(path string, open func() (io.ReadCloser, error)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	from, err := open()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileutil.PrivateFileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}

// forgetMember removes what binds a data file to a member and to its log.
func forgetMember(b backend.Backend, log *zap.Logger) error {
	if err := schema.NewMembershipBackend(log, b).TrimMembershipFromBackend(); err != nil {
		return err
	}
	tx := b.BatchTx()
	tx.LockOutsideApply()
	defer tx.Unlock()
	// Else etcd would take the first entries of its new log for applied.
	for _, key := range [][]byte{schema.MetaConsistentIndexKeyName, schema.MetaTermKeyName, schema.MetaConfStateName} {
		tx.UnsafeDelete(schema.Meta, key)
	}
	return nil
}

// newestRevision reads the newest revision from a data file that nobody has open.
func newestRevision(path string) (newest int64, err error) {
	return newest, view(path, func(tx *bbolt.Tx) error {
		keys, meta := tx.Bucket(schema.Key.Name()), tx.Bucket(schema.Meta.Name())
		if keys == nil || meta == nil {
			return errors.New("it is not etcd's")
		}
		if last, _ := keys.Cursor().Last(); last != nil {
			newest = mvcc.BytesToRev(last).Main
		}
		for _, name := range [][]byte{schema.ScheduledCompactKeyName, schema.FinishedCompactKeyName} {
			if v := meta.Get(name); v != nil {
				newest = max(newest, mvcc.BytesToRev(v).Main)
			}
		}
		return nil
	})
}

// view calls f with what is in a data file that nobody has open. Data that cannot be read is an error.
func view(path string, f func(*bbolt.Tx) error) (err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: openLimit})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// bbolt reads what is mapped into memory and trusts it; without this the process would end.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s is damaged: %v", path, p)
		}
	}()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return fmt.Errorf("%s has %d bytes of %d", path, info.Size(), tx.Size())
		}
		return f(tx)
	})
}

// Data is etcd's data, to be changed before it is used.
type Data struct {
	kv  mvcc.KV
	old string // the data file that it replaces
}

// Replaced returns the keys that begin with prefix, with their values, of the data that is replaced: none if that cannot be
// read. What was written in the last moment before a crash may be missing.
func (d *Data) Replaced(prefix string) map[string][]byte {
	all := map[string][]byte{}
	err := view(d.old, func(tx *bbolt.Tx) error {
		return tx.Bucket(schema.Key.Name()).ForEach(func(revision, encoded []byte) error { // in the order of revisions
			key := keyOf(encoded)
			if !bytes.HasPrefix(key, []byte(prefix)) {
				return nil
			}
			if mvcc.IsTombstone(revision) {
				delete(all, string(key))
				return nil
			}
			var kv mvccpb.KeyValue
			if err := proto.Unmarshal(encoded, &kv); err != nil {
				return err
			}
			all[string(key)] = kv.Value
			return nil
		})
	})
	if err != nil {
		return nil
	}
	return all
}

// All returns the keys that begin with prefix, in their order, with their values, as they are when it is called.
func (d *Data) All(prefix string) iter.Seq2[string, []byte] {
	end := []byte(prefix)
	end[len(end)-1]++
	r, err := d.kv.Range(context.Background(), []byte(prefix), end, mvcc.RangeOptions{})
	return func(yield func(string, []byte) bool) {
		if err != nil { // of a revision that is not the current one
			panic(err)
		}
		for _, kv := range r.KVs {
			if !yield(string(kv.Key), kv.Value) {
				return
			}
		}
	}
}

// Put writes a value.
func (d *Data) Put(key string, value []byte) {
	tx := d.kv.Write(traceutil.TODO())
	tx.Put([]byte(key), value, lease.NoLease)
	tx.End()
}

// Delete deletes a key, if it exists.
func (d *Data) Delete(key string) { d.kv.DeleteRange([]byte(key), nil) }
