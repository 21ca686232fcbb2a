#!/bin/sh
# packages.sh light|heavy|all-light|all-heavy - lists the packages that, with their tests, link no (light) or some
# (heavy) of Kubernetes or etcd themselves. Light ones are tested with the race detector and linted in depth; for the
# others both would take too long. Without "all-" packages that have no tests are left out, and so are those below
# test/ and in folders named e2e, which need bin/bonsai and an engine.
set -eu

case $1 in
light) wanted=0 all=0 ;;
heavy) wanted=1 all=0 ;;
all-light) wanted=0 all=1 ;;
all-heavy) wanted=1 all=1 ;;
*) exit 2 ;;
esac
# Besides each package "go list -test" lists its test executable, the package with its tests, and others rebuilt
# for the test.
go list -test -f '{{if .ForTest}}{{.ForTest}} T{{else}}{{.ImportPath}} {{if or .TestGoFiles .XTestGoFiles}}T{{else}}-{{end}}{{end}} {{join .Deps " "}}' ./... |
	awk -v wanted="$wanted" -v all="$all" '
		$1 ~ /\.test$/ || !all && ($2 != "T" || $1 ~ /^bonsai\/test\/|\/e2e$/) { next }
		{ heavy[$1] += / k8s\.io\/kubernetes\// || / go\.etcd\.io\/etcd\/server\// }
		END { for (p in heavy) if (!heavy[p] == !wanted) print p }' | sort
