package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// imageUsage is a mistake in the arguments of "image load".
func imageUsage(format string, v ...any) *fault.Fault {
	f := fault.Newf(fault.Usage, format, v...)
	f.Advice = []cluster.Advice{cluster.Advise("", help("bonsai image load"))}
	return f
}

// checkNames refuses arguments that are wrong whatever the engine has.
func checkNames(args []string) error {
	for _, arg := range args {
		if arg == "" {
			return imageUsage("the name of an image is empty")
		}
		if arg == "-" && len(args) > 1 {
			return imageUsage("%q is an archive; load one archive at a time", arg)
		}
	}
	return nil
}

// chooseSource decides what args name: "-", the path of an archive, or, if the answer is empty, images of the engine. Names
// and files look alike, so that only their content decides.
func (a *app) chooseSource(ctx context.Context, driver node.Driver, args []string) (string, error) {
	if args[0] == "-" {
		if isTerminal(a.Stdin) {
			return "", fault.Newf(fault.Usage, "standard input is the terminal, not an archive").
				Advise("load images of the engine by their names", cluster.Bonsai("image", "load", "IMAGE").Fill("IMAGE").Change()).
				Advise("or pipe the output of docker save into it")
		}
		return "-", nil
	}
	found, err := driver.FindImages(ctx, args)
	if err != nil {
		return "", err
	}
	for _, arg := range args {
		image := slices.ContainsFunc(found, func(i node.Image) bool { return i.Ref == arg })
		archive, err := a.isSource(arg, image)
		switch {
		case err != nil:
			return "", err
		case archive && len(args) > 1:
			return "", imageUsage("%q is an archive; load one archive at a time", arg)
		case archive:
			return arg, nil
		}
	}
	return "", nil
}

// isSource reports whether arg is an archive to load, and not an image of the engine.
func (a *app) isSource(arg string, image bool) (archive bool, err error) {
	asPath := strings.HasPrefix(arg, ".") || strings.HasPrefix(arg, "/")
	info, statErr := os.Stat(arg)
	regular := statErr == nil && info.Mode().IsRegular()
	if regular {
		if archive, err = looksLikeArchive(arg); err != nil {
			return false, fault.New(fault.Image, "open the archive", err).Advise("check the path; the name of an image looks like my-app:dev")
		}
	}
	switch {
	case statErr == nil && isStream(info):
		return true, nil
	case archive && image && !asPath:
		return false, fault.Newf(fault.Usage, "%s is an archive in this folder, and the Docker engine has an image of that name", arg).
			Advise("load the archive", cluster.Bonsai("image", "load").On("."+string(filepath.Separator)+arg).Change()).
			Advise("or load the image", cluster.Bonsai("image", "load").On(complete(arg)).Change())
	case archive:
		return true, nil
	case image && regular:
		a.note("%s is loaded from the Docker engine; the file of that name is not an archive", arg)
		return false, nil
	case image:
		return false, nil
	case regular && asPath:
		return false, fault.Newf(fault.Image, "%s is not an archive", arg).
			Advise("check that it is an archive of docker save or OCI, for this machine's architecture")
	case regular:
		return false, fault.Newf(fault.Image, "the file %s is not an archive, and the Docker engine has no image of that name", arg).
			Advise("see what it has", cluster.Program("docker", "images"))
	case statErr == nil && (asPath || hasArchiveSuffix(arg)):
		return false, imageUsage("%s is not a file", arg)
	case asPath || hasArchiveSuffix(arg):
		return false, fault.New(fault.Image, "open the archive", statErr).Advise("check the path; the name of an image looks like my-app:dev")
	}
	return false, nil // the engine says that it has no such image
}

// isStream reports whether a file can be read only once, such as /dev/stdin or what a shell makes of <(docker save IMAGE).
func isStream(info os.FileInfo) bool { return info.Mode()&(os.ModeNamedPipe|os.ModeCharDevice) != 0 }

// complete is the name of an image that is no path in this folder.
func complete(name string) string {
	if last := name[strings.LastIndex(name, "/")+1:]; !strings.ContainsAny(last, ":@") {
		return name + ":latest"
	}
	if strings.Contains(name, "/") {
		return "docker.io/" + name
	}
	return "docker.io/library/" + name
}

func hasArchiveSuffix(name string) bool {
	return slices.ContainsFunc([]string{".tar", ".gz", ".tgz", ".zst"}, func(s string) bool { return strings.HasSuffix(name, s) })
}

// looksLikeArchive reports whether a file begins as a tar archive or a compressed file does.
func looksLikeArchive(file string) (bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	head = head[:n]
	for _, magic := range []string{"\x1f\x8b", "\x28\xb5\x2f\xfd", "BZh", "\xfd7zXZ\x00"} { // gzip, zstd, bzip2, xz
		if bytes.HasPrefix(head, []byte(magic)) {
			return true, nil
		}
	}
	// The header of a tar archive of 1988 and later; before it is the name of the first file.
	return len(head) > 262 && string(head[257:262]) == "ustar", nil
}
