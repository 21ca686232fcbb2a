package cluster

import (
	"strings"
	"testing"
)

func TestValuesOfSettings(t *testing.T) {
	for _, tc := range []struct {
		setting   AddonSetting
		text      string
		canonical string
		wrong     string // part of the error
	}{
		{AddonSetting{Type: SettingChoice, Options: []string{"Delete", "Retain"}}, " Retain ", "Retain", ""},
		{AddonSetting{Type: SettingChoice, Options: []string{"Delete", "Retain"}}, "retain", "", "is not one of Delete, Retain"},
		{AddonSetting{Type: SettingInteger, Min: 1, Max: 9}, "007", "7", ""},
		{AddonSetting{Type: SettingInteger, Min: 1, Max: 9}, "10", "", "from 1 to 9"},
		{AddonSetting{Type: SettingInteger, Min: 1, Max: 9}, "1e0", "", "is not a whole number"},
		{AddonSetting{Type: SettingName}, "fast.local-1", "fast.local-1", ""},
		{AddonSetting{Type: SettingName}, "Fast", "", "is not a name in Kubernetes"},
		{AddonSetting{Type: SettingName}, "-fast", "", "is not a name in Kubernetes"},
		{AddonSetting{Type: SettingName}, "", "", "is not a name in Kubernetes"},
		{AddonSetting{Type: SettingName}, "a\n- b", "", "is not a name in Kubernetes"},
		{AddonSetting{Type: SettingName}, strings.Repeat("a.", 130), "", "is not a name in Kubernetes"},
		{AddonSetting{Type: SettingAddresses}, " 10.0.0.53, fd00::0053,10.0.0.53,[::1]:5353,", "10.0.0.53,fd00::53,[::1]:5353", ""},
		{AddonSetting{Type: SettingAddresses}, "", "", ""},
		{AddonSetting{Type: SettingAddresses}, "dns.test", "", "is not an IP address"},
		{AddonSetting{Type: SettingAddresses}, "10.0.0.53:0", "", "is not an IP address"},
		{AddonSetting{Type: SettingAddresses}, "fe80::1%eth0", "", "is not an IP address"},
		{AddonSetting{Type: SettingAddresses, Max: 1}, "10.0.0.1,10.0.0.2", "", "at most 1"},
		{AddonSetting{Type: SettingRanges}, "10.1.3.1 - 10.1.3.9, 10.1.4.0/30,10.1.5.7,10.1.5.7/32", "10.1.3.1-10.1.3.9,10.1.4.0-10.1.4.3,10.1.5.7", ""},
		{AddonSetting{Type: SettingRanges}, "10.1.3.9-10.1.3.1", "", "is not a range of IPv4 addresses"},
		{AddonSetting{Type: SettingRanges}, "fd00::1-fd00::9", "", "is not a range of IPv4 addresses"},
		{AddonSetting{Type: SettingRanges}, "fd00::/120", "", "is not a range of IPv4 addresses"},
		{AddonSetting{Type: SettingRanges}, "10.1.3.1-", "", "is not a range of IPv4 addresses"},
		{AddonSetting{Type: SettingHosts}, "Registry.test.=192.168.1.20 , six = fd00::1", "registry.test=192.168.1.20,six=fd00::1", ""},
		{AddonSetting{Type: SettingHosts}, "registry.test", "", "is not a host name with its address"},
		{AddonSetting{Type: SettingHosts}, "a b=10.0.0.1", "", "is not a host name with its address"},
		{AddonSetting{Type: SettingHosts}, "a=10.0.0.1 }", "", "is not a host name with its address"},
		{AddonSetting{Type: SettingOrigins}, "HTTP://Localhost:3000/ , https://a.test:443,http://localhost:3000", "http://localhost:3000,https://a.test", ""},
		{AddonSetting{Type: SettingOrigins}, "localhost:3000", "", "is not the origin of a web page"},
		{AddonSetting{Type: SettingOrigins}, "http://a.test/b", "", "is not the origin of a web page"},
		{AddonSetting{Type: SettingOrigins}, "null", "", "is not the origin of a web page"},
		{AddonSetting{Type: SettingDomains}, "Test, *.shop.example.com. ,test,.a.b", "test,shop.example.com,a.b", ""},
		{AddonSetting{Type: SettingDomains}, "com", "", "name a domain below it"},
		{AddonSetting{Type: SettingDomains}, "local", "", "name a domain below it"},
		{AddonSetting{Type: SettingDomains}, "localhost", "", "is this machine already"},
		{AddonSetting{Type: SettingDomains}, "192.168.1.1", "", "is an address"},
		{AddonSetting{Type: SettingDomains}, "a b", "", "is not a domain"},
		{AddonSetting{Type: SettingDomains}, "*", "", "is not a domain"},
		{AddonSetting{Type: SettingOrigins}, "*", "", "is not the origin of a web page"},
	} {
		got, err := tc.setting.Canonical(tc.text)
		switch {
		case tc.wrong == "" && (err != nil || got != tc.canonical):
			t.Errorf("%s %q: got %q, %v; want %q", tc.setting.Type, tc.text, got, err, tc.canonical)
		case tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)):
			t.Errorf("%s %q: got %q, %v; want %q", tc.setting.Type, tc.text, got, err, tc.wrong)
		case err == nil:
			if again, err := tc.setting.Canonical(got); err != nil || again != got {
				t.Errorf("%s: the canonical %q is %q, %v", tc.setting.Type, got, again, err)
			}
		}
	}
}

func TestAValueIsTheUsersOrTheDefault(t *testing.T) {
	d := AddonDescription{Name: "lamp", Settings: []AddonSetting{{Name: "watts", Type: SettingInteger, Default: "40"}}}
	spec := Spec{AddonValues: map[string]map[string]string{"lamp": {"watts": "60"}, "other": {"watts": "1"}}}
	if got := d.Value(spec, "watts"); got != "60" {
		t.Errorf("chosen: %s", got)
	}
	if got := d.Value(Spec{}, "watts"); got != "40" {
		t.Errorf("the default: %s", got)
	}
	if _, known := d.Setting("volts"); known {
		t.Error("a setting that does not exist is known")
	}
}
