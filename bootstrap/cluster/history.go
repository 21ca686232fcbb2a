package cluster

import (
	"encoding/json"
	"time"
)

// ObjectQuery selects objects. What is empty selects all.
type ObjectQuery struct {
	// Type is a type of the API by any of its names ("deploy", "deployments", "Deployment", "widgets.example.com").
	Type      string `json:"type,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// HistoryQuery selects changes.
type HistoryQuery struct {
	ObjectQuery
	// Since leaves out what is older.
	Since time.Time `json:"since,omitzero"`
	// Limit is how many changes are wanted, the newest; 0 for all.
	Limit int `json:"limit,omitempty"`
	// Status asks for changes of nothing but the status, too.
	Status bool `json:"status,omitempty"`
}

// History is what happened to objects.
type History struct {
	// Changes begin with the newest.
	Changes []Change `json:"changes"`
	// Begun is since when everything is recorded without a gap; Gaps are when recording went on after one, the newest first.
	Begun time.Time   `json:"begun,omitzero"`
	Gaps  []time.Time `json:"gaps,omitempty"`
	// Hidden is how many changes were left out because only the status has changed, or nothing that counts. More says that
	// there are older ones than Limit allows.
	Hidden int  `json:"hidden,omitempty"`
	More   bool `json:"more,omitempty"`
}

// What happened to an object.
const (
	ChangeCreated = "created"
	ChangeUpdated = "updated"
	ChangeDeleted = "deleted"
)

// ObjectName names an object.
type ObjectName struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	// Resource is the type as in URLs ("deployments").
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Change is one change of one object.
type Change struct {
	// Revision is the resourceVersion that the change gave to the object.
	Revision int64     `json:"revision"`
	Time     time.Time `json:"time"`
	// Change is one of ChangeCreated, ChangeUpdated and ChangeDeleted.
	Change string `json:"change"`
	ObjectName
	// Subresource is the part that the request was for ("status", "scale"); empty for the whole object.
	Subresource string `json:"subresource,omitempty"`
	// Who is the client in terms of a user of Kubernetes ("kubectl scale", "kubelet on dev-2"), User and UserAgent are those
	// of its request, and Manager is the owner of the newest fields. They are empty as far as they are not known.
	Who       string `json:"who,omitempty"`
	User      string `json:"user,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	Manager   string `json:"manager,omitempty"`
	// Fields are those that differ, of an update.
	Fields []FieldChange `json:"fields,omitempty"`
}

// FieldChange is a field with its values, as JSON, before and after; one that did not exist has none. Values in Secrets are
// replaced by their size.
type FieldChange struct {
	// Path is like "spec.template.spec.containers[web].image".
	Path   string          `json:"path"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// DifferenceQuery asks how objects differ now from what they were at a time.
type DifferenceQuery struct {
	ObjectQuery
	At time.Time `json:"at"`
	// Status compares the status, too.
	Status bool `json:"status,omitempty"`
}

// Difference is how one object differs.
type Difference struct {
	ObjectName
	// Change is one of ChangeCreated, ChangeUpdated and ChangeDeleted.
	Change string        `json:"change"`
	Fields []FieldChange `json:"fields,omitempty"`
}

// RevertRequest asks for an object as it was. Without At and To it is one that does not exist any more, as it was last.
type RevertRequest struct {
	ObjectQuery
	At time.Time `json:"at,omitzero"`
	// To is the revision of a change: as it was after that.
	To int64 `json:"to,omitempty"`
	// DryRun changes nothing; the API server checks it nevertheless.
	DryRun bool `json:"dryRun,omitempty"`
}

// Reverted is what a revert has done.
type Reverted struct {
	ObjectName
	// Change is ChangeCreated, ChangeUpdated, or empty: the object was like that.
	Change string        `json:"change,omitempty"`
	Fields []FieldChange `json:"fields,omitempty"`
	// At is the time of which it is.
	At     time.Time `json:"at"`
	DryRun bool      `json:"dryRun,omitempty"`
}

// PastObject is an object as it was at a time.
type PastObject struct {
	ObjectName
	At time.Time `json:"at"`
	// Object is without managed fields and what else the API server keeps. Values in Secrets are replaced by their size.
	Object map[string]any `json:"object"`
}
