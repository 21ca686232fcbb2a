package staging

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// linkTree makes the files in one folder those of another, which is empty: everything but folders as hard links, and folders with
// their owner, mode, attributes and times. No link is followed.
func linkTree(source, target *os.File) error {
	for {
		names, err := source.Readdirnames(1000)
		for _, name := range names {
			if err := linkEntry(int(source.Fd()), int(target.Fd()), name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return likeFolder(source, target)
		}
		if err != nil {
			return err
		}
	}
}

func linkEntry(from, to int, name string) error {
	var s unix.Stat_t
	if err := unix.Fstatat(from, name, &s, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.Linkat(from, name, to, name, 0)
	}
	inner, err := openFolder(from, name)
	if err != nil {
		return err
	}
	defer inner.Close()
	if err := unix.Mkdirat(to, name, 0o700); err != nil {
		return err
	}
	made, err := openFolder(to, name)
	if err != nil {
		return err
	}
	defer made.Close()
	return linkTree(inner, made)
}

func openFolder(in int, name string) (*os.File, error) {
	fd, err := unix.Openat(in, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// likeFolder gives a folder what another has besides its content.
func likeFolder(source, target *os.File) error {
	from, to := int(source.Fd()), int(target.Fd())
	var s unix.Stat_t
	if err := unix.Fstat(from, &s); err != nil {
		return err
	}
	if err := unix.Fchown(to, int(s.Uid), int(s.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(to, s.Mode&0o7777); err != nil {
		return err
	}
	if err := copyAttributes(from, to); err != nil {
		return err
	}
	return unix.UtimesNanoAt(to, ".", []unix.Timespec{s.Atim, s.Mtim}, 0)
}

// copyAttributes copies extended attributes. Those of the system need the capability SYS_ADMIN, without which they cannot even be
// seen: overlayfs has in them that a folder replaces the one below it.
func copyAttributes(from, to int) error {
	var list [64 << 10]byte // what the kernel has at most
	n, err := unix.Flistxattr(from, list[:])
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list attributes: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		var value [64 << 10]byte
		size, err := unix.Fgetxattr(from, name, value[:])
		if err == nil {
			err = unix.Fsetxattr(to, name, value[:size], 0)
		}
		if err != nil {
			return fmt.Errorf("copy attribute %s: %w", name, err)
		}
	}
	return nil
}
