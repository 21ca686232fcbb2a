package zone

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/bootstrap/cluster"
)

// Store takes the cluster's objects and publishes Views. All methods may be called from any goroutine. The order in
// which objects are added and removed makes no difference: a Service, its slices and its Namespace are combined
// whenever one of them changes.
type Store struct {
	view atomic.Pointer[View]
	seed maphash.Seed

	mu     sync.Mutex // guards what follows
	config *config
	synced bool
	held   int  // Batch calls in progress
	dirty  bool // something has changed since the newest View

	services   table[string, *service]
	namespaces table[string, struct{}]
	owners     table[[16]byte, owners]
	pods       table[[16]byte, []podCount]

	slices map[objectKey]*slice
	podIPs map[objectKey][]netip.Addr

	orphans   int // among the services
	endpoints int
	changed   time.Time
	serial    uint32   // when answers changed last, in seconds; never goes back
	soas      [][]byte // with serial, or nil if they have to be packed
}

type objectKey struct{ namespace, name string }

// NewStore returns a Store that has no records and is not synced.
func NewStore(o Options) *Store {
	seed := maphash.MakeSeed()
	byText := func(s string) uint64 { return maphash.String(seed, s) }
	byAddr := func(k [16]byte) uint64 { return maphash.Bytes(seed, k[:]) }
	s := &Store{
		seed:       seed,
		config:     newConfig(o),
		services:   newTable[string, *service](byText),
		namespaces: newTable[string, struct{}](byText),
		owners:     newTable[[16]byte, owners](byAddr),
		pods:       newTable[[16]byte, []podCount](byAddr),
		slices:     map[objectKey]*slice{},
		podIPs:     map[objectKey][]netip.Addr{},
	}
	s.publishOptions()
	return s
}

// View returns the newest View.
func (s *Store) View() *View { return s.view.Load() }

// Records counts what the store contains, published or not.
func (s *Store) Records() cluster.DNSRecords {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records()
}

func (s *Store) records() cluster.DNSRecords {
	r := cluster.DNSRecords{
		Services:   s.services.len - s.orphans,
		Endpoints:  s.endpoints,
		Namespaces: s.namespaces.len,
		Changed:    s.changed,
	}
	if s.config.Pods == Verified {
		r.Pods = len(s.podIPs)
	}
	return r
}

// SetSynced declares that the store contains all of the cluster's objects. Before, nothing is published, which makes
// loading them cheap, and every question is answered with SERVFAIL; from now on, each change is published at once.
func (s *Store) SetSynced() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.synced {
		return
	}
	s.synced = true
	s.touch()
	s.publish()
}

// Batch runs load and publishes all changes in the meantime, by load or by others, as one.
func (s *Store) Batch(load func()) {
	s.mu.Lock()
	s.held++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.held--; s.dirty {
			s.publish()
		}
	}()
	load()
}

// SetOptions changes the settings. Records that depend on them are rebuilt.
func (s *Store) SetOptions(o Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.config
	s.config, s.soas = newConfig(o), nil
	if old.TTL != s.config.TTL || old.EndpointPodNames != s.config.EndpointPodNames {
		s.rebuild()
	}
	if !s.synced {
		s.publishOptions()
		return
	}
	s.touch()
	s.publish()
}

// rebuild rebuilds all records.
func (s *Store) rebuild() {
	fresh := make(map[*slice]*slice, len(s.slices))
	for key, sl := range s.slices {
		fresh[sl] = sl.rebuilt(s.config)
		s.slices[key] = fresh[sl]
	}
	for _, shard := range s.services.freeze() {
		for key, sv := range shard {
			all := make([]*slice, len(sv.slices))
			for i, sl := range sv.slices {
				all[i] = fresh[sl]
			}
			s.services.set(key, sv.rebuilt(all, s.config))
		}
	}
}

// SetNamespace adds a namespace.
func (s *Store) SetNamespace(name string) {
	name, ok := cleanLabel(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.namespaces.get(name); !ok || known {
		return
	}
	s.namespaces.set(name, struct{}{})
	s.touch()
	s.publish()
}

// DeleteNamespace removes a namespace. Its services are hidden until it is added again.
func (s *Store) DeleteNamespace(name string) {
	name, _ = cleanLabel(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.namespaces.get(name); !known {
		return
	}
	s.namespaces.delete(name)
	s.touch()
	s.publish()
}

// SetService adds or changes a Service.
func (s *Store) SetService(in Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, old, ok := s.service(in.Namespace, in.Name)
	if !ok {
		return
	}
	fresh := newService(key, in, s.config)
	if old != nil {
		if old.sameRecords(fresh) {
			return
		}
		fresh.slices = old.slices
	}
	s.replace(old, fresh.withSlices(fresh.slices))
	s.touch()
	s.publish()
}

// DeleteService removes a Service. Its slices stay until they are removed, too.
func (s *Store) DeleteService(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, old, ok := s.service(namespace, name)
	if !ok || old == nil || old.kind == orphan {
		return
	}
	s.replace(old, &service{key: key, slices: old.slices})
	s.touch()
	s.publish()
}

// SetSlice adds or changes an EndpointSlice.
func (s *Store) SetSlice(in Slice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, owner, ok := s.service(in.Namespace, in.Service)
	if !ok {
		if s.deleteSlice(in.Namespace, in.Name) {
			s.touch()
			s.publish()
		}
		return
	}
	fresh := newSlice(in, key, s.config)
	namespace, _ := splitKey(key)
	id := objectKey{namespace, fresh.name}
	old := s.slices[id]
	if old != nil && old.service != key {
		s.deleteSlice(in.Namespace, in.Name)
		_, owner, _ = s.service(in.Namespace, in.Service)
		old = nil
	}
	same := old != nil && old.sameRecords(fresh)
	if same && old.unready == fresh.unready && old.pods == fresh.pods {
		return
	}
	if owner == nil {
		owner = &service{key: key}
	}
	all := slices.Clone(owner.slices)
	at, found := slices.BinarySearchFunc(all, fresh.name, func(sl *slice, name string) int {
		return strings.Compare(sl.name, name)
	})
	if found {
		all[at] = fresh
	} else {
		all = slices.Insert(slices.Clip(all), at, fresh)
	}
	s.slices[id] = fresh
	s.replaceSlice(owner.withSlices(all), old, fresh)
	if !same {
		s.touch()
	}
	s.publish()
}

// DeleteSlice removes an EndpointSlice.
func (s *Store) DeleteSlice(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleteSlice(namespace, name) {
		s.touch()
		s.publish()
	}
}

func (s *Store) deleteSlice(namespace, name string) bool {
	id := objectKey{strings.ToLower(namespace), name}
	old := s.slices[id]
	if old == nil {
		return false
	}
	delete(s.slices, id)
	owner, _ := s.services.get(old.service)
	all := slices.DeleteFunc(slices.Clone(owner.slices), func(sl *slice) bool { return sl == old })
	s.replaceSlice(owner.withSlices(slices.Clip(all)), old, nil)
	return true
}

// SetPod adds or changes a pod.
func (s *Store) SetPod(in Pod) {
	var addrs []netip.Addr
	for _, text := range in.IPs {
		if addr, ok := parseAddr(text); ok && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	s.setPod(objectKey{strings.ToLower(in.Namespace), in.Name}, addrs)
}

// DeletePod removes a pod.
func (s *Store) DeletePod(namespace, name string) {
	s.setPod(objectKey{strings.ToLower(namespace), name}, nil)
}

func (s *Store) setPod(id objectKey, addrs []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.podIPs[id]
	if slices.Equal(old, addrs) {
		return
	}
	for _, addr := range old {
		s.countPod(addr, id.namespace, -1)
	}
	for _, addr := range addrs {
		s.countPod(addr, id.namespace, 1)
	}
	if s.podIPs[id] = addrs; len(addrs) == 0 {
		delete(s.podIPs, id)
	}
	if s.config.Pods == Verified {
		s.touch()
	}
	s.publish()
}

// countPod adds n to the number of pods of the namespace that have addr.
func (s *Store) countPod(addr netip.Addr, namespace string, n int) {
	key := addr.As16()
	old, _ := s.pods.get(key)
	var fresh []podCount
	for _, c := range old {
		if c.namespace == namespace {
			n += c.n
		} else {
			fresh = append(fresh, c)
		}
	}
	if n > 0 {
		fresh = append(fresh, podCount{namespace, n})
	}
	if len(fresh) == 0 {
		s.pods.delete(key)
		return
	}
	s.pods.set(key, fresh)
}

// service finds the service of an object. key is the key that the service already has, to share its memory.
func (s *Store) service(namespace, name string) (key string, sv *service, ok bool) {
	key, ok = serviceKey(namespace, name)
	if !ok {
		return "", nil, false
	}
	if sv, _ = s.services.get(key); sv != nil {
		key = sv.key
	}
	return key, sv, true
}

// replaceSlice replaces the service that has fresh's key by fresh, which differs in one slice: was became is; either
// may be nil.
func (s *Store) replaceSlice(fresh *service, was, is *slice) {
	s.put(fresh)
	for _, sl := range [2]*slice{was, is} {
		if sl == nil {
			continue
		}
		for i := range sl.len() {
			s.setOwner(sl.addr(i), fresh.key, sl == is || fresh.has(sl.addr(i)))
		}
	}
	if was != nil {
		s.endpoints -= was.len()
	}
	if is != nil {
		s.endpoints += is.len()
	}
}

// replace replaces old, which may be nil and has the same slices, by fresh.
func (s *Store) replace(old, fresh *service) {
	s.put(fresh)
	if old != nil {
		for _, addr := range old.vips() {
			s.setOwner(addr, fresh.key, fresh.has(addr))
		}
	}
	for _, addr := range fresh.vips() {
		s.setOwner(addr, fresh.key, true)
	}
}

func (s *Store) put(fresh *service) {
	if old, _ := s.services.get(fresh.key); old != nil && old.kind == orphan {
		s.orphans--
	}
	if fresh.kind == orphan {
		if len(fresh.slices) == 0 {
			s.services.delete(fresh.key)
			return
		}
		s.orphans++
	}
	s.services.set(fresh.key, fresh)
}

// setOwner records whether the service with the key has addr.
func (s *Store) setOwner(addr netip.Addr, key string, has bool) {
	at := addr.As16()
	old, _ := s.owners.get(at)
	others, listed := old.without(key)
	switch {
	case has == listed:
	case has && old == "":
		s.owners.set(at, owners(key))
	case has:
		s.owners.set(at, old+owners(key))
	case others == "":
		s.owners.delete(at)
	default:
		s.owners.set(at, others)
	}
}

// touch records that answers have changed.
func (s *Store) touch() {
	s.changed = time.Now()
	if serial := uint32(s.changed.Unix()); serial > s.serial {
		s.serial, s.soas = serial, nil
	}
}

// publish makes the state the newest View, now or at the end of the batch. While the store is not synced there is
// nothing to show.
func (s *Store) publish() {
	s.dirty = s.synced && s.held > 0
	if !s.synced || s.dirty {
		return
	}
	if s.soas == nil {
		for i := range s.config.apexes {
			s.soas = append(s.soas, packSOA(&s.config.apexes[i], s.serial, s.config.TTL))
		}
	}
	s.view.Store(&View{
		config: s.config, seed: s.seed, synced: true,
		services: s.services.freeze(), namespaces: s.namespaces.freeze(), owners: s.owners.freeze(), pods: s.pods.freeze(),
		serial: s.serial, soas: s.soas,
	})
}

// publishOptions publishes the options of a store that is not synced.
func (s *Store) publishOptions() {
	s.view.Store(&View{
		config: s.config, seed: s.seed,
		services: new(shards[string, *service]), namespaces: new(shards[string, struct{}]),
		owners: new(shards[[16]byte, owners]), pods: new(shards[[16]byte, []podCount]),
	})
}
