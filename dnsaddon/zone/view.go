package zone

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"

	"github.com/miekg/dns"
)

// View contains the records at one moment. It is immutable; any number of goroutines may use it.
type View struct {
	*config // with the Options in effect
	seed    maphash.Seed
	synced  bool

	services   *shards[string, *service] // by serviceKey
	namespaces *shards[string, struct{}]
	owners     *shards[[16]byte, owners]
	pods       *shards[[16]byte, []podCount]

	serial uint32
	soas   [][]byte // packed, for each of the apexes
}

// owners are the keys of the services that have an address, one after the other. Most addresses have one, and its key
// is in memory anyway.
type owners string

// next returns the first key and the rest.
func (o owners) next() (key string, rest owners) {
	n := 1 + int(o[0])
	n += 1 + int(o[n])
	return string(o[:n]), o[n:]
}

// without returns o without key; found reports whether it was there.
func (o owners) without(key string) (others owners, found bool) {
	for rest := o; rest != ""; {
		at := len(o) - len(rest)
		var k string
		if k, rest = rest.next(); k == key {
			return o[:at] + rest, true
		}
	}
	return o, false
}

// podCount is how many pods of a namespace have an address.
type podCount struct {
	namespace string
	n         int
}

// Apex is the cluster's domain, fully qualified and in lower case.
func (v *View) Apex() string { return v.Domain }

// Concerns reports whether Lookup may have an answer for a name (folded, in wire form): it is below the domain, an
// alias of it, or the top of reverse names. For any other name Lookup returns In false. It allocates nothing.
func (v *View) Concerns(folded []byte) bool {
	var l labels
	return v.apex(&l, folded) >= 0
}

// apex returns the index of the zone that contains name, -1 for none; l is filled with the labels below it.
func (v *View) apex(l *labels, name []byte) int {
	for i := range v.apexes {
		if l.split(name, &v.apexes[i]) {
			return i
		}
	}
	return -1
}

// shardOf returns the shard of key in services and namespaces.
func (v *View) shardOf(key string) uint64 { return maphash.String(v.seed, key) % tableShards }

func (v *View) countPods(namespace []byte, addr netip.Addr) int {
	key := addr.As16()
	for _, c := range v.pods[maphash.Bytes(v.seed, key[:])%tableShards][key] {
		if c.namespace == string(namespace) {
			return c.n
		}
	}
	return 0
}

// isNameServer reports whether name is taken for ns.dns.ZONE. CoreDNS only looks at the beginning: what follows the
// zone, such as the same zone again from a resolver's search path, makes no difference.
func isNameServer(name []byte, a *apex) bool {
	const label = "\x02ns\x03dns"
	zone := a.wire[:len(a.wire)-1]
	return len(name) > len(label)+len(zone) && string(name[:len(label)]) == label &&
		string(name[len(label):len(label)+len(zone)]) == string(zone)
}

// The SOA record's times, and the longest TTL that it has itself, in seconds.
const (
	soaRefresh, soaRetry, soaExpire = 7200, 1800, 86400
	soaMaxTTL                       = 300
)

func (v *View) soa(a *apex) *dns.SOA {
	return &dns.SOA{
		Hdr:     dns.RR_Header{Name: a.name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: min(v.TTL, soaMaxTTL)},
		Ns:      "ns.dns." + a.name,
		Mbox:    "hostmaster." + a.name,
		Serial:  v.serial,
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: v.TTL,
	}
}

// packSOA packs the result of soa, without compressing names.
func packSOA(a *apex, serial, ttl uint32) []byte {
	b := append(make([]byte, 0, 3*len(a.wire)+48), a.wire...)
	b = binary.BigEndian.AppendUint16(b, dns.TypeSOA)
	b = binary.BigEndian.AppendUint16(b, dns.ClassINET)
	b = binary.BigEndian.AppendUint32(b, min(ttl, soaMaxTTL))
	size := len(b)
	b = append(b, 0, 0)
	b = append(append(b, "\x02ns\x03dns"...), a.wire...)
	b = append(append(b, "\x0ahostmaster"...), a.wire...)
	for _, n := range [...]uint32{serial, soaRefresh, soaRetry, soaExpire, ttl} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	binary.BigEndian.PutUint16(b[size:], uint16(len(b)-size-2))
	return b
}
