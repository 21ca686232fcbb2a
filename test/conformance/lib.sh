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

# Of a script that has a cluster. It sets $cluster, the name, and exports BONSAI_HOME and KUBECONFIG.

child='' interrupted='' # the process of the tests, and whether they are to end

# bonsai VERB ARGUMENT...: for the cluster of this run. The daemon must not inherit the lock.
bonsai() { "$ROOT/bin/bonsai" "$1" -p "$cluster" "${@:2}" 9>&-; }

# begin TARGET LOCK DIR: makes this the only run that uses DIR. "make TARGET" builds bonsai and starts it.
begin() {
	[[ -x $ROOT/bin/bonsai ]] || die "bin/bonsai is missing: run make $1"
	mkdir -p "${2%/*}"
	exec 9>"$2"
	flock -n 9 || die "another run uses $3"
}

# leftovers: deletes what a run left behind that was killed.
leftovers() { [[ ! -d $BONSAI_HOME ]] || bonsai delete >/dev/null 2>&1 || true; }

discard() { bonsai delete >/dev/null || true; }

# leave: deletes the cluster, or says where it is if it is to be kept.
leave() {
	if [[ -n ${KEEP:-} ]]; then
		say "the cluster is kept: BONSAI_HOME=$BONSAI_HOME KUBECONFIG=$KUBECONFIG bin/bonsai status -p $cluster"
	else
		discard
	fi
}

# finish COMMAND: the trap of EXIT. Whatever happens, nothing is left behind.
finish() {
	local code=$?
	trap '' INT TERM HUP
	"$@"
	exit "$code"
}

# interrupt: the trap of signals. The tests end first, and then finish deletes the cluster.
interrupt() {
	interrupted=1
	[[ -n $child ]] || exit 130
	kill "$child" 2>/dev/null || true
}

# references DIR...: the images that the manifests there name.
references() { grep -rhoE 'image: *[^ ]+' "$@" --include '*.yaml' | sed 's/image: *//' | sort -u; }

# pack DIR TAR REFERENCE [DOCKERFILE INSTRUCTION...]: writes the archive of an image that has what is in DIR.
pack() {
	tar -C "$1" --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 -c . | "$BIN/archive" "$2.new" "${@:3}"
	mv "$2.new" "$2"
}

# Of a suite that is a module of its own. Its script defines "programs" and "images", which build what it needs into $built.

# suite_in FOLDER CLUSTER: where it has its things.
suite_in() {
	name=$1 here=$KIT/$1 cluster=$2
	built=$OUT/$1 # programs and images
	BIN=$built/bin
	report=$OUT/report-$1
	[[ -z ${FOCUS:-} ]] || report+=-selected
	export BONSAI_HOME=$OUT/home-$1 KUBECONFIG=$OUT/kubeconfig-$1
}

# suite_programs INPUT...: compiles the tests, and the program that makes images. What else is built is kept unless one of the inputs,
# or of those that all suites have, is another one.
suite_programs() {
	renew "$built" "$name/go.mod" "$name/go.sum" "$name/run.sh" lib.sh cmd/archive/main.go "$@"
	mkdir -p "$BIN" "$built/images"
	say "compiling the tests"
	(cd "$here" && go test -c -o "$BIN/suite" .)
	[[ -e $BIN/archive ]] || (cd "$KIT" && go build -o "$BIN/archive" ./cmd/archive)
}

# suite_image REFERENCE DIR [DOCKERFILE INSTRUCTION...]: writes the archive, unless it is there.
suite_image() {
	local tar
	tar=$built/images/$(basename "${1//:/-}").tar
	[[ -e $tar ]] || pack "$2" "$tar" "$1" "${@:3}"
}

# suite_run ADDON: runs the tests on two nodes with the addon.
suite_run() {
	begin "conformance-$name" "$OUT/lock-$name" "$built"
	programs
	images
	trap 'finish leave' EXIT
	trap interrupt INT TERM HUP
	leftovers
	# Unquoted on purpose: flags.
	# shellcheck disable=SC2086
	bonsai start --nodes 2 ${START_ARGS:-}
	bonsai addons enable "$1" # where it is there already, this waits for the resource definitions that it installs
	local archive
	for archive in "$built"/images/*.tar; do
		bonsai image load "$archive" >/dev/null
	done
	suite_tests
	exit
}

# The environment has the proxies of this machine, and nodes are not behind one.
suite_tests() {
	local code=0
	rm -rf "$report"
	mkdir -p "$report"
	env -u HTTP_PROXY -u HTTPS_PROXY -u http_proxy -u https_proxy -u ALL_PROXY -u all_proxy \
		"$BIN/suite" -test.run '^TestConformance$' -test.v -test.timeout 2h -cluster "$KUBECONFIG" -report "$report" \
		-release "$("$ROOT/bin/bonsai" version | head -1)" -focus "${FOCUS:-}" >"$report/suite.log" 9>&- &
	child=$!
	wait "$child" || code=$?
	[[ -z $interrupted ]] || exit 130
	[[ -s $report/result.txt ]] || {
		tail -30 "$report/suite.log" >&2
		die "the suite did not begin; see $report/suite.log"
	}
	say "the results are in $report"
	tail -1 "$report/result.txt"
	[[ $code = 0 ]] || exit 1
}
