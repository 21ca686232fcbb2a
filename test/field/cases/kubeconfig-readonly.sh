# a second, read-only file in KUBECONFIG, and odd files
# https://github.com/kubernetes/kubernetes/issues/67676, https://github.com/kubernetes-sigs/kind/issues/2008
need_root # a mode does not stop root, and a mount needs it
mkdir -p kc/team kc/own
cat >kc/team/config <<-END
	apiVersion: v1
	kind: Config
	current-context: prod
	clusters: [{name: prod, cluster: {server: "https://prod.invalid:6443"}}]
	contexts: [{name: prod, context: {cluster: prod, user: me}}]
	users: [{name: me, user: {token: none}}]
END
mount --bind kc/team kc/team
defer "umount $WORK/kc/team"
mount -o remount,ro,bind kc/team
export KUBECONFIG=$WORK/kc/own/config:$WORK/kc/team/config
b start --nodes 0
b status
b update-context
[ "$(bonsai kubectl -p "$P" -- config view --raw -o jsonpath='{.contexts[*].name}' --kubeconfig kc/own/config)" = "$P" ] || fail "no context in the first file"
b stop
printf 'apiVersion: v1\nkind: Config\n' >kc/own/config
b start
b delete
! grep -q "$P" kc/own/config || fail "delete left its context"

ln -s team/config kc/link
export KUBECONFIG=$WORK/kc/link # leads to a file that cannot be written: nothing is made, and an existing cluster starts
exits 14 b start --nodes 0
exits 30 b status
KUBECONFIG=$WORK/kc/own/config b start --nodes 0
b stop
b start
k get --raw /readyz
b delete

for text in '' '---' '# only a comment' $'apiVersion: v1\r\nkind: Config\r\n'; do
	printf '%s' "$text" >odd
	KUBECONFIG=$WORK/odd b start --nodes 0
	grep -q "$P" odd || fail "not written: $text"
	KUBECONFIG=$WORK/odd b delete
done
