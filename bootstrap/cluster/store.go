package cluster

// Store is how full the file is in which etcd keeps all objects of a cluster. Sizes are in bytes.
type Store struct {
	// Size is that of the file.
	Size int64 `json:"size"`
	// Quota is the Size at which etcd refuses all writes.
	Quota int64 `json:"quota"`
	// ReadOnly means that it does, until a start finds or makes room.
	ReadOnly bool `json:"readOnly,omitempty"`
	// InUse is the Size without what is free in the file, which only a start gives back. It and Shares, the largest parts,
	// are known if the store is nearly full.
	InUse  int64        `json:"inUse,omitempty"`
	Shares []StoreShare `json:"shares,omitempty"`
}

// StoreShare is what one resource takes, with all versions of its objects that etcd still has.
type StoreShare struct {
	Resource string `json:"resource"`
	Bytes    int64  `json:"bytes"`
	Versions int    `json:"versions"`
}

// NearlyFull reports whether four fifths of the quota are used up, or writes are refused.
func (s Store) NearlyFull() bool { return s.ReadOnly || s.Size >= s.Quota/5*4 }
