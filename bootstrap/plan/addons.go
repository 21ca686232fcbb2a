package plan

import "strings"

// Addon turns an addon on or off.
type Addon struct {
	Addon   string `json:"addon"`
	Enabled bool   `json:"enabled"`
}

func (c Addon) Kind() Kind     { return KindAddon }
func (c Addon) Object() string { return "addon/" + c.Addon }
func (c Addon) Needs() Need    { return Need{Effect: Live} }
func (c Addon) String() string {
	if c.Enabled {
		return "enable addon " + c.Addon
	}
	return "disable addon " + c.Addon
}

// AddonValues gives settings of an addon other values. Those that From or To lacks have their default.
type AddonValues struct {
	Addon string            `json:"addon"`
	From  map[string]string `json:"from,omitempty"`
	To    map[string]string `json:"to,omitempty"`
}

func (c AddonValues) Kind() Kind     { return KindAddonValues }
func (c AddonValues) Object() string { return "addon/" + c.Addon }
func (c AddonValues) Needs() Need    { return Need{Effect: Live} }
func (c AddonValues) String() string {
	var parts []string
	for _, name := range keys(c.From, c.To) {
		from, had := c.From[name]
		to, has := c.To[name]
		switch {
		case !has:
			parts = append(parts, name+" back to its default")
		case !had || from != to:
			parts = append(parts, name+"="+to)
		}
	}
	return "configure addon " + c.Addon + ": " + strings.Join(parts, ", ")
}
