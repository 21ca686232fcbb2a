#!/bin/sh
# wording.sh [PATHSPEC...] - looks through all files of the repository for wording that docs/development.md rules out, and
# prints each such line with what to write instead. Exit status 1 if there is one. It knows only patterns that are
# practically never right; identifiers are read word by word (newAsker is "new asker").
set -u
cd "$(dirname "$0")/.." || exit 2

# This file and the table of the rules contain what they forbid.
git grep --untracked -nI '' -- "$@" ':!tools/wording.sh' | grep -v '^docs/development.md:[0-9]*:| ' | LC_ALL=C awk '
# rule forbids a pattern; allow takes phrases out of a line before that rule is applied. In both, < and > are the
# beginning and end of a word, and a blank is any space. There is one allow for each rule, with its reason.
function rule(instead, pattern) { want[++n] = instead; bad[n] = bounded(pattern); ok[n] = "" }
function allow(pattern) { ok[n] = bounded(pattern) }
function bounded(p) { gsub(/</, "[^a-z0-9]", p); gsub(/>/, "[^a-z0-9]", p); return p }

BEGIN {
	rule("again, recreate, rewrite", "<anew>")
	rule("omit, leave out", "<(leave|leaves|left|leaving) ((it|them|that|this) )?away>")
	rule("is not a", "<(is|are|was|were) no [a-z]|<it.s no [a-z]")
	# English has "there is no", relative clauses and comparisons ("which is no problem", "is no longer"); NODATA is
	# a term of DNS.
	allow("<(there|here|where|that|which|what|who) (is|are|was|were) no [a-z]|<(is|are|was|were) no (longer|more|less|fewer|better|worse|later|earlier|larger|smaller|faster|slower|different|such|other|one|data)>")
	rule("timed out after ... waiting for", "<did not (happen|come|end|answer|get ready) within>")
	rule("reports, says, sends, shows; is notified, receives", "<(tells|told|telling)>")
	# To distinguish, and the idiom.
	allow("<(tells|told|telling) ([a-z]+ )?(apart|from)>|<no (way of )?telling>")
	rule("on its own, separately, automatically", "<(by itself|by themselves)>")
	rule("client, request", "<askers?>")
	# Users may type it in filters of the DNS screen.
	allow("\"asker\": \"from\"")
	rule("healthy, unhealthy, fails", "<(is|are|was|be|does|do) (ill|unwell)[^a-z0-9-]")
	rule("environment", "<surroundings>")
	rule("exited and was restarted", "<(ended|ends) and (is|was) (run|started) again>")
	rule("untrusted", "<strangers>|<(a|the) stranger>")
	rule("fix, repair", "<(mend|mends|mended)>")
	rule("start, beginning", "<the begin (of|is)>|<the begin[.,;)]|<begin of (the|a|its)>")
	rule("about 20 ms", "<some [0-9]+ (ms|s|seconds|minutes|kb|mb|gb|percent)>")
}
{
	line = $0
	sub(/^[^:]*:[0-9]+:/, "", line)
	gsub(/[A-Z][a-z]/, " &", line) # the words of identifiers
	gsub(/[ \t]+/, " ", line)
	line = " " tolower(line) " "
	for (i = 1; i <= n; i++) {
		rest = line
		if (rest !~ bad[i])
			continue
		if (ok[i] != "") {
			gsub(ok[i], " ", rest)
			if (rest !~ bad[i])
				continue
		}
		print $0 "    <- write: " want[i]
		found = 1
	}
}
END {
	if (NR == 0) {
		print "wording.sh: there are no such files, or this is not a git repository"
		exit 2
	}
	exit found
}'
