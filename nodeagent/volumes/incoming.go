package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Take replaces volumes by those that wait in the folder incoming-ID, and removes what waits with another ID, which nobody wants
// any more. An empty id takes none. Volumes that are not there stay as they are.
//
// Call it before anything uses a volume. It is safe to repeat, and goes on with what an interrupted call began: each volume is
// renamed as a whole, and what it replaces is removed at the end.
func (s *Store) Take(incoming, id string) error {
	wanted := ""
	if id != "" {
		wanted = incoming + "-" + id
	}
	waiting, err := filepath.Glob(incoming + "-*")
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range waiting {
		if dir == wanted {
			errs = append(errs, s.takeAll(dir))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, dir := range waiting {
		errs = append(errs, os.RemoveAll(dir))
	}
	return s.explain("remove what volumes were replaced by", errors.Join(errs...))
}

// replaced is where the volumes of an incoming folder leave what they replace; no volume has such a name.
const replaced = ".replaced"

func (s *Store) takeAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the volumes to take: %w", err)
	}
	if err := errors.Join(os.MkdirAll(s.dir, 0o700), os.MkdirAll(filepath.Join(dir, replaced), 0o700)); err != nil {
		return s.explain("prepare the folder of volumes", err)
	}
	for _, e := range entries {
		if !e.IsDir() || check(e.Name()) != nil {
			continue // also the folder of what was replaced
		}
		to, gone := filepath.Join(s.dir, e.Name()), filepath.Join(dir, replaced, e.Name())
		if err := os.RemoveAll(gone); err != nil {
			return s.explain("replace volume "+e.Name(), err)
		}
		if err := os.Rename(to, gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.explain("replace volume "+e.Name(), err)
		}
		if err := os.Rename(filepath.Join(dir, e.Name()), to); err != nil {
			return s.explain("replace volume "+e.Name(), err)
		}
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return s.explain("open the folder of volumes", err)
	}
	return errors.Join(flush(root), root.Close())
}
