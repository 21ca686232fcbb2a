package nodeimage

import "bonsai/bootstrap/cluster"

// entry is one file of the image: a link if link is set, a regular file if data is set, otherwise a folder.
type entry struct {
	path string
	mode int64
	link string
	data string
}

func dir(path string, mode int64) entry { return entry{path: path, mode: mode} }
func link(path, to string) entry        { return entry{path: path, mode: 0o777, link: to} }
func file(path, data string) entry      { return entry{path: path, mode: 0o644, data: data} }

// layout lists the image's files, parents first. Files that Docker adds itself (resolv.conf, hosts, hostname, and all
// of /dev, /proc and /sys) are not included.
func layout() []entry {
	const payload = cluster.PayloadDir
	return []entry{
		dir("dev", 0o755),
		dir("proc", 0o755),
		dir("sys", 0o755),
		dir("run", 0o755),
		dir("tmp", 0o1777),
		dir("root", 0o700),
		dir("var", 0o755), // the node's volume
		dir("mnt", 0o755),
		dir("opt", 0o755),
		dir(payload[1:], 0o755), // the payload volume

		// Programs and libraries, under all names by which they are looked up. The loader and glibc find their
		// libraries in /lib without any configuration.
		link("bin", payload+"/bin"),
		link("sbin", payload+"/bin"),
		link("lib", payload+"/lib"),
		link("lib64", payload+"/lib"),
		dir("usr", 0o755),
		link("usr/bin", payload+"/bin"),
		link("usr/sbin", payload+"/bin"),
		link("usr/lib", payload+"/lib"),
		link("usr/lib64", payload+"/lib"),
		dir("usr/share", 0o755),
		// What pods mount from every machine. The driver writes the machine's own time zone over two
		// files below. Sources of the kernel would be the machine's, and no node has them.
		link("usr/share/zoneinfo", payload+"/share/zoneinfo"),
		dir("usr/src", 0o755),

		dir("etc", 0o755),
		file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"),
		file("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
		// "kubectl get nodes -o wide" shows PRETTY_NAME.
		file("etc/os-release", "PRETTY_NAME=\"bonsai node\"\nNAME=\"bonsai node\"\nID=bonsai\n"),
		file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nprotocols: files\nservices: files\n"),
		// nft looks up protocols by name in the rules that kube-proxy writes.
		file("etc/protocols", protocols),
		// mount and umount of old util-linux read it; they must never write to it as a file.
		link("etc/mtab", "/proc/mounts"),
		link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC"),
		file("etc/timezone", "Etc/UTC\n"),
		dir("etc/ssl", 0o755),
		dir("etc/ssl/certs", 0o755),
		link("etc/ssl/certs/ca-certificates.crt", payload+"/etc/ssl/certs/ca-certificates.crt"),
	}
}

// protocols are those that packet filter rules name, with their IANA numbers.
const protocols = `ip 0 IP
icmp 1 ICMP
igmp 2 IGMP
ipencap 4 IP-ENCAP
tcp 6 TCP
udp 17 UDP
dccp 33 DCCP
ipv6 41 IPv6
gre 47 GRE
esp 50 IPSEC-ESP
ah 51 IPSEC-AH
ipv6-icmp 58 IPv6-ICMP
sctp 132 SCTP
udplite 136 UDPLite
`
