# contexts renamed and added by the user, then stop, start, delete
# https://github.com/kubernetes-sigs/kind/issues/2668
config() { bonsai kubectl -p "$P" -- config --kubeconfig "$KUBECONFIG" "$@"; }
b start --nodes 0
config rename-context "$P" work
config set-context dev --cluster "$P" --user "$P" --namespace dev
config use-context dev
says 'kubeconfig.*(work|dev)' b status
b stop
b start
[ "$(config get-contexts -o name | sort | xargs)" = "dev work" ] || fail "start added a context"
[ "$(config current-context)" = dev ] || fail "start changed the current context"
cp "$KUBECONFIG" before
b delete
! grep -Eq "$P|current-context: (dev|work)" "$KUBECONFIG" || fail "delete left: $(cat "$KUBECONFIG")"
