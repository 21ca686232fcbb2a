package imagestore

import (
	"slices"
	"strings"
)

// FullName completes the name of an image as pods and containerd do: "app" is docker.io/library/app:latest.
func FullName(ref string) string {
	name := ref
	first, _, hasSlash := strings.Cut(name, "/")
	switch {
	case !hasSlash:
		name = "docker.io/library/" + name
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		name = "docker.io/" + name
	case first == "docker.io" && strings.Count(name, "/") == 1:
		name = "docker.io/library/" + strings.TrimPrefix(name, "docker.io/")
	}
	base, digest, byDigest := strings.Cut(name, "@")
	tagged := strings.Contains(base[strings.LastIndex(base, "/")+1:], ":")
	switch {
	case byDigest && tagged: // the digest decides
		return base[:strings.LastIndex(base, ":")] + "@" + digest
	case byDigest || tagged:
		return name
	}
	return name + ":latest"
}

// Repository is a name without its tag and digest.
func Repository(ref string) string {
	base, _, _ := strings.Cut(ref, "@")
	if i := strings.LastIndex(base, ":"); i > strings.LastIndex(base, "/") {
		base = base[:i]
	}
	return base
}

// Names decides under which names pods find an image. tags are those that it was saved with; digests are names by digest that
// its writer knows, by the digest of its manifest or its configuration: an archive of "docker save" has neither the manifests
// of the registry nor their digests. An image in OCI form has the manifest; it gets the name by digest that a pull gives.
func (i Image) Names(tags []string, digests map[string][]string) (names []string) {
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, t := range tags {
		add(FullName(t))
	}
	for _, d := range append(append([]string{}, digests[i.Target.Digest]...), digests[i.Config.Digest]...) {
		add(FullName(d))
	}
	if !i.converted() {
		for _, t := range tags {
			add(Repository(FullName(t)) + "@" + i.Target.Digest)
		}
	}
	return names
}
