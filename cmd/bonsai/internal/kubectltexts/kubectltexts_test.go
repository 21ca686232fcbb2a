package kubectltexts

import (
	"testing"

	"k8s.io/kubectl/pkg/cmd/options" // has texts
	"k8s.io/kubectl/pkg/util/i18n"
)

func TestTranslationsAreLoadedByKubectlOnly(t *testing.T) {
	const english = "Print the list of flags inherited by all commands"
	if text := options.NewCmdOptions(nil).Short; text != english {
		t.Errorf("the text is %q", text)
	}
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	german := func(name string) string { return map[string]string{"LANG": "de_DE.UTF-8"}[name] }
	none := func(string) string { return "" }
	kubectl := []string{"bonsai", "-p", "dev", "kubectl", "--", "get", "pods"}
	for _, tc := range []struct {
		args   []string
		getenv func(string) string
		loaded bool
	}{
		{nil, german, false},
		{[]string{"bonsai", "plan", "-f", "cluster.yaml"}, german, false},
		{kubectl, none, false},
		{kubectl, func(string) string { return "en_US.UTF-8" }, false},
		{kubectl, german, true}, // the last one: what is loaded stays
	} {
		if err := load(tc.args, tc.getenv); err != nil || (i18n.T(english) != english) != tc.loaded {
			t.Errorf("%q: %q, %v", tc.args, i18n.T(english), err)
		}
	}
}
