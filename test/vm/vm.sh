#!/usr/bin/env bash
# vm.sh - a throw-away Debian machine (qemu) to try bonsai on what most users have: cgroup v2, systemd,
# overlay2, a Docker engine that grants --privileged, and an unprivileged user "dev" in the group docker.
#
#   test/vm/vm.sh up               start from a clean disk (builds the image first if needed)
#   test/vm/vm.sh run CMD...       run as root; stdin, output and exit code pass through
#   test/vm/vm.sh run-as-dev CMD.. the same as the user dev
#   test/vm/vm.sh put FILE DEST    copy one file in (mode kept, parent folders made)
#   test/vm/vm.sh forward PORT     lets a free port of this host's loopback lead to PORT of the machine's, and prints it
#   test/vm/vm.sh power-cycle      end it as a power failure does, and boot it from its disk
#   test/vm/vm.sh down             stop; discards everything that was written in the machine
#   test/vm/vm.sh build            only build the disk image, or rebuild it if it is stale
#   test/vm/vm.sh status           print whether it is running
#
# One argument to run and run-as-dev is a shell line ('a | b'); several are a command and its arguments.
#
# VM_SUITE=bookworm picks another Debian release (default trixie). Each release has a folder of its own under
# build/vm, so several machines can be up at once. The default is software emulation, which works everywhere
# and is 7 to 40 times slower than the host; where KVM works, VM_ACCEL=kvm is about as fast as the host.
#
# The machine has no access to the network outside, on purpose. The image is built from Debian packages of the mirror
# that this host's apt uses (or VM_MIRROR); the name of the mirror is not kept in it.
set -euo pipefail

self=$(readlink -f "$0")
repo=${self%/test/vm/*}

VM_SUITE=${VM_SUITE:-trixie}
VM_DIR=${VM_DIR:-$repo/build/vm/$VM_SUITE}                 # contains everything
VM_MIRROR=${VM_MIRROR:-}                                   # URL of a Debian mirror; empty: ask apt
VM_DISK=${VM_DISK:-16G}                                    # size of the disk, a sparse file
VM_MEM=${VM_MEM:-4G}
VM_SMP=${VM_SMP:-2}
VM_TIMEOUT=${VM_TIMEOUT:-300}                              # seconds that a boot may take
VM_ACCEL=${VM_ACCEL:-tcg,thread=multi,tb-size=1024}
# Emulated, docker run takes a third less without address randomisation, and another third less if the kernel
# copies memory without string instructions (erms, fsrm, rep_good).
case $VM_ACCEL in
tcg*) cpu=max,la57=off,erms=off,fsrm=off append='norandmaps mitigations=off clearcpuid=rep_good,erms,fsrm' ;;
*) cpu=host append='' ;;
esac

mkdir -p "$VM_DIR"
VM_DIR=$(readlink -f "$VM_DIR")
img=$VM_DIR/image      # made by build: base.img vmlinuz initrd key known_hosts stamp
saved=$VM_DIR/saved    # made by the first up: the booted machine as disk.qcow2 and state, stamp
live=$VM_DIR/run       # made by each up: disk.qcow2 qemu.pid port console.log mailbox ...
mailbox_mb=2048        # size of the mailbox disk (sparse), the limit for put
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf 'vm: %s\n' "$*" >&2; }
die() { say "$*"; exit 125; }

# ---------------------------------------------------------------- build ----

# The machine's packages, comma separated.
packages() {
	printf '%s' linux-image-cloud-amd64,initramfs-tools,systemd-sysv,udev,dbus,dbus-user-session,libpam-systemd
	printf ',%s' openssh-server,iproute2,iptables,nftables,procps,kmod,ca-certificates
	printf ',%s' docker.io,apparmor,busybox-static
	[ "$VM_SUITE" = bookworm ] || printf ',docker-cli' # a package of its own since Debian 13
}

# The suite's apt source lines: the host's own Debian sources with the release replaced.
# They are only passed on stdin, so that no mirror's name is stored.
sources() {
	local uri code component
	if [ -n "$VM_MIRROR" ]; then
		echo "deb [signed-by=$keyring] $VM_MIRROR $VM_SUITE main"
		return
	fi
	# shellcheck disable=SC2016  # these dollars are apt's
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' 'Component: main' | sort -u |
		while read -r uri code component; do
			echo "deb [signed-by=$keyring] $uri $VM_SUITE${code#"${code%%-*}"} $component" # keeps -updates, -security
		done
}

# Runs within mmdebstrap, the new root folder is $1.
customize() {
	local root=$1 home
	in_root() { chroot "$root" "$@"; }

	echo testvm >"$root/etc/hostname"
	printf '127.0.0.1 localhost testvm\n' >"$root/etc/hosts"
	printf '/dev/vda / ext4 defaults,noatime 0 0\n' >"$root/etc/fstab"
	in_root passwd -q -d root
	in_root useradd -m -s /bin/bash -G docker dev

	# By key only; the machine can be reached through 127.0.0.1 alone.
	for home in root home/dev; do
		install -d -m 700 "$root/$home/.ssh"
		cp "$img/key.pub" "$root/$home/.ssh/authorized_keys"
	done
	in_root chown -R dev:dev /home/dev
	cat >"$root/etc/ssh/sshd_config.d/vm.conf" <<-END
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		UseDNS no
		MaxSessions 100
		PrintMotd no
		PrintLastLog no
	END

	# The fixed address of qemu's user network: no DHCP to wait for.
	printf '[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
		>"$root/etc/systemd/network/eth0.network"
	in_root systemctl -q enable systemd-networkd docker ssh
	# Services that only cost emulated time.
	in_root systemctl -q mask systemd-networkd-wait-online.service apt-daily.timer \
		apt-daily-upgrade.timer man-db.timer e2scrub_all.timer e2scrub_reap.service \
		fstrim.timer dpkg-db-backup.timer logrotate.timer systemd-timesyncd.service \
		getty@tty1.service serial-getty@ttyS0.service systemd-update-utmp.service \
		systemd-rfkill.socket nftables.service systemd-pstore.service \
		systemd-tmpfiles-clean.timer systemd-binfmt.service keyboard-setup.service \
		console-setup.service getty.target 2>/dev/null
	in_root systemctl -q set-default multi-user.target
	mkdir -p "$root/etc/systemd/journald.conf.d"
	printf '[Journal]\nStorage=volatile\nForwardToConsole=no\n' >"$root/etc/systemd/journald.conf.d/vm.conf"
	in_root systemd-machine-id-setup >/dev/null 2>&1

	# An initrd with no more than it takes to find the disk.
	printf 'MODULES=list\nCOMPRESS=gzip\nFSTYPE=ext4\nBUSYBOX=n\n' >"$root/etc/initramfs-tools/conf.d/vm.conf"
	printf 'virtio_pci\nvirtio_blk\next4\n' >"$root/etc/initramfs-tools/modules"
	in_root update-initramfs -u -k all >/dev/null

	# No name of a mirror stays behind.
	rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/* \
		"$root"/var/cache/apt/* "$root"/var/log/apt "$root"/var/log/*.log
	printf 'nameserver 10.0.2.3\n' >"$root/etc/resolv.conf"
}

build() {
	local stamp root=$img/root
	# The image is stale as soon as one of these has changed.
	stamp=$({ declare -f packages customize build; echo "$VM_SUITE $VM_DISK"; } | sha256sum)
	"$repo/tools/need.sh" vm >&2 || die "this host lacks something"
	[ "$(cat "$img/stamp" 2>/dev/null)" != "$stamp" ] || return 0
	[ "$(id -u)" = 0 ] || die "making the image needs root: sudo VM_SUITE=$VM_SUITE $self build"
	[ -e "$keyring" ] || die "$keyring is missing; install debian-archive-keyring"
	[ -n "$(sources)" ] || die "apt on this host has no Debian source; set VM_MIRROR to a Debian mirror's URL"
	say "building Debian $VM_SUITE in $img, about two minutes"
	down
	rm -rf --one-file-system "$img"
	mkdir -p "$img"
	ssh-keygen -q -t ed25519 -N '' -C vm -f "$img/key"
	# In a mount namespace of its own: mmdebstrap mounts /proc in the folder, and while another program of this host looks
	# there it cannot unmount it. mke2fs would copy it.
	sources | unshare --mount --propagation private mmdebstrap --quiet --mode=root --variant=apt --format=directory \
		--include="$(packages)" --aptopt='Apt::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--customize-hook="VM_DIR='$VM_DIR' '$self' _customize \"\$1\"" \
		"$VM_SUITE" "$root" - || die "mmdebstrap failed"
	cp "$root"/boot/vmlinuz-* "$img/vmlinuz"
	cp "$root"/boot/initrd.img-* "$img/initrd"
	printf '* %s\n' "$(cut -d' ' -f1,2 "$root/etc/ssh/ssh_host_ed25519_key.pub")" >"$img/known_hosts"
	rm -f "$root"/boot/*
	# mke2fs fills the file system on its own: no loop device, no mount.
	mke2fs -q -t ext4 -L root -d "$root" -E assume_storage_prezeroed=1 \
		-O '^metadata_csum' "$img/base.img" "$VM_DISK" >/dev/null
	rm -rf "$root"
	echo "$stamp" >"$img/stamp"
	say "image ready: $(du -sh "$img" | cut -f1)"
}

# ------------------------------------------------------------------ ssh ----

ssh_to() { # user, then arguments of ssh
	local user=$1
	shift
	ssh -F none -q -i "$img/key" -p "$(cat "$live/port")" -o IdentitiesOnly=yes \
		-o UserKnownHostsFile="$img/known_hosts" -o StrictHostKeyChecking=yes -o CheckHostIP=no \
		-o ControlPath="$(cat "$live/sockets")/%r" -o ConnectTimeout=20 -o LogLevel=ERROR \
		"$user@127.0.0.1" "$@"
}

# One lasting connection per user: commands then begin without a handshake, which is slow when emulated.
connect() {
	ssh_to "$1" -O check 2>/dev/null ||
		ssh_to "$1" -MNf -o ServerAliveInterval=30 </dev/null >/dev/null 2>&1
}

run_as() { # user, then the command
	local user=$1 line
	shift
	[ $# -gt 0 ] || die "no command given"
	running || die "the machine is not up"
	if [ $# = 1 ]; then line=$1; else line=$(printf '%q ' "$@"); fi
	connect "$user" || true
	ssh_to "$user" -T -- "$line"
}

# Big files travel on a second disk, the mailbox: written here, read there past the guest's cache. That takes
# a fifth of the time that ssh over the emulated network does.
# shellcheck disable=SC2016  # the dollars are for the shell over there
put() {
	local src=$1 dest=$2 size how='cat >"$d"'
	running || die "the machine is not up"
	[ -f "$src" ] || die "no such file: $src"
	size=$(stat -Lc %s "$src")
	connect root || true
	exec 8>"$live/mailbox.lock"
	if [ "$size" -gt 1000000 ]; then
		[ "$size" -le $((mailbox_mb << 20)) ] || die "$src is larger than $mailbox_mb MB"
		flock 8
		dd if="$src" of="$live/mailbox" bs=1M conv=notrunc status=none
		how="dd if=/dev/disk/by-id/virtio-mailbox of=\"\$d\" iflag=direct bs=1M count=$(((size >> 20) + 1)) status=none && truncate -s $size \"\$d\""
		src=/dev/null
	fi
	ssh_to root -T -- "$(printf 'd=%q; mkdir -p "$(dirname "$d")" && rm -f "$d" && %s && chmod %s "$d"' \
		"$dest" "$how" "$(stat -Lc %a "$1")")" <"$src" 8>&-
}

# For as long as the machine is up.
forward() {
	local port
	running || die "the machine is not up"
	connect dev || die "no connection to the machine"
	port=$(free_port)
	ssh_to dev -O forward -L "127.0.0.1:$port:127.0.0.1:$1" >&2
	echo "$port"
}

# ----------------------------------------------------------------- qemu ----

# True if the process of the pid file is there and is our qemu.
running() {
	local pid
	pid=$(cat "$live/qemu.pid" 2>/dev/null) || return 1
	# Not grep -q, which ends at the match and so lets tr, and with pipefail the line, fail by chance.
	tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -xF -- "$live/qemu.pid" >/dev/null
}

free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12000)) # below the range that the kernel assigns on its own
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo $port; return; }
	done
}

start_qemu() { # further arguments of qemu
	qemu-system-x86_64 -no-user-config -nodefaults -display none \
		-machine q35,hpet=off,usb=off,vmport=off -accel "$VM_ACCEL" -cpu "$cpu" -smp "$VM_SMP" -m "$VM_MEM" \
		-kernel "$img/vmlinuz" -initrd "$img/initrd" \
		-append "root=/dev/vda rw rootfstype=ext4 console=ttyS0 quiet net.ifnames=0 panic=-1 no_timer_check tsc=reliable fsck.mode=skip $append" \
		-drive "if=none,id=d0,file=$live/disk.qcow2,format=qcow2,cache=unsafe,discard=unmap" \
		-device virtio-blk-pci,drive=d0 \
		-drive "if=none,id=d1,file=$live/mailbox,format=raw,cache=unsafe,readonly=on" \
		-device virtio-blk-pci,drive=d1,serial=mailbox \
		-netdev "user,id=n0,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:$(cat "$live/port")-:22" \
		-device virtio-net-pci,netdev=n0,romfile= \
		-device virtio-rng-pci \
		-serial "file:$live/console.log" \
		-chardev "pipe,id=mon,path=$live/mon" -mon chardev=mon,mode=readline \
		-global migration.store-global-state=off \
		-no-reboot -daemonize -pidfile "$live/qemu.pid" "$@"
}

wait_ssh() { # seconds
	local end=$((SECONDS + $1))
	until connect root; do
		running || { say "qemu has ended: $(tail -n 3 "$live/console.log")"; return 1; }
		[ $SECONDS -lt $end ] || { say "no ssh after $1 s: $(tail -n 3 "$live/console.log")"; return 1; }
		sleep 0.3
	done
}

# A new $live, whose disk is a thin layer over the disk $2 of format $1. That disk is never written to.
fresh() {
	rm -rf "$live"
	mkdir -p "$live"
	free_port >"$live/port"
	mktemp -d /tmp/bonsai-vm.XXXXXX >"$live/sockets" # not under $live: the path of a socket has to be short
	qemu-img create -q -f qcow2 -F "$1" -b "$2" "$live/disk.qcow2"
	truncate -s ${mailbox_mb}M "$live/mailbox"
	mkfifo "$live/mon.in" "$live/mon.out"
}

boot() {
	fresh raw "$img/base.img"
	start_qemu
	wait_ssh "$VM_TIMEOUT"
	run_as root 'systemctl start docker && docker info >/dev/null' </dev/null
}

# Writes the running machine to $saved, marked with the stamp $1, and ends it.
save() {
	local end=$((SECONDS + VM_TIMEOUT))
	run_as root 'sync; fstrim / 2>/dev/null' </dev/null || true
	ssh_to root -O exit 2>/dev/null || true
	rm -rf "$saved"
	mkdir -p "$saved"
	cat "$live/mon.out" >"$live/mon.log" &
	# Stopped first: memory that a machine emulated on several threads still writes to while it is saved
	# comes out torn.
	printf '%s\n' stop 'migrate_set_parameter max-bandwidth 100g' \
		"migrate \"exec:cat >'$saved/state'\"" 'info migrate' quit >"$live/mon.in"
	while running; do
		[ $SECONDS -lt $end ] || die "saving took more than $VM_TIMEOUT s"
		sleep 0.2
	done
	wait
	grep -q 'Migration status: completed' "$live/mon.log" || die "saving failed: $(tail -n 3 "$live/mon.log")"
	mv "$live/disk.qcow2" "$saved/disk.qcow2"
	printf '%s\n' "$1" >"$saved/stamp"
	down
}

# Starts from $saved; fails if the machine does not answer or is not sound.
resume() {
	fresh qcow2 "$saved/disk.qcow2" || return 1
	# Because of the -global above qemu runs the machine after loading it, although it was saved stopped.
	start_qemu -incoming "exec:cat '$saved/state'" || return 1
	wait_ssh 60 || return 1
	# The clock stood still while the machine was stored, and every resumed machine would draw the same random
	# numbers: set the one, reseed the other (the ioctl is RNDRESEEDCRNG).
	head -c 64 /dev/urandom | run_as root "date -s @$(date +%s.%N) >/dev/null; cat >/dev/urandom
		perl -e 'open F, \">\", \"/dev/urandom\"; ioctl(F, 0x5207, 0) or die'
		docker info >/dev/null && [ -z \"\$(dmesg | grep -E 'BUG:|Oops|Call Trace')\" ]"
}

up() {
	local begun=$SECONDS stamp
	if running; then
		say "already up"
		return
	fi
	build
	# The saved machine is of no use any more as soon as one of these has changed.
	stamp=$({
		declare -f fresh start_qemu boot save
		cat "$img/stamp"
		qemu-system-x86_64 --version
		echo "$VM_MEM|$VM_SMP|$VM_ACCEL|$cpu|$append"
	} | sha256sum)
	if [ "$(cat "$saved/stamp" 2>/dev/null)" != "$stamp" ]; then
		boot
		say "booted, saving the machine for the next time"
		save "$stamp"
	fi
	if ! resume; then
		say "the saved machine cannot be resumed; booting instead, the next up saves it again"
		down
		rm -rf "$saved"
		boot
	fi
	say "Debian $VM_SUITE is up after $((SECONDS - begun)) s"
}

# Ends qemu, if it runs, by that signal.
end() {
	local pid user
	if running; then
		pid=$(cat "$live/qemu.pid")
		for user in root dev; do ssh_to $user -O exit 2>/dev/null || true; done
		kill "-$1" "$pid" 2>/dev/null || true
		for _ in $(seq 50); do
			running || break
			sleep 0.1
		done
		! running || kill -9 "$pid"
	fi
}

# The machine's disk keeps what the machine has flushed. What qemu has written is in this host's memory at least.
power-cycle() {
	local begun=$SECONDS
	running || die "the machine is not up"
	end KILL
	start_qemu
	wait_ssh "$VM_TIMEOUT"
	say "Debian $VM_SUITE is up again after $((SECONDS - begun)) s"
}

down() {
	end TERM
	[ ! -f "$live/sockets" ] || rm -rf "$(cat "$live/sockets")"
	rm -rf "$live"
}

status() {
	if running; then echo "up: pid $(cat "$live/qemu.pid"), ssh on 127.0.0.1:$(cat "$live/port")"; else echo down; fi
}

verb=${1:-}
[ $# = 0 ] || shift
case $verb in
build | up | power-cycle | down | status) "$verb" ;;
run) run_as root "$@" ;;
run-as-dev) run_as dev "$@" ;;
put) [ $# = 2 ] || die "usage: put FILE DEST"; put "$@" ;;
forward) [ $# = 1 ] || die "usage: forward PORT"; forward "$1" ;;
_customize) customize "$1" ;;
*) sed -n '2,/^set /{/^#/p}' "$self" >&2; exit 2 ;;
esac
