#!/bin/sh
# need.sh WHAT... - makes sure that this machine has what a make target needs: go, payload, race, vm, dnsperf, wrk, tmux, field,
# conformance, browser.
# Missing packages are installed where that needs no password (apt, as root or with sudo); elsewhere it prints the
# command to run, and the exit status is 1.
set -u

missing=
need() { # need DEBIAN_PACKAGE COMMAND...: the package is missing if the command fails
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}
have() { command -v "$1"; }
links() { # does the C compiler link a program with these flags?
	echo 'int main(void) { return 0; }' | gcc -x c -o /dev/null - "$@"
}

for what in "$@"; do
	case $what in
	go)
		have go >/dev/null || {
			echo "bonsai is built with Go (the version in go.mod or newer), which is not in PATH: https://go.dev/dl" >&2
			exit 1
		}
		;;
	payload) # runc needs a static libseccomp, pause a static libc
		need gcc have gcc
		need make have make
		need bzip2 have bzip2
		need libc6-dev links -static
		need pkg-config have pkg-config
		need libseccomp-dev links -static -lseccomp
		;;
	race) # the race detector needs cgo
		need gcc have gcc
		need make have make
		need bzip2 have bzip2
		need libc6-dev links
		;;
	vm)
		need qemu-system-x86 have qemu-system-x86_64
		need qemu-utils have qemu-img
		need mmdebstrap have mmdebstrap
		need e2fsprogs have mkfs.ext4
		need openssh-client have ssh
		;;
	dnsperf) need dnsperf have dnsperf ;;
	wrk) need wrk have wrk ;;
	tmux) need tmux have tmux ;;
	browser)
		need chromium have chromium
		need libnss3-tools have certutil
		;;
	field) # what its cases talk to; a case whose program is missing is skipped
		need busybox-static have busybox
		need docker-registry have docker-registry
		need skopeo have skopeo
		need etcd-client have etcdctl
		need dnsmasq-base have dnsmasq
		;;
	conformance) # images are made of Debian packages and small C programs
		have dpkg-deb >/dev/null || {
			echo "the images of the conformance tests are made of Debian packages: run this on Debian or Ubuntu" >&2
			exit 1
		}
		need gcc have gcc
		need make have make
		need bzip2 have bzip2
		need libc6-dev links -static
		need musl-tools have musl-gcc
		;;
	*)
		echo "need.sh: $what?" >&2
		exit 2
		;;
	esac
done

missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
missing=${missing% }
[ -n "$missing" ] || exit 0

if ! have apt-get >/dev/null; then
	echo "missing here, by their Debian names: $missing" >&2
	if have dnf >/dev/null; then
		echo "run: sudo dnf install gcc glibc-static pkgconf-pkg-config libseccomp-devel libseccomp-static" >&2
	else
		echo "install them with this system's package manager and run make again" >&2
	fi
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	sudo=
elif sudo -n true 2>/dev/null; then
	sudo='sudo -n'
else
	echo "missing here: $missing" >&2
	echo "run: sudo apt-get install -y $missing" >&2
	exit 1
fi
echo "installing what is missing here: $missing"
install() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null; }
# Fresh containers and old machines have no usable package lists.
install 2>/dev/null || { $sudo apt-get update -qq && install; } || {
	echo "apt-get could not install: $missing" >&2
	exit 1
}
