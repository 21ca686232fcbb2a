//go:build !linux

package lastwords

import "os"

func reserve(*os.File, int64) error { return nil }
