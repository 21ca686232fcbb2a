#!/usr/bin/env bash
# run.sh - compares bonsai's data plane of Ingress and Gateway API with other proxies: all of them on loopback, in front of the same
# backend, with an access log, under the same load of wrk. It prints a table; docs/decisions/034-own-data-plane.md has one.
#
#   ROUNDS=3 SECONDS_EACH=5 test/bench/proxies/run.sh [NAME=COMMAND...]
#
# A COMMAND of one's own serves at $LISTEN what $BACKEND answers, for the host web.test. The ports 8080 and those from 18081 on have to
# be free. p50 and p99 are what is added to one connection's requests; the processor time is that of the proxy, of the backend for "direct".
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
rounds=${ROUNDS:-3} each=${SECONDS_EACH:-5}
dir=$(mktemp -d)
pids=()
finish() {
	[[ ${#pids[@]} = 0 ]] || kill "${pids[@]}" 2>/dev/null || true
	wait
	rm -rf "$dir"
}
trap finish EXIT

"$root/tools/need.sh" wrk
flags=(-trimpath -buildvcs=false -ldflags '-s -w')
export CGO_ENABLED=0
(cd "$root" && go build "${flags[@]}" -o "$dir/own" ./test/bench/proxies/own && go build "${flags[@]}" -o "$dir/testpod" ./test/images/testpod)
(cd "$here/caddy" && go build "${flags[@]}" -o "$dir/caddy" .)

# ticks prints the processor time of a process, in hundredths of a second.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
now() { date +%s%N; }
get() ( # get PORT: is a request answered?
	exec 3<>"/dev/tcp/127.0.0.1/$1"
	printf 'GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n' >&3
	read -r -t 2 line <&3
	[[ $line = 'HTTP/1.1 200'* ]]
) 2>/dev/null

"$dir/testpod" serve >/dev/null 2>&1 &
backend=$!
pids+=("$backend")
until get 8080; do kill -0 "$backend"; done

names=(direct)
declare -A url=([direct]=http://127.0.0.1:8080/) pid=([direct]=$backend) began=([direct]=-) size=([direct]=-)
begin() { # begin NAME COMMAND...: starts a proxy, and measures how long it takes until it answers
	local name=$1 port t0
	shift
	port=$((18080 + ${#names[@]}))
	t0=$(now)
	LISTEN=127.0.0.1:$port BACKEND=127.0.0.1:8080 "$@" >"$dir/$name.log" 2>"$dir/$name.err" &
	pid[$name]=$!
	pids+=("$!")
	until get "$port"; do
		kill -0 "${pid[$name]}" || {
			cat "$dir/$name.err" >&2
			exit 1
		}
	done
	began[$name]=$((($(now) - t0) / 1000000))
	url[$name]=http://127.0.0.1:$port/
	names+=("$name")
	size[$name]=$(($(stat -Lc %s "/proc/${pid[$name]}/exe") / 1000000))
}
begin own bash -c "exec '$dir/own' \$LISTEN \$BACKEND"
begin caddy bash -c "exec '$dir/caddy' \$LISTEN \$BACKEND"
for other in "$@"; do
	begin "${other%%=*}" bash -c "exec ${other#*=}"
done

load() { # load CONNECTIONS URL: "requests/s p50 p99 requests"
	wrk -t1 -c"$1" -d"${each}s" --latency -H 'Host: web.test' "$2" | awk '
		function us(t) { return t ~ /us$/ ? t + 0 : t ~ /ms$/ ? 1000 * t : 1000000 * t }
		/ 50%/ { p50 = us($2) } / 99%/ { p99 = us($2) } /requests in/ { n = $1 } /Requests\/sec/ { rate = $2 }
		/Non-2xx|Socket errors/ { print "run.sh:", $0 > "/dev/stderr" }
		END { printf "%d %d %d %d\n", rate, p50, p99, n }'
}
for ((i = 0; i < rounds; i++)); do # in turn, so that a busy moment meets all of them
	for name in "${names[@]}"; do
		load 1 "${url[$name]}" >>"$dir/$name.one"
		t0=$(ticks "${pid[$name]}")
		many=$(load 32 "${url[$name]}")
		echo "$many $(($(ticks "${pid[$name]}") - t0))" >>"$dir/$name.many"
	done
done

middle() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
direct50=$(awk '{ print $2 }' "$dir/direct.one" | middle) direct99=$(awk '{ print $3 }' "$dir/direct.one" | middle)
rate=$(awk '{ print $1 }' "$dir/direct.many" | middle)
printf '%-8s %9s %6s %10s %10s %12s %8s %8s %8s\n' '' requests/s share p50 p99 CPU/request memory program start
for name in "${names[@]}"; do
	p50=$(awk '{ print $2 }' "$dir/$name.one" | middle) p99=$(awk '{ print $3 }' "$dir/$name.one" | middle)
	many=$(awk '{ print $1 }' "$dir/$name.many" | middle)
	cpu=$(awk '{ print 10000 * $5 / $4 }' "$dir/$name.many" | middle)
	memory=$(awk '/^Pss:/ { print int($2 / 1024) }' "/proc/${pid[$name]}/smaps_rollup")
	printf '%-8s %9d %5d%% %+8dus %+8dus %10.0fus %6dMB %6sMB %6sms\n' \
		"$name" "$many" $((100 * many / rate)) $((p50 - direct50)) $((p99 - direct99)) "$cpu" "$memory" "${size[$name]}" "${began[$name]}"
done
