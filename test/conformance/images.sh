#!/usr/bin/env bash
# images.sh - builds every image that the conformance tests start, as archives in build/conformance/images, from programs
# of Go modules and from Debian packages. Nothing is pulled, and no container engine is used. What was built from the same
# inputs is kept. docs/conformance.md lists how the images differ from upstream's, and why.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The test's tag says 1.29.2, which is v0.29.2 as a module.
SAMPLE_APISERVER=v0.29.2
DEBS=$OUT/debs # packages as they come from the archive
E2E=registry.k8s.io/e2e-test-images
ENVPATH='ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

renew "$IMAGES" go.mod go.sum lib.sh images.sh getent/getent.c cmd/archive/main.go cmd/layout/main.go ../coredns/go.mod
mkdir -p "$WORK" "$DEBS/partial"

K8S=$(cd "$KIT" && go mod download k8s.io/kubernetes && go list -m -f '{{.Dir}}' k8s.io/kubernetes)

# missing REFERENCE: its archive is not there.
missing() { [[ ! -e $(archive "$1") ]]; }

# archive REFERENCE: the path of its archive.
archive() {
	local name=${1#registry.k8s.io/}
	name=${name#e2e-test-images/}
	echo "$IMAGES/${name//[:\/]/-}.tar"
}

# image REFERENCE DIR [DOCKERFILE INSTRUCTION...]: writes the archive.
image() {
	local tar
	tar=$(archive "$1")
	pack "$2" "$tar" "$1" "${@:3}"
	say "$1: $(du -h "$tar" | cut -f1)"
}

# root NAME PACKAGE...: a fresh folder holding the Debian packages and all they depend on, unpacked: no script of theirs
# runs. Prints its path.
root() {
	local dir=$WORK/$1 list=$WORK/$1.debs deb
	shift
	rm -rf "$dir" "$list"
	mkdir -p "$dir"/usr/{bin,sbin,lib,lib64} "$dir"/{dev,etc,proc,root,run,sys,tmp,var/tmp}
	for d in bin sbin lib lib64; do ln -s "usr/$d" "$dir/$d"; done
	chmod 1777 "$dir/tmp" "$dir/var/tmp"
	# With an empty list of installed packages apt fetches everything they depend on.
	: >"$WORK/empty"
	local opts=(-o "Dir::State::status=$WORK/empty" -o "Dir::Cache::archives=$DEBS" -o Debug::NoLocking=1
		-o APT::Install-Recommends=false -o APT::Sandbox::User=root -o APT::Keep-Downloaded-Packages=true)
	apt-get -y -qq --download-only "${opts[@]}" install "$@" >&2
	apt-get -y -qq --print-uris "${opts[@]}" --reinstall -o Dir::Cache::archives=/nonexistent/ install "$@" |
		awk '{print $2}' >"$list"
	while read -r deb; do
		dpkg-deb --fsys-tarfile "$DEBS/$deb" | tar -x --no-same-owner --keep-directory-symlink -C "$dir"
	done <"$list"
	rm -rf "$dir"/usr/share/{doc,doc-base,info,lintian,locale,man,bash-completion,bug} "$dir"/var/{cache,log}/*
	local libraries=("$dir"/usr/lib/*-linux-gnu)
	if [[ -e ${libraries[0]} ]]; then
		echo "${libraries[0]#"$dir"}" >"$dir/etc/ld.so.conf"
		/sbin/ldconfig -r "$dir"
	fi
	printf 'hosts: files dns\n' >"$dir/etc/nsswitch.conf"
	accounts "$dir"
	# Each busybox command that no package brought, as the Alpine images have.
	local applet
	for applet in $("$dir/bin/busybox" --list); do
		[[ -e $dir/bin/$applet || -L $dir/bin/$applet || -e $dir/sbin/$applet ]] || ln -s busybox "$dir/bin/$applet"
	done
	ln -sf busybox "$dir/bin/sh"
	echo "$dir"
}

# accounts DIR: the users and groups of the images.
accounts() {
	cat >"$1/etc/passwd" <<-'END'
		root:x:0:0:root:/root:/bin/sh
		daemon:x:1:1:daemon:/usr/sbin:/bin/false
		bin:x:2:2:bin:/bin:/bin/false
		www-data:x:33:33:www-data:/var/www:/bin/false
		nobody:x:65534:65534:nobody:/nonexistent:/bin/false
	END
	cat >"$1/etc/group" <<-'END'
		root:x:0:
		daemon:x:1:
		bin:x:2:
		tty:x:5:
		www-data:x:33:
		nogroup:x:65534:
	END
}

# scratch NAME: an empty folder. Prints its path.
scratch() {
	rm -rf "${WORK:?}/$1"
	mkdir -p "$WORK/$1/etc" "$WORK/$1/tmp"
	chmod 1777 "$WORK/$1/tmp"
	accounts "$WORK/$1"
	echo "$WORK/$1"
}

# pause: upstream's C source, linked statically.
pause() {
	local ref=registry.k8s.io/pause:3.10.2 dir
	missing "$ref" || return 0
	dir=$(scratch pause)
	gcc -Os -Wall -static -DVERSION=3.10.2 -o "$dir/pause" "$K8S/build/pause/linux/pause.c"
	strip "$dir/pause"
	image "$ref" "$dir" 'USER 65535:65535' 'ENTRYPOINT ["/pause"]'
}

# busybox_program: busybox as its authors release it, with all its commands, static. The source is Debian's without Debian's
# patches: one of these has the shell drop environment names such as data-1, which tests look for, and its wget crashes on -T.
busybox_program() {
	[[ ! -e $BIN/busybox ]] || return 0
	local dir=$WORK/busybox-source file
	say "compiling busybox"
	rm -rf "$dir"
	mkdir -p "$dir"/{parts,lists/partial,cache/archives/partial}
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
		[[ ! -f $file ]] || sed -E 's/^deb[[:space:]]/deb-src /; s/^Types:.*/Types: deb-src/' "$file" >"$dir/parts/${file##*/}"
	done
	: >"$dir/status"
	local opts=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/parts" -o "Dir::State::lists=$dir/lists"
		-o "Dir::Cache=$dir/cache" -o "Dir::State::status=$dir/status" -o APT::Sandbox::User=root)
	apt-get -qq "${opts[@]}" update >&2 || true # other sources may have no such index; what follows shows whether it worked
	(
		cd "$dir"
		apt-get -qq "${opts[@]}" source --download-only busybox >&2
		tar -xf busybox_*.orig.tar.*
		cd busybox-*/
		make -s defconfig >/dev/null
		# Traffic control does not compile with the headers of newer kernels.
		sed -i 's/^# CONFIG_STATIC is not set/CONFIG_STATIC=y/; s/^CONFIG_TC=y/# CONFIG_TC is not set/' .config
		make -s -j"$(nproc)" busybox >"$dir/log" 2>&1 || { tail -n 20 "$dir/log" >&2; exit 1; }
		mv busybox "$BIN/busybox"
	)
}

# busybox: everything in /bin, as in Docker's official image; nonroot is the same for another user.
busybox() {
	local tag dir='' applet
	local -a user
	for tag in busybox:1.37.0-2 nonroot:1.5; do
		missing "$E2E/$tag" || continue
		if [[ -z $dir ]]; then
			busybox_program
			dir=$(scratch busybox)
			mkdir -p "$dir"/{bin,dev,home,proc,root,sys,usr/bin,usr/sbin,var/tmp}
			chmod 1777 "$dir/var/tmp"
			cp "$BIN/busybox" "$dir/bin/busybox"
			for applet in $("$BIN/busybox" --list); do
				[[ $applet = busybox ]] || ln -s busybox "$dir/bin/$applet"
			done
			ln -s ../../bin/env "$dir/usr/bin/env"
		fi
		user=()
		[[ $tag != nonroot* ]] || user=('USER 1234')
		image "$E2E/$tag" "$dir" "$ENVPATH" "${user[@]}" 'CMD ["sh"]'
	done
}

# agnhost, and what upstream bases on it. Upstream's is Alpine; ours is Debian with busybox (the shared build: the static
# one runs its own commands before those in PATH), without ipcs, which no conformance test needs.
agnhost() {
	local tag dir='' name
	local expose=('EXPOSE 80' 'EXPOSE 8080' 'EXPOSE 8081' 'EXPOSE 9376' 'EXPOSE 5000')
	for tag in agnhost:2.66.1 agnhost:2.55 nautilus:1.8 kitten:1.8; do
		missing "$E2E/$tag" || continue
		[[ -n $dir ]] || dir=$(agnhost_root)
		name=${tag%%:*}
		case $name in
		agnhost) # one source for both versions: they differ in what they report
			program "$tag" k8s.io/kubernetes/test/images/agnhost "-X main.Version=${tag#*:}"
			install -m 755 "$BIN/$tag" "$dir/agnhost"
			image "$E2E/$tag" "$dir" "$ENVPATH" "${expose[@]}" 'ENTRYPOINT ["/agnhost"]' 'CMD ["pause"]'
			;;
		*)
			program agnhost:2.66.1 k8s.io/kubernetes/test/images/agnhost '-X main.Version=2.66.1'
			install -m 755 "$BIN/agnhost:2.66.1" "$dir/agnhost"
			install -m 644 "$K8S/test/images/$name/html/"* "$dir/"
			# The test of image volumes looks for "Alpine Linux" in kitten's os-release. Ours says what it is.
			[[ $name != kitten ]] || sed -i 's/^PRETTY_NAME="\(.*\)"/PRETTY_NAME="\1, in place of Alpine Linux"/' \
				"$dir/usr/lib/os-release"
			image "$E2E/$tag" "$dir" "$ENVPATH" "${expose[@]}" 'ENTRYPOINT ["/agnhost"]' 'CMD ["test-webserver"]'
			(cd "$dir" && rm -f data.json "$name.jpg")
			;;
		esac
	done
}

agnhost_root() {
	local dir
	dir=$(root agnhost busybox bash base-files libc-bin hostname bind9-dnsutils curl wget netcat-openbsd iproute2 iperf socat)
	mkdir -p "$dir/uploads" "$dir/usr/local/bin"
	ln -sf nc.openbsd "$dir/bin/nc"
	echo 'tries = 1' >>"$dir/etc/wgetrc" # Alpine's wget does not try again
	ln -s /usr/bin/iperf "$dir/usr/local/bin/iperf"
	ln -s agnhost "$dir/agnhost-2"
	# Upstream's is CoreDNS 1.6.2; tests configure two of its plugins.
	[[ -e $BIN/coredns ]] || (cd "$ROOT/test/coredns" && say "compiling CoreDNS" && go build -ldflags '-s -w' -o "$BIN/coredns" ./cmd/hosts)
	install -m 755 "$BIN/coredns" "$dir/coredns"
	musl-gcc -Os -Wall -static -o "$dir/usr/bin/getent" "$KIT/getent/getent.c"
	cp "$K8S"/test/images/agnhost/porter/localhost.{crt,key} "$dir/"
	chmod 644 "$dir"/localhost.*
	# What fake-registry-server serves: the list is upstream's.
	local image tag internal
	while read -r image tag internal; do
		"$BIN/layout" "$dir/var/registry" "$(archive "registry.k8s.io/$image:$tag")" "$image" "$internal"
	done <"$K8S/test/images/agnhost/fakeregistryserver/images.txt"
	# The account of the tests of supplemental groups.
	echo 'user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh' >>"$dir/etc/passwd"
	printf '%s\n' 'user-defined-in-image:x:1000:' 'group-defined-in-image:x:50000:user-defined-in-image' >>"$dir/etc/group"
	echo "$dir"
}

# glibc-dns-testing: dig, getent and hostname on glibc.
glibc_dns_testing() {
	local ref=$E2E/glibc-dns-testing:2.1.1 dir
	missing "$ref" || return 0
	dir=$(root glibc-dns-testing busybox bash base-files libc-bin hostname bind9-dnsutils)
	image "$ref" "$dir" "$ENVPATH" 'CMD ["bash"]'
}

# nginx: Debian's, with the paths and the configuration of the official image.
nginx() {
	local tag dir=''
	for tag in nginx:1.27.0-2 nginx:1.28.0-2; do
		missing "$E2E/$tag" || continue
		[[ -n $dir ]] || dir=$(nginx_root)
		image "$E2E/$tag" "$dir" "$ENVPATH" 'EXPOSE 80' 'CMD ["nginx", "-g", "daemon off;"]'
	done
}

nginx_root() {
	local dir
	dir=$(root nginx busybox libc-bin nginx)
	mkdir -p "$dir"/var/log/nginx "$dir"/var/cache/nginx "$dir"/var/lib/nginx
	rm -rf "$dir"/etc/nginx/{conf.d,sites-*,modules-*,nginx.conf,snippets}
	mkdir -p "$dir/etc/nginx/conf.d"
	ln -s /dev/stdout "$dir/var/log/nginx/access.log"
	ln -s /dev/stderr "$dir/var/log/nginx/error.log"
	cat >"$dir/etc/nginx/nginx.conf" <<-'END'
		user www-data;
		worker_processes 2;
		error_log /var/log/nginx/error.log notice;
		pid /run/nginx.pid;
		events { worker_connections 1024; }
		http {
			include /etc/nginx/mime.types;
			default_type application/octet-stream;
			access_log /var/log/nginx/access.log;
			include /etc/nginx/conf.d/*.conf;
		}
	END
	cat >"$dir/etc/nginx/conf.d/default.conf" <<-'END'
		server {
			listen 80;
			location / { root /usr/share/nginx/html; index index.html; }
		}
	END
	echo "$dir"
}

# nonewprivs: a set-uid program that prints its effective uid.
nonewprivs() {
	local ref=$E2E/nonewprivs:1.4 dir
	missing "$ref" || return 0
	program nnp k8s.io/kubernetes/test/images/nonewprivs
	dir=$(scratch nonewprivs)
	install -D -m 6755 "$BIN/nnp" "$dir/usr/local/bin/nnp"
	image "$ref" "$dir" "$ENVPATH" 'CMD ["nnp"]'
}

# sample-apiserver and its etcd, for the test of the aggregator. Outside this module: the release as it is, with its own
# dependencies.
sample_apiserver() {
	local ref=$E2E/sample-apiserver:1.29.2 dir source=$WORK/sample-apiserver-source
	missing "$ref" || return 0
	if [[ ! -e $BIN/sample-apiserver ]]; then
		say "compiling sample-apiserver"
		rm -rf "$source"
		cp -r "$(cd / && go mod download -json "k8s.io/sample-apiserver@$SAMPLE_APISERVER" |
			sed -n 's/.*"Dir": "\(.*\)",/\1/p')" "$source"
		chmod -R u+w "$source"
		(cd "$source" && go build -ldflags '-s -w' -o "$BIN/sample-apiserver" .)
	fi
	dir=$(scratch sample-apiserver)
	install -m 755 "$BIN/sample-apiserver" "$dir/sample-apiserver"
	image "$ref" "$dir" "$ENVPATH" 'ENTRYPOINT ["/sample-apiserver"]'
}

etcd() {
	local ref=registry.k8s.io/etcd:3.7.0-0 dir
	missing "$ref" || return 0
	program etcd go.etcd.io/etcd/server/v3
	dir=$(scratch etcd)
	mkdir -p "$dir/var/etcd"
	install -D -m 755 "$BIN/etcd" "$dir/usr/local/bin/etcd"
	image "$ref" "$dir" "$ENVPATH" 'EXPOSE 2379' 'EXPOSE 2380' 'EXPOSE 4001' 'EXPOSE 7001'
}

pause
busybox
agnhost
glibc_dns_testing
nginx
nonewprivs
sample_apiserver
etcd
