#!/bin/sh
# packages.sh light|heavy - lists the packages whose tests link no (light) or some (heavy) of Kubernetes, etcd
# or containerd itself. Light ones are tested with the race detector; compiling the others for it takes too long.
# What is below test/ needs bin/bonsai and an engine and is in neither list.
set -eu

case $1 in light) wanted=0 ;; heavy) wanted=1 ;; *) exit 2 ;; esac
go list -test -f '{{if .ForTest}}{{.ForTest}} {{join .Deps " "}}{{else if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{join .Deps " "}}{{end}}' ./... |
	awk -v wanted=$wanted '
		$1 ~ /^bonsai\/test\// { next }
		{ if (/ k8s\.io\/kubernetes\// || / go\.etcd\.io\/etcd\/server\//) heavy[$1] = 1; else heavy[$1] += 0 }
		END { for (p in heavy) if (heavy[p] == wanted) print p }' | sort
