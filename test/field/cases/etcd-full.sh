# etcd at its quota, and room made again (minutes, and 5 GB of disk; only with FIELD_LONG=1)
# https://github.com/k3s-io/k3s/issues/4787
[ -n "${FIELD_LONG:-}" ] || skip "FIELD_LONG=1"
need etcdctl
cluster 1
sock=$(find -L "$BONSAI_HOME" -name etcd.sock | sed -n 1p)
e() { ETCDCTL_API=3 etcdctl --endpoints "unix://$sock" "$@"; }
head -c 1000000 /dev/zero | tr '\0' x >value
for i in $(seq 8800); do e put "/fill/$i" <value >/dev/null 2>&1 || break; done
exits 1 k create configmap x
problem 30 'etcd.*(full|quota|space)'
e del --prefix /fill/
b stop
b start
k create configmap x
