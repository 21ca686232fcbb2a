package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/tui/paint"
)

// This file shows and changes the settings of addons, by "bonsai addons configure".

// valueOf is the value that a setting has, and whether the user has chosen it.
func valueOf(a cluster.AddonStatus, s cluster.AddonSetting) (value string, chosen bool) {
	value, chosen = a.Values[s.Name]
	if !chosen {
		value = s.Default
	}
	return value, chosen
}

// settingLines are the settings of an addon, one in each line.
func settingLines(a cluster.AddonStatus) string {
	var lines []string
	for _, s := range a.Settings {
		value, _ := valueOf(a, s)
		lines = append(lines, fmt.Sprintf("%s: %s", s.Name, cmp.Or(strings.ReplaceAll(value, ",", ", "), "–")))
	}
	return strings.Join(lines, "\n")
}

// askSettings shows the settings of an addon, and changes those that are changed there.
func (p *addonsPage) askSettings(a cluster.AddonStatus) {
	u := p.u
	switch {
	case len(a.Settings) == 0:
		u.toast.say(paint.Dim, u.T("it has no settings"))
		return
	case u.refuseChange() || u.refuseSecond(u.session.Name()):
		return
	case u.state.Known && u.state.Snapshot.Phase == cluster.PhaseAbsent:
		u.toast.say(paint.Warn, u.T("no cluster exists yet; %s opens the start view", u.keys.Key("screen.overview")))
		return
	case u.switching[a.Name] != "":
		u.toast.say(paint.Warn, u.T("it is being enabled or disabled"))
		return
	}
	f := &form{title: u.T("settings of %s", paint.Clean(a.Name)), accept: u.T("Change"), text: costsOf(a.Settings)}
	for _, s := range a.Settings {
		value, _ := valueOf(a, s)
		d := &field{label: paint.Clean(s.Name), value: paint.Clean(value), hint: u.settingHint(s)}
		if s.Type == cluster.SettingChoice {
			d.choices = s.Options
		} else {
			d.check = func(text string) string {
				if text == "" {
					return "" // the default
				}
				_, err := s.Canonical(text)
				return whyNot(err)
			}
		}
		f.fields = append(f.fields, d)
	}
	f.done = func(values []string) {
		args := []string{"addons", "configure", a.Name}
		for i, s := range a.Settings {
			before, chosen := valueOf(a, s)
			text := values[i]
			if canonical, err := s.Canonical(text); err == nil {
				text = canonical
			}
			switch {
			case text == before, text == "" && !chosen:
			case text == s.Default, text == "":
				args = append(args, s.Name+"=")
			default:
				args = append(args, s.Name+"="+text)
			}
		}
		if len(args) == 3 {
			u.toast.say(paint.Dim, u.T("nothing was changed"))
			return
		}
		u.runAddon(a.Name, args, u.T("configure %s", paint.Clean(a.Name)), u.T("changing"))
	}
	u.openForm(f)
}

// whyNot is what is wrong with a value, "" if nothing is.
func whyNot(err error) string {
	if err == nil {
		return ""
	}
	return paint.Clean(fault.Problem(err).Summary)
}

// settingHint says what a setting is, and its default.
func (u *ui) settingHint(s cluster.AddonSetting) string {
	hint := paint.Clean(s.Description)
	if s.Default != "" {
		hint += " (" + u.T("default: %s", paint.Clean(s.Default)) + ")"
	}
	return hint
}

// costsOf says what changes of settings cost; if it is the same for all, once.
func costsOf(list []cluster.AddonSetting) []string {
	var costs, named []string
	for _, s := range list {
		costs = append(costs, paint.Clean(s.Cost))
		named = append(named, paint.Clean(s.Name+": "+s.Cost))
	}
	if slices.Sort(costs); len(slices.Compact(costs)) == 1 {
		return costs[:1]
	}
	return named
}

// chooseSettings offers the addons that have settings.
func (u *ui) chooseSettings() {
	fetch(u, u.session.Addons, func(list []cluster.AddonStatus, err error) {
		if err != nil {
			u.fail(err)
			return
		}
		var choices []choice
		for _, a := range list {
			if len(a.Settings) > 0 {
				choices = append(choices, choice{title: paint.Clean(a.Name), hint: paint.Clean(a.Description), run: func() { u.addons().askSettings(a) }})
			}
		}
		if len(choices) == 0 {
			u.toast.say(paint.Dim, u.T("there is none"))
			return
		}
		u.choose(u.T("settings of an addon"), choices)
	})
}
