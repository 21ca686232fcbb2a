# lib.sh - what the scripts here share: where things are, and the words that they are written with. To be sourced.
# shellcheck shell=bash
set -euo pipefail
shopt -s inherit_errexit

KIT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$KIT/../.." && pwd)
OUT=$ROOT/build/conformance
BIN=$OUT/bin       # programs
IMAGES=$OUT/images # archives of one image each
WORK=$OUT/work

# The same as in the Makefile, so that what bonsai has compiled already is not compiled again.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:--trimpath -buildvcs=false}"

VERSION=$(cd "$KIT" && go list -m -f '{{.Version}}' k8s.io/kubernetes)

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() {
	echo "conformance: $*" >&2
	exit 2
}

# renew DIR INPUT...: empties DIR unless it was made from the same inputs, by content. What is in it afterwards need not
# be made again.
renew() {
	local dir=$1 key
	shift
	key=$(cd "$KIT" && cat "$@" | sha256sum)
	[[ -e $dir/.made-from && $(<"$dir/.made-from") == "$key" ]] && return
	rm -rf "$dir"
	mkdir -p "$dir"
	echo "$key" >"$dir/.made-from"
}

# version_flags: the linker's flags by which a program of Kubernetes knows its version. Tests compare the client's with
# the server's.
version_flags() {
	local package minor=${VERSION#v1.}
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		printf ' -X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s' \
			"$package" "$VERSION" "$package" "$package" "${minor%%.*}"
	done
}

# program NAME PACKAGE [LDFLAGS]: compiles it into $BIN, unless it is there.
program() {
	[[ ! -e $BIN/$1 ]] || return 0
	say "compiling $1"
	(cd "$KIT" && go build -ldflags "-s -w ${3:-}" -o "$BIN/$1" "$2")
}
