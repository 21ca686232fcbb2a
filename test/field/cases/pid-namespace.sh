# the control plane dies with the pid namespace, process group, terminal or pipe that started it
# https://github.com/microsoft/vscode-remote-release/issues/1037, https://github.com/containers/podman/issues/15390
need_root
need unshare script
unshare --pid --fork --mount-proc bonsai start -p "$P" --nodes 1
exits 33 b status
says 'killed together|ended with what started it|--foreground' b status
b start # repairs
k get nodes
b delete
setsid sh -c "bonsai start -p $P --nodes 0; kill -9 0" || true
within 10 b status
b delete
script -qc "bonsai start -p $P --nodes 0" /dev/null
within 10 b status
b delete
{ b start --nodes 0 2>&1 || true; } | head -1 || true
within 20 b status
