package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// debianPrograms are the executables that come from Debian packages. Their libraries are determined from what they
// link.
var debianPrograms = map[string]string{ // program → package
	"nft":     "nftables",       // kube-proxy and the CNI plugins run it
	"mount":   "mount",          // kubelet runs it, with options that busybox does not know
	"umount":  "mount",          //
	"busybox": "busybox-static", // the shell and tools of "bonsai ssh"
}

// Packages from which only data is used.
const (
	certificatesPackage = "ca-certificates" // to pull images over TLS
	licencesPackage     = "base-files"      // the GPL and others, to which Debian's copyright files refer
	seccompPackage      = "libseccomp2"     // for its copyright: runc has the library linked in
)

// zlibPackage is the only package of a library whose name does not begin with lib.
const zlibPackage = "zlib1g"

// nssLibraries are opened by glibc older than 2.34 to look up names in /etc and DNS; nothing links them.
var nssLibraries = []string{"libnss_files.so.2", "libnss_dns.so.2"}

// notFromBusybox are applets that would hide a better program of the payload or make no sense in a node.
var notFromBusybox = []string{"busybox", "mount", "umount", "init", "linuxrc", "halt", "poweroff", "reboot", "dpkg", "dpkg-deb", "rpm", "rpm2cpio"}

// debian is one run of debianFiles or toolsImage.
type debian struct {
	work     string // of archives and own package lists
	unpacked string // has a folder for each package
	tree     string // of the payload, or of an image
	// programs and their packages; with their libraries they get into tree.
	programs map[string]string
	aptFlags []string
	used     map[string]bool // packages with files in tree
}

// newDebian prepares a run that works in a folder of this name below out.
func newDebian(out, name, tree string, programs map[string]string) (*debian, error) {
	work, err := filepath.Abs(filepath.Join(out, name))
	if err != nil {
		return nil, err
	}
	d := &debian{work: work, unpacked: filepath.Join(work, "unpacked"), tree: tree, programs: programs, used: map[string]bool{}}
	return d, errors.Join(os.RemoveAll(work), os.MkdirAll(d.unpacked, 0o755))
}

// debianFiles downloads packages, unpacks them below out and copies what a node needs of them into tree.
func debianFiles(ctx context.Context, tree, out string) error {
	d, err := newDebian(out, "debian", tree, debianPrograms)
	if err != nil {
		return err
	}
	d.used[seccompPackage] = true
	if err := d.copyPrograms(ctx, certificatesPackage, licencesPackage, seccompPackage); err != nil {
		return err
	}
	if err := d.busyboxLinks(ctx, notFromBusybox); err != nil {
		return err
	}
	if err := d.certificates(); err != nil {
		return err
	}
	return d.licences(ctx, filepath.Join(tree, "licenses", "debian"))
}

// copyPrograms fetches the packages of all programs and more, and copies the programs and what they link into tree.
func (d *debian) copyPrograms(ctx context.Context, more ...string) error {
	packages := slices.Compact(slices.Sorted(maps.Values(d.programs)))
	if err := d.fetch(ctx, append(packages, more...)); err != nil {
		return err
	}
	for name := range maps.Keys(d.programs) {
		if err := d.copyProgram(name); err != nil {
			return err
		}
	}
	return d.libraries(ctx, packages)
}

// fetch downloads packages and unpacks each into a folder of its name.
func (d *debian) fetch(ctx context.Context, packages []string) error {
	download := func() error {
		// As root, apt would switch to a user who may not write here.
		args := slices.Concat([]string{"download", "-qq", "-o", "APT::Sandbox::User=root"}, d.aptFlags, packages)
		_, err := output(ctx, d.work, "apt-get", args...)
		return err
	}
	if err := download(); err != nil {
		if d.aptFlags != nil {
			return err
		}
		// The system's package lists are missing (fresh containers have none) or too old. A private copy needs no root.
		if listErr := d.ownPackageLists(ctx); listErr != nil {
			return errors.Join(err, listErr)
		}
		if err := download(); err != nil {
			return err
		}
	}
	for _, name := range packages {
		archives, err := filepath.Glob(filepath.Join(d.work, name+"_*.deb"))
		if err != nil || len(archives) != 1 {
			return fmt.Errorf("apt-get download %s left archives %q, want one", name, archives)
		}
		if _, err := output(ctx, d.work, "dpkg-deb", "-x", archives[0], filepath.Join(d.unpacked, name)); err != nil {
			return err
		}
	}
	return nil
}

func (d *debian) ownPackageLists(ctx context.Context) error {
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(d.work, dir), 0o755); err != nil {
			return err
		}
	}
	d.aptFlags = []string{
		"-o", "Dir::State=" + filepath.Join(d.work, "state"),
		"-o", "Dir::State::status=/var/lib/dpkg/status",
		"-o", "Dir::Cache=" + filepath.Join(d.work, "cache"),
	}
	_, err := output(ctx, d.work, "apt-get", append([]string{"update", "-qq", "-o", "APT::Sandbox::User=root"}, d.aptFlags...)...)
	return err
}

// find returns the first path below unpacked with this base name for which ok is true, links followed.
func (d *debian) find(base string, ok func(path string) bool) (found string, err error) {
	err = filepath.WalkDir(d.unpacked, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() != base || !ok(path) {
			return err
		}
		found, err = filepath.EvalSymlinks(path)
		return errors.Join(err, filepath.SkipAll)
	})
	if err != nil && !errors.Is(err, filepath.SkipAll) {
		return "", err
	}
	return found, nil
}

// use records the package that a path returned by find belongs to.
func (d *debian) use(path string) {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, d.unpacked+"/"), "/")
	d.used[name] = true
}

func (d *debian) copyProgram(name string) error {
	path, err := d.find(name, func(path string) bool { return strings.HasSuffix(filepath.Dir(path), "bin") })
	if err != nil {
		return err
	}
	if path == "" {
		return fmt.Errorf("package %s has no program %s", d.programs[name], name)
	}
	d.use(path)
	return copyFile(filepath.Join(d.tree, "bin", name), path, 0o755)
}

// libraries copies all shared libraries that the programs need, and fetches the packages with them: the dependencies of
// packages, then theirs, until nothing is missing. Only packages named lib*, and zlib, are followed: no others contain
// libraries, and the rest of Debian is not needed.
func (d *debian) libraries(ctx context.Context, packages []string) error {
	fetched := map[string]bool{}
	for {
		missing, err := d.copyLibraries()
		if err != nil || len(missing) == 0 {
			return err
		}
		packages, err = d.dependencies(ctx, packages)
		if err != nil {
			return err
		}
		packages = slices.DeleteFunc(packages, func(name string) bool { return fetched[name] })
		if len(packages) == 0 {
			return fmt.Errorf("no package holds %s", strings.Join(missing, ", "))
		}
		for _, name := range packages {
			fetched[name] = true
		}
		if err := d.fetch(ctx, packages); err != nil {
			return err
		}
	}
}

// copyLibraries copies what the programs and libraries in tree need, transitively, and returns what it did not find.
func (d *debian) copyLibraries() (missing []string, err error) {
	lib := filepath.Join(d.tree, "lib")
	var queue []string
	for name := range maps.Keys(d.programs) {
		queue = append(queue, filepath.Join(d.tree, "bin", name))
	}
	seen := map[string]bool{}
	for len(queue) > 0 {
		needed, err := neededBy(queue[0])
		if err != nil {
			return nil, err
		}
		queue = queue[1:]
		if len(needed) > 0 {
			needed = append(needed, nssLibraries...)
		}
		for _, name := range needed {
			if seen[name] {
				continue
			}
			seen[name] = true
			path, err := d.find(name, func(path string) bool { return strings.Contains(path, "/lib") })
			if err != nil {
				return nil, err
			}
			if path == "" {
				missing = append(missing, name)
				continue
			}
			d.use(path)
			if err := copyFile(filepath.Join(lib, name), path, 0o755); err != nil {
				return nil, err
			}
			queue = append(queue, filepath.Join(lib, name))
		}
	}
	return missing, nil
}

// neededBy returns the libraries that an executable or library links, including its dynamic loader.
func neededBy(path string) ([]string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer file.Close()
	needed, err := file.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if section := file.Section(".interp"); section != nil {
		loader, err := section.Data()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		needed = append(needed, filepath.Base(string(bytes.TrimRight(loader, "\x00"))))
	}
	return needed, nil
}

// dependencies returns the packages of libraries that packages depend on.
func (d *debian) dependencies(ctx context.Context, packages []string) ([]string, error) {
	args := slices.Concat([]string{"depends", "--important"}, d.aptFlags, packages)
	out, err := output(ctx, d.work, "apt-cache", args...)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(out) {
		kind, name, _ := strings.Cut(strings.Trim(line, " |\n"), ": ")
		if name, _, _ = strings.Cut(name, ":"); strings.HasSuffix(kind, "Depends") && (strings.HasPrefix(name, "lib") || name == zlibPackage) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// busyboxLinks gives busybox the names of its applets, except those.
func (d *debian) busyboxLinks(ctx context.Context, except []string) error {
	bin := filepath.Join(d.tree, "bin")
	applets, err := output(ctx, "", filepath.Join(bin, "busybox"), "--list")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(applets) {
		if slices.Contains(except, name) {
			continue
		}
		if err := symlink("busybox", filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return nil
}

// certificates puts Mozilla's roots into one file, as Debian's update-ca-certificates does on installation.
func (d *debian) certificates() error {
	names, err := filepath.Glob(filepath.Join(d.unpacked, certificatesPackage, "usr/share/ca-certificates/mozilla/*.crt"))
	if err != nil || len(names) == 0 {
		return fmt.Errorf("package %s has no certificates where they used to be", certificatesPackage)
	}
	var bundle bytes.Buffer
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		bundle.Write(append(bytes.TrimSpace(data), '\n'))
	}
	d.used[certificatesPackage] = true
	target := filepath.Join(d.tree, "etc/ssl/certs/ca-certificates.crt")
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, bundle.Bytes(), 0o644)
}

// licences copies into dir the copyright files of all packages in use, the licences they refer to, and a list that says
// where the sources are.
func (d *debian) licences(ctx context.Context, dir string) error {
	list := "Binary packages of Debian (or of a distribution made from it) of which files are in this folder's parent.\n" +
		"Their sources: Debian's archive of all past packages, by package and version.\n\n"
	for _, name := range slices.Sorted(maps.Keys(d.used)) {
		from := filepath.Join(d.unpacked, name, "usr/share/doc", name, "copyright")
		if err := copyFile(filepath.Join(dir, name, "copyright"), from, 0o644); err != nil {
			return err
		}
		archives, err := filepath.Glob(filepath.Join(d.work, name+"_*.deb"))
		if err != nil {
			return err
		}
		version, err := output(ctx, "", "dpkg-deb", "--show", "--showformat=${Package} ${Version} (source: ${source:Package} ${source:Version})\n", archives[0])
		if err != nil {
			return err
		}
		list += version
	}
	common := filepath.Join(d.unpacked, licencesPackage, "usr/share/common-licenses")
	names, err := os.ReadDir(common)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := copyFile(filepath.Join(dir, "common-licenses", name.Name()), filepath.Join(common, name.Name()), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "packages.txt"), []byte(list), 0o644)
}
