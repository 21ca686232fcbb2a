package localtime

import (
	"os"
	"path/filepath"
	"testing"
)

func TestZoneOfAMachine(t *testing.T) {
	const rules = "TZif2 rules"
	type machine struct {
		link  string            // of etc/localtime, inside the root
		files map[string]string // by path
	}
	for name, tc := range map[string]struct {
		machine
		want string // the name
		none bool
	}{
		"link":                   {machine: machine{"usr/share/zoneinfo/Europe/Berlin", map[string]string{"usr/share/zoneinfo/Europe/Berlin": rules}}, want: "Europe/Berlin"},
		"link to posix rules":    {machine: machine{"usr/share/zoneinfo/posix/Asia/Tokyo", map[string]string{"usr/share/zoneinfo/posix/Asia/Tokyo": rules}}, want: "Asia/Tokyo"},
		"copy with a name":       {machine: machine{"", map[string]string{"etc/localtime": rules, "etc/timezone": "Asia/Shanghai\n"}}, want: "Asia/Shanghai"},
		"copy without a name":    {machine: machine{"", map[string]string{"etc/localtime": rules}}},
		"nothing":                {none: true},
		"link to nowhere":        {machine: machine{link: "usr/share/zoneinfo/Europe/Berlin"}, none: true},
		"not a time zone":        {machine: machine{"", map[string]string{"etc/localtime": "CET"}}, none: true},
		"more than a time zone":  {machine: machine{"", map[string]string{"etc/localtime": rules + string(make([]byte, maxRules))}}, none: true},
		"a folder instead of it": {machine: machine{"", map[string]string{"etc/localtime/x": rules}}, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
				t.Fatal(err)
			}
			for path, text := range tc.files {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tc.link != "" {
				if err := os.Symlink(filepath.Join(root, tc.link), filepath.Join(root, "etc/localtime")); err != nil {
					t.Fatal(err)
				}
			}
			z := Of(root)
			if z.Name != tc.want || (len(z.Rules) == 0) != tc.none {
				t.Errorf("zone %q with %d bytes of rules, want %q, none: %v", z.Name, len(z.Rules), tc.want, tc.none)
			}
		})
	}
}
