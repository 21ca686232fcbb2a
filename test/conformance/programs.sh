#!/usr/bin/env bash
# programs.sh - compiles the programs of a run into build/conformance/bin: upstream's e2e.test, ginkgo and kubectl, and
# our own suite and registry. What was compiled from the same modules is kept.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

renew "$BIN" go.mod go.sum lib.sh programs.sh

flags=$(version_flags)
if [[ ! -e $BIN/e2e.test ]]; then
	say "compiling e2e.test (cold: ten minutes)"
	(cd "$KIT" && go test -c -vet=off -ldflags "-s -w $flags" -o "$BIN/e2e.test" k8s.io/kubernetes/test/e2e)
fi
program ginkgo github.com/onsi/ginkgo/v2/ginkgo
program kubectl k8s.io/kubernetes/cmd/kubectl "$flags"
# Our own are small: the compiler knows whether anything changed.
(cd "$KIT" && go build -o "$BIN/" ./cmd/...)
