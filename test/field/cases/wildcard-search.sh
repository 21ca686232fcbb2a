# a search domain with a wildcard
# https://github.com/kubernetes/kubernetes/issues/49113, https://github.com/k3s-io/k3s/issues/1527
need_root
need dnsmasq unshare
gateway=$(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bridge)
printf 'search corp.test\nnameserver %s\n' "$gateway" >resolv.conf
dnsmasq -k -C /dev/null --user=root --no-resolv --no-hosts --listen-address="$gateway" --bind-interfaces \
	--address=/corp.test/10.9.9.9 --host-record=www.example.org,198.51.100.7 --pid-file="$WORK/dm.pid" &
defer "kill $!"
skip "a way to give the engine another resolv.conf without changing this machine's"
