#!/bin/sh
# wording.sh [PATH...] - looks through code, scripts and documents for wording that docs/development.md rules out, and
# prints each such line with what to write instead. Exit status 1 if there is one. It knows the worst patterns only.
set -u
cd "$(dirname "$0")/.." || exit 2
[ $# -gt 0 ] || set -- '*.go' '*.md' '*.sh' '*.txtar' Makefile
found=0

# rule INSTEAD PATTERN [ALLOWED] - no line of $files may match PATTERN, in any case, unless it also matches ALLOWED.
rule() {
	lines=$(printf '%s\n' "$text" | grep -iE "$2" | grep -viE "${3:-^$}") || return 0
	printf '%s\n' "$lines" | sed "s|\$|    <- write: $1|"
	found=1
}

# This file and the table of the rules contain what they forbid.
text=$(git grep -nIiE 'anew|away|no|happen|within|tell|told|itself|ask|ill|surround|run again|whatever|stranger|mend' -- "$@" \
	':!tools/wording.sh' | grep -v '^docs/development.md:[0-9]*:| ')

rule 'again, recreate' '\banew\b'
rule 'omit, leave out' '\b(leave|leaves|left|leaving) (it |them |that )?away\b'
rule 'is not a' '\b(is|are|was|were|it'"'"'s) no [a-z]' \
	'\b(there|here|where|that|which|what|who) (is|are|was|were) no |(is|are|was|were) no (longer|more|less|fewer|better|worse|later|earlier|larger|smaller|faster|slower|different|such|other|one)\b'
rule 'timed out after ... waiting for' 'did not (happen|come|end|answer|get ready) within'
rule 'reports, says, sends, shows' '\b(tells|told|telling)\b' '\b(tells?|told) (it|them|one|two|[a-z]+s)? ?(apart|from)\b'
rule 'on its own, separately, automatically' '\b(ends?|ended|starts?|happens?|goes|comes) by itself\b'
rule 'client, request' '\baskers?\b'
rule 'healthy, unhealthy, fails' '\b(is|are|was|be|does|do) (ill|unwell)\b'
rule 'environment' '\bsurroundings\b'
rule 'restarted' '\bis run again\b|\bran it again\b'
rule 'untrusted' '\bstrangers?\b'
rule 'fix, repair' '\b(mend|mends|mended)\b'
exit $found
