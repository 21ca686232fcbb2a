# the control plane at its limit of open files for a moment
need_root
need prlimit
b start --nodes 0
sleep 5 # the controllers have opened their files
pid=$(tr -d '\n' <"$BONSAI_HOME/clusters/$P/daemon.json" | sed -E 's/.*"pid": *([0-9]+).*/\1/')
server=$(k config view --raw -o jsonpath='{.clusters[0].cluster.server}' --kubeconfig "$KUBECONFIG")
port=${server##*:}
open=$(find "/proc/$pid/fd" -mindepth 1 | wc -l)
soft=$(prlimit --pid "$pid" --nofile --noheadings -o SOFT)
prlimit --pid "$pid" --nofile="$((open + 20)):"
for _ in $(seq 60); do (exec 3<>"/dev/tcp/127.0.0.1/$port" && sleep 5) 2>/dev/null & done
wait
prlimit --pid "$pid" --nofile="$soft:"
within 20 k get --raw /readyz
b status
