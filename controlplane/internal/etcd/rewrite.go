package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"
)

// rewriteBatch is how many entries are written in one transaction; each transaction waits for nothing, but keeps its pages.
const rewriteBatch = 2000

// Rewrite writes what a data file that nobody has open contains now into a new file: the newest revision of each key, and
// nothing of those before or of what was deleted. change returns the value that is written, and whether the key stays. Nothing
// of what it changes or drops is in the new file, not even in unused parts of it. Revisions stay as they are.
func Rewrite(from, to string, change func(key string, value []byte) (with []byte, keep bool)) (err error) {
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("%s exists", to)
	}
	out, err := bbolt.Open(to, fileutil.PrivateFileMode, &bbolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return view(from, func(in *bbolt.Tx) error {
		objects := in.Bucket(schema.Key.Name())
		if objects == nil || in.Bucket(schema.Meta.Name()) == nil {
			return errors.New("it is not etcd's")
		}
		newest := map[string][]byte{} // the revision of each key, which is what entries are stored by
		if err := objects.ForEach(func(revision, encoded []byte) error {
			key := string(keyOf(encoded))
			if mvcc.IsTombstone(revision) {
				delete(newest, key)
			} else {
				newest[key] = bytes.Clone(revision)
			}
			return nil
		}); err != nil {
			return err
		}
		return in.ForEach(func(name []byte, b *bbolt.Bucket) error {
			if !bytes.Equal(name, schema.Key.Name()) {
				return copyBucket(out, name, b, func(_, value []byte) ([]byte, bool, error) { return value, true, nil })
			}
			return copyBucket(out, name, b, func(revision, encoded []byte) ([]byte, bool, error) {
				if mvcc.IsTombstone(revision) || !bytes.Equal(newest[string(keyOf(encoded))], revision) {
					return nil, false, nil
				}
				var kv mvccpb.KeyValue
				if err := proto.Unmarshal(encoded, &kv); err != nil {
					return nil, false, err
				}
				value, keep := change(string(kv.Key), kv.Value)
				if !keep {
					return nil, false, nil
				}
				kv.Value = value
				encoded, err := proto.Marshal(&kv)
				return encoded, true, err
			})
		})
	})
}

// copyBucket copies the entries of a bucket as change returns them.
func copyBucket(out *bbolt.DB, name []byte, from *bbolt.Bucket, change func(key, value []byte) (with []byte, keep bool, err error)) error {
	type entry struct{ key, value []byte }
	var batch []entry
	write := func() error {
		return out.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			b.FillPercent = 0.95 // entries come in order
			for _, e := range batch {
				if err := b.Put(e.key, e.value); err != nil {
					return err
				}
			}
			batch = batch[:0]
			return nil
		})
	}
	if err := from.ForEach(func(key, value []byte) error {
		if value == nil { // a bucket in a bucket, of which etcd has none
			return nil
		}
		with, keep, err := change(key, value)
		if err != nil || !keep {
			return err
		}
		if batch = append(batch, entry{bytes.Clone(key), bytes.Clone(with)}); len(batch) < rewriteBatch {
			return nil
		}
		return write()
	}); err != nil {
		return err
	}
	return write()
}
