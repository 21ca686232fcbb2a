#!/usr/bin/env bash
# run.sh [-l] [CASE...] - tries on bin/bonsai, on the real engine, what users of similar tools reported: each file in cases/
# is one report, with its source and the commands that people typed. Prints a line for each case; the output of a case that
# fails follows its line, and all outputs are kept in the folder that the last line names. -l lists the cases.
#
# A case runs with a state folder, a kubeconfig and clusters of its own (lib.sh), which are removed afterwards. Some need
# root, or a program that is not installed: these are skipped, and the line says what is missing.
# Exit status: 0 if no case failed.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
export FIELD_ROOT FIELD_EXE FIELD_WORK
FIELD_ROOT=$(readlink -f "$here/../..")
FIELD_EXE=${BONSAI:-$FIELD_ROOT/bin/bonsai}

if [ "${1:-}" = -l ]; then
	grep -H -m1 '^# ' "$here"/cases/*.sh | sed -E 's#.*/([^/]+)\.sh:\# #\1\t#' | column -t -s "$(printf '\t')"
	exit
fi
[ -x "$FIELD_EXE" ] || { echo "field: $FIELD_EXE is missing; run make first" >&2; exit 1; }

FIELD_WORK=$(mktemp -d "${TMPDIR:-/tmp}/bonsai-field-XXXXXX")
mkdir "$FIELD_WORK/logs"

# The test image: Debian's static busybox under all of its names.
make_image() {
	local root=$FIELD_WORK/image
	mkdir -p "$root/bin"
	cp "$(command -v busybox)" "$root/bin/busybox"
	"$root/bin/busybox" --install "$root/bin"
	tar -C "$root" -c . | docker import -c 'ENV PATH=/bin' -c 'CMD ["/bin/sh"]' - bonsai-field/box:1 >/dev/null
	rm -rf "$root"
}
clean() {
	[ "$kept" = 1 ] || rm -rf "$FIELD_WORK"
	docker image rm -f bonsai-field/box:1 >/dev/null 2>&1 || true
}
kept=0
trap clean EXIT
trap 'exit 130' INT TERM
make_image

cases=("$@")
[ $# -gt 0 ] || mapfile -t cases < <(basename -s .sh "$here"/cases/*.sh)
passed=0 failed=() skipped=0
for name in "${cases[@]}"; do
	file=$here/cases/$name.sh
	[ -f "$file" ] || { echo "field: there is no case $name; run.sh -l lists them" >&2; exit 2; }
	title=$(sed -n '1s/^# //p' "$file")
	log=$FIELD_WORK/logs/$name.log
	at=$EPOCHREALTIME
	code=0
	timeout --foreground "${FIELD_LIMIT:-420}" bash "$here/lib.sh" "$name" "$file" >"$log" 2>&1 </dev/null || code=$?
	took=$(awk -v a="$at" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }')
	case $code in
	0) word=pass; passed=$((passed + 1)) ;;
	77) word=skip; skipped=$((skipped + 1)); title="$title [$(tail -n 1 "$log")]" ;;
	124) word=FAIL; failed+=("$name"); echo "timed out after ${FIELD_LIMIT:-420}s" >>"$log" ;;
	130) exit 130 ;;
	*) word=FAIL; failed+=("$name") ;;
	esac
	printf '%s  %-24s %8s  %s\n' "$word" "$name" "$took" "$title"
	[ $word != FAIL ] || tail -n 25 "$log" | sed 's/^/      | /'
done
if [ ${#failed[@]} -gt 0 ]; then kept=1; fi
printf 'field: %d passed, %d failed, %d skipped' $passed ${#failed[@]} $skipped
if [ $kept = 1 ]; then printf '; outputs in %s' "$FIELD_WORK/logs"; fi
printf '\n'
[ ${#failed[@]} -eq 0 ]
