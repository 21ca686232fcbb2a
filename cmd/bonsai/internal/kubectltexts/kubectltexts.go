// Package kubectltexts has the translations of kubectl's texts loaded only by processes that are to be kubectl in another
// language than English, in which the texts are.
//
// The packages of kubectl's commands ask for their texts when they are initialised, in every process that links them: daemon,
// kubelet, every verb. Loading the translations for that was 27 of the 63 ms in which the executable initialises itself.
// Importing this package is all that there is to do.
package kubectltexts

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"k8s.io/kubectl/pkg/util/i18n"
)

// Upstream means this to be done by a package that is initialised before those which have texts. Go initialises packages in the
// order of their paths, as far as their imports allow, and "bonsai" is before "k8s.io".
var _ = i18n.SetLoadTranslationsFunc(func() error { return load(os.Args, os.Getenv) })

func load(args []string, getenv func(string) string) error {
	language := cmp.Or(getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG"), "C")
	english := slices.ContainsFunc([]string{"C", "POSIX", "en"}, func(begin string) bool { return strings.HasPrefix(language, begin) })
	if english || !slices.Contains(args[min(1, len(args)):], "kubectl") {
		return nil
	}
	return i18n.LoadTranslations("kubectl", nil)
}
