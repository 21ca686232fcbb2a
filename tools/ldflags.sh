#!/bin/sh
# ldflags.sh - prints the linker flags of bin/bonsai: versions from go.mod, commit and date from git.
# The same commit gives the same flags, so that linking is skipped when nothing has changed.
set -eu

version_of() { go list -m -f '{{.Version}}' "$1"; }
kubernetes=$(version_of k8s.io/kubernetes)
number=${kubernetes#v}
major=${number%%.*}
minor=${number#*.}
minor=${minor%%.*}

commit=unknown state=archive date=1970-01-01T00:00:00Z version=
if git rev-parse --verify -q HEAD >/dev/null 2>&1; then
	commit=$(git rev-parse HEAD)
	date=$(TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)
	state=clean
	[ -z "$(git status --porcelain --untracked-files=no)" ] || state=dirty
	version=$(git describe --tags --match 'v[0-9]*' 2>/dev/null) || version=
fi

printf -- '-s -w'
set_() { printf -- ' -X %s=%s' "$1" "$2"; }
# Without these the API server calls itself v0.0.0-master, and clients refuse it.
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	set_ $package.gitVersion "$kubernetes"
	set_ $package.gitMajor "$major"
	set_ $package.gitMinor "$minor"
	set_ $package.gitCommit "$commit"
	set_ $package.gitTreeState "$state"
	set_ $package.buildDate "$date"
done
own=bonsai/bootstrap/buildinfo
[ -z "$version" ] || set_ $own.Version "$version"
[ $state != dirty ] || commit=$commit-dirty
set_ $own.Commit "$commit"
set_ $own.kubernetes "$kubernetes"
set_ $own.etcd "$(version_of go.etcd.io/etcd/server/v3)"
set_ $own.containerd "$(version_of github.com/containerd/containerd/v2)"
set_ $own.runc "$(version_of github.com/opencontainers/runc)"
set_ $own.cniPlugins "$(version_of github.com/containernetworking/plugins)"
