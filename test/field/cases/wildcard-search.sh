# a search domain with a wildcard (changes /etc/resolv.conf for a while; only with FIELD_RESOLV=1)
# https://github.com/kubernetes/kubernetes/issues/49113, https://github.com/k3s-io/k3s/issues/1527
[ -n "${FIELD_RESOLV:-}" ] || skip "FIELD_RESOLV=1"
need_root
need dnsmasq ip
gateway=$(ip -4 -o addr show docker0 | awk '{ sub("/.*", "", $4); print $4 }')
dnsmasq -k -C /dev/null --user=root --no-resolv --no-hosts --listen-address="$gateway" --bind-interfaces \
	--address=/corp.test/10.9.9.9 --host-record=www.example.org,198.51.100.7 --pid-file="$WORK/dm.pid" &
defer "kill $!"
cp -L /etc/resolv.conf resolv.old
defer "cat '$WORK/resolv.old' >/etc/resolv.conf"
printf 'search corp.test plain.test\nnameserver %s\n' "$gateway" >/etc/resolv.conf
cluster 1
pod a sleep 9999
ready a
k exec a -- cat /etc/resolv.conf
silent 'corp\.test' k exec a -- cat /etc/resolv.conf
says 'plain\.test' k exec a -- cat /etc/resolv.conf
says '198\.51\.100\.7' k exec a -- nslookup www.example.org
silent '10\.9\.9\.9' k exec a -- nslookup www.example.org
says 'corp\.test.*wildcard|wildcard.*corp\.test' b dns status
b stop
b start --dns-search all
k delete pod a --now
pod a sleep 9999
ready a
says 'corp\.test' k exec a -- cat /etc/resolv.conf
