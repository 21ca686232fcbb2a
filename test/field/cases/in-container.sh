# bonsai in a container that has the machine's docker.sock
# https://github.com/kubernetes-sigs/kind/issues/3196, https://github.com/k3d-io/k3d/issues/1008
sock=/var/run/docker.sock
[ -S $sock ] || skip "a Docker engine at $sock"
run() { docker run --rm "$@"; }
common=(-v $sock:$sock -v "$(readlink -f "$FIELD_EXE"):/bin/bonsai:ro" -e HOME=/root)
run "${common[@]}" $BOX sh -c "bonsai start -p $P --nodes 1; echo start=\$?; bonsai kubectl -p $P -- get nodes; bonsai delete -p $P; true" 2>&1 | tee out
if grep -q start=0 out; then grep -q "$P-1 .*Ready" out || fail "the cluster cannot be used"; else grep -Eqi -- '--network host' out || fail "no word of --network host"; fi
[ -z "$(docker ps -aq --filter "label=io.bonsai.cluster=$P")" ] || fail "something is left"
run --network host "${common[@]}" $BOX sh -c "bonsai start -p $P --nodes 1 && bonsai kubectl -p $P -- get nodes && bonsai delete -p $P"
[ -z "$(docker ps -aq --filter "label=io.bonsai.cluster=$P")" ] || fail "something is left"
