package footprint

import "golang.org/x/sys/unix"

// drop forgets the pages of a private, clean file mapping (madvise(2), MADV_DONTNEED): the next access reads the file.
func drop(m mapping) error {
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.begin, m.end-m.begin, unix.MADV_DONTNEED); errno != 0 {
		return errno
	}
	return nil
}
