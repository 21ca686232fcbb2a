package etcd

import "testing"

func TestOnlyVolatileDataIsNotWaitedFor(t *testing.T) {
	for _, volatile := range []bool{false, true} {
		c := configIn(t.TempDir())
		c.Volatile = volatile
		cfg, err := configure(c)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.UnsafeNoFsync != volatile {
			t.Errorf("volatile %t: etcd waits for the disk: %t", volatile, !cfg.UnsafeNoFsync)
		}
	}
}
