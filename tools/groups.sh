#!/bin/sh
# groups.sh GROUP[=TIMES]... - runs "make GROUP" for each group, all of them even if one fails. A line before each says
# which one it is, and TIMES, how long it usually takes; the end says what failed in which group. The exit status is 0
# if all passed, 1 if not, 130 after Ctrl-C, which ends the group that is running and starts no other.
set -u

: "${MAKE:=make}"
log=$(mktemp)
failures=$(mktemp)
trap 'rm -f "$log" "$failures"' EXIT
# The shell itself must not die of the signal: it says where it was. Its children do.
interrupted=
trap 'interrupted=1' INT TERM

took() { # took BEGIN: the time since then in minutes and seconds
	s=$(($(date +%s) - $1))
	echo "$((s / 60))m$((s % 60))s"
}

began=$(date +%s)
number=0 failed=0
for group in "$@"; do
	number=$((number + 1))
	name=${group%%=*}
	times=
	[ "$name" = "$group" ] || times=" (${group#*=})"
	echo "==== group $number of $#: $name$times"
	start=$(date +%s)
	# tee ignores Ctrl-C, so that the last words of the group are seen; it ends with its input.
	status=$({ { "$MAKE" "$name" --no-print-directory 3>&- 4>&- 2>&1; echo $? >&3; } | (trap '' INT; exec tee "$log") >&4; } 3>&1) 4>&1
	if [ -n "$interrupted" ]; then
		echo "==== interrupted in $name after $(took "$start")"
		exit 130
	fi
	if [ "$status" = 0 ]; then
		echo "==== $name passed in $(took "$start")"
		continue
	fi
	failed=$((failed + 1))
	echo "==== $name failed after $(took "$start")"
	{
		echo "$name:"
		# Tests and packages that failed; of other tools the last lines.
		grep -E '^ *--- FAIL|^FAIL[[:space:]]|^panic:|WARNING: DATA RACE' "$log" || tail -n 10 "$log"
	} | sed '2,$s/^/  /' >>"$failures"
done

echo "==== all of it took $(took "$began")"
if [ "$failed" = 0 ]; then
	echo "$number groups passed"
	exit 0
fi
echo "$failed of $number groups failed:"
cat "$failures"
exit 1
