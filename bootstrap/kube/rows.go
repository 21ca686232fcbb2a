package kube

import "time"

// RowQuery selects objects. An empty Namespace means all, as does an empty Name.
type RowQuery struct {
	Type      ResourceType `json:"type"`
	Namespace string       `json:"namespace,omitempty"`
	Name      string       `json:"name,omitempty"`
}

// Column heads one cell of each row.
type Column struct {
	Name string `json:"name"`
	// Wide columns are shown only in wide output (a priority above 0 in the API's table).
	Wide bool `json:"wide,omitempty"`
	// Numeric columns align right and sort by number.
	Numeric bool `json:"numeric,omitempty"`
	// Time columns show the age of Row.Created; their cells are empty.
	Time bool `json:"time,omitempty"`
}

// Row is one object of a table. Cells are as the API server prints them, one per column.
type Row struct {
	UID       string   `json:"uid"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name"`
	Cells     []string `json:"cells"`
	// Created is the object's creation; the column "Age" derives from it when it is drawn.
	Created time.Time `json:"created,omitzero"`
	// Deleting says that the object has a deletion timestamp.
	Deleting bool `json:"deleting,omitempty"`
	// Labels may be shared by many rows; they must not be changed.
	Labels map[string]string `json:"labels,omitempty"`
	// Owner is the controlling owner, zero if there is none.
	Owner Object `json:"owner,omitzero"`
	// Cordoned nodes take no new pods.
	Cordoned bool `json:"cordoned,omitempty"`
}

// RowBatch is a change of rows.
type RowBatch struct {
	// Columns are set in the first batch after Reset, and whenever they changed.
	Columns []Column `json:"columns,omitempty"`
	// Reset says that everything sent before is void.
	Reset bool  `json:"reset,omitempty"`
	Set   []Row `json:"set,omitempty"`
	// Delete are UIDs.
	Delete []string `json:"delete,omitempty"`
	// Synced says that the list is complete.
	Synced bool `json:"synced,omitempty"`
}
