//go:build !linux

package componentlog

import "os"

// becomeOutput does nothing: daemons run on Linux only.
func becomeOutput(*os.File) {}
