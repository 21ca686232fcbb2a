package cli

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

func (a *app) cpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cp [NODE:]SOURCE [NODE:]TARGET",
		Short: "Copy a file or a folder into a node, out of one, or between nodes",
		Long: `Cp copies a file or a folder with everything in it. NODE is a name or number; a path without one is of this machine. If
TARGET is a folder, or ends with a slash, the copy is made in it; otherwise it is the copy's own path. Paths in nodes are
absolute. Modes are kept; what is copied into a node belongs to root.

Pods have file systems of their own: "bonsai kubectl -- cp".`,
		Example: `  bonsai cp app.conf 1:/etc/app.conf
  bonsai cp bonsai-2:/var/log/pods ./logs
  bonsai cp 1:/var/data 2:/var/data`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := argCount(2, 2, "a source and a target")(cmd, args); err != nil {
				return err
			}
			for _, arg := range args {
				if _, p := splitNode(arg); p == "" || p != arg && !path.IsAbs(p) {
					return fault.Newf(fault.Usage, "%q has to be a path of this machine, or NODE: and an absolute path", arg).
						Advise("", help("bonsai cp"))
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.runCp(cmd.Context(), args[0], args[1]) },
	}
}

// splitNode separates NODE:PATH; without a node it is a path of this machine, which may have a colon after a slash.
func splitNode(arg string) (name, p string) {
	before, after, ok := strings.Cut(arg, ":")
	if !ok || before == "" || strings.Contains(before, "/") || strings.HasPrefix(before, ".") {
		return "", arg
	}
	return before, after
}

// place is one end of a copy.
type place struct {
	node node.Container // without a name it is this machine
	path string
}

func (p place) String() string {
	if p.node.Name == "" {
		return p.path
	}
	return p.node.Node + ":" + p.path
}

func (a *app) runCp(ctx context.Context, from, to string) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	spec, err := a.spec(s)
	if err != nil {
		return err
	}
	if err := a.wake(ctx, s); err != nil {
		return err
	}
	driver, err := s.Driver()
	if err != nil {
		return err
	}
	defer func() { _ = driver.Close() }()
	var places [2]place
	for i, arg := range []string{from, to} {
		name, p := splitNode(arg)
		places[i].path = p
		if name == "" {
			continue
		}
		n, err := a.findNode(spec, name)
		if err != nil {
			return err
		}
		if places[i].node, err = node.Find(ctx, driver, spec, n.Name); err != nil {
			return err
		}
	}
	return a.explain(copyBetween(ctx, driver, places[0], places[1]))
}

// copyBetween streams a tar archive from one place to the other, in which the first part of all names is that of the copy.
func copyBetween(ctx context.Context, driver node.Driver, from, to place) error {
	into, err := isFolder(ctx, driver, to)
	if err != nil {
		return err
	}
	source := path.Clean(filepath.ToSlash(from.path))
	base, dir := path.Base(source), to.path
	switch {
	case into || strings.HasSuffix(to.path, "/"):
	case to.node.Name == "":
		dir, base = filepath.Dir(filepath.Clean(to.path)), filepath.Base(filepath.Clean(to.path))
	default:
		dir, base = path.Dir(path.Clean(to.path)), path.Base(path.Clean(to.path))
	}
	if base == "." || base == ".." || base == "/" { // the root of a node, or the folder that one is in: by its content only
		return fault.Newf(fault.Usage, "%s has no name of its own for the copy", from).Advise("name it, or copy what is in it")
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(ctx, driver, from, base, w)
		_ = w.CloseWithError(err)
		packed <- err
	}()
	archive := bufio.NewReader(r)
	var unpackErr error
	if _, err := archive.Peek(1); err == nil { // otherwise there is nothing to copy, and nothing must be made at the target
		unpackErr = unpack(ctx, driver, to, dir, archive)
	}
	_ = r.CloseWithError(errCopyEnded)
	if err := <-packed; err != nil && !errors.Is(err, errCopyEnded) {
		return err
	}
	return unpackErr
}

// errCopyEnded is what the reading side of a copy gets when the writing side has ended.
var errCopyEnded = errors.New("the copy has ended")

func isFolder(ctx context.Context, driver node.Driver, p place) (bool, error) {
	if p.node.Name == "" {
		info, err := os.Stat(p.path)
		return err == nil && info.IsDir(), nil
	}
	code, err := driver.Exec(ctx, p.node.Name, node.Exec{Cmd: []string{"test", "-d", p.path}})
	return code == 0, err
}

// pack writes what is at a place as an archive, named base.
func pack(ctx context.Context, driver node.Driver, from place, base string, w io.Writer) error {
	if from.node.Name == "" {
		return packHere(from.path, base, w)
	}
	source := path.Clean(from.path)
	r, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		var stderr bytes.Buffer
		code, err := driver.Exec(ctx, from.node.Name, node.Exec{
			Cmd: []string{"tar", "-C", path.Dir(source), "-cf", "-", "--", path.Base(source)}, Stdout: pw, Stderr: &stderr,
		})
		if err == nil && code != 0 {
			err = copyFault("read "+from.String(), errors.New(firstLine(stderr.String())))
		}
		_ = pw.CloseWithError(err)
		packed <- err
	}()
	err := rename(r, w, path.Base(source), base)
	_ = r.CloseWithError(errCopyEnded)
	if packErr := <-packed; packErr != nil && !errors.Is(packErr, errCopyEnded) {
		return packErr
	}
	return err
}

// rename copies an archive, with another first part of all names.
func rename(r io.Reader, w io.Writer, from, to string) error {
	in, out := tar.NewReader(r), tar.NewWriter(w)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			if _, err := io.Copy(io.Discard, r); err != nil { // the padding; its writer must not be interrupted
				return err
			}
			return out.Close()
		}
		if err != nil {
			return err
		}
		h.Name = to + strings.TrimPrefix(strings.TrimPrefix(h.Name, "./"), from)
		if h.Typeflag == tar.TypeLink {
			h.Linkname = to + strings.TrimPrefix(strings.TrimPrefix(h.Linkname, "./"), from)
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}

// packHere writes a file or folder of this machine as an archive, named base.
func packHere(root, base string, w io.Writer) error {
	out := tar.NewWriter(w)
	if info, err := os.Stat(root); err == nil && info.Mode().IsRegular() {
		root, _ = filepath.EvalSymlinks(root) // what a link leads to is copied if it was named itself
	}
	err := filepath.Walk(root, func(file string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&os.ModeSymlink != 0 {
			if link, err = os.Readlink(file); err != nil {
				return err
			}
		}
		if info.Mode()&(os.ModeSocket|os.ModeNamedPipe|os.ModeDevice) != 0 {
			return nil // what only means something to a running process
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		h.Name = path.Join(base, filepath.ToSlash(below))
		h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
		if err := out.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		_, err = io.Copy(out, f)
		return err
	})
	if err == nil {
		return out.Close()
	}
	if errors.Is(err, errCopyEnded) {
		return err
	}
	return copyFault("read "+root, err)
}

// unpack writes the archive into a folder of a place, which it creates.
func unpack(ctx context.Context, driver node.Driver, to place, dir string, r io.Reader) error {
	if to.node.Name == "" {
		if err := unpackHere(dir, r); err != nil {
			return copyFault("write "+to.String(), err)
		}
		return nil
	}
	var stderr bytes.Buffer
	code, err := driver.Exec(ctx, to.node.Name, node.Exec{
		Cmd:   []string{"sh", "-c", `mkdir -p -- "$1" && exec tar -C "$1" -xf -`, "sh", dir},
		Stdin: r, Stderr: &stderr,
	})
	if err == nil && code != 0 {
		err = copyFault("write "+to.String(), errors.New(firstLine(stderr.String())))
	}
	return err
}

// unpackHere writes an archive into a folder of this machine. Nothing gets outside of it, whatever the archive contains.
func unpackHere(dir string, r io.Reader) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		if err := unpackOne(root, h, in); err != nil {
			return err
		}
	}
}

func unpackOne(root *os.Root, h *tar.Header, content io.Reader) error {
	name := path.Clean(h.Name)
	mode := os.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, mode|0o700)
	case tar.TypeSymlink, tar.TypeLink:
		if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if h.Typeflag == tar.TypeLink {
			return root.Link(path.Clean(h.Linkname), name)
		}
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Chmod(mode), f.Close())
	}
	return nil // devices and the like
}

// copyFault is a copy that failed at one of its ends.
func copyFault(op string, err error) error {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	kind := fault.Node
	if errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "No such file") {
		kind = fault.Usage
	}
	return fault.New(kind, op, err).Advise("see what is there", cluster.Bonsai("ssh", "NODE").Fill("NODE").Running(cluster.Program("ls", "-l")))
}
