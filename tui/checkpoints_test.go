package tui

import (
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

func TestCheckpointsAreSavedRestoredForkedAndDeleted(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 120, 40)
	r.shows("shop")
	r.keys(":", `"checkpoints"`, "enter")
	r.shows("CHECKPOINTS", "auto-20260314-115900-120", "before checkpoint restore", "before-migration", "322", "48M", "9M", "damaged", "the checksum of store.zst is wrong", "1/3")

	r.keys("+", `"auto-x"`, "enter")
	r.shows("lower-case letters, digits and dashes, and not auto-")
	for range len("auto-x") {
		r.keys("backspace")
	}
	r.keys(`"damaged"`, "enter")
	r.shows("there is a checkpoint of this name")
	for range len("damaged") {
		r.keys("backspace")
	}
	r.keys(`"safe"`, "tab", "right", "enter")
	r.operated("checkpoint save safe --with-volumes")
	r.keys("r")
	r.shows("wait for it: save checkpoint safe")
	c.end <- nil
	r.shows("✓ save checkpoint safe")

	r.keys("j", "enter")
	r.shows("saved 11:38:31, Kubernetes 1.37", "322 objects, 9M on the disk", "48M of claims on dev-2")
	r.keys("esc", "r")
	r.shows("restore checkpoint before-migration?", "replaced by the 322 of the checkpoint, which is 26m old", "the data of claims on dev-2 is replaced, too", "this can be", "cluster: dev")
	r.keys("enter") // Cancel
	r.keys("r", "right", "enter")
	r.operated("checkpoint restore before-migration")
	c.end <- fault.Newf(fault.ControlPlane, "it did not start with these objects")
	r.shows("failed: restore checkpoint before-migration", "it did not start with these objects")

	r.keys("esc", "f", `"dev"`, "enter")
	r.shows("its claims have the data of the checkpoint", "there is a cluster of this name")
	for range 3 {
		r.keys("backspace")
	}
	r.keys(`"try"`, "enter")
	r.operated("fork before-migration --as try")
	c.end <- nil
	r.shows("✓ create cluster try")

	r.keys("delete")
	r.shows("delete checkpoint before-migration?", "322 objects as they were 26m ago are lost", "48M of claims")
	r.keys("right", "enter")
	r.operated("checkpoint delete before-migration")
	s.update(func() { s.checkpoints = s.checkpoints[:1] })
	c.end <- nil
	r.shows("1/1")
	r.keys("L")
	r.shows("bonsai checkpoint restore -p dev before-migration")
}

func TestDamagedCheckpointsAndStoppedClusters(t *testing.T) {
	s := stopped()
	s.checkpoints = shop().checkpoints
	r := newRig(t, s, 120, 40)
	r.shows("dev is stopped")
	r.keys("K")
	r.shows("before-migration")
	r.keys("+")
	r.shows("the cluster is not running")
	r.keys("j", "r")
	r.shows("and is lost; the cluster is started", "type before-migration to continue")
	r.keys("esc", "j", "r")
	r.shows("the checkpoint is damaged")
	s.update(func() { s.checkpoints = []cluster.Checkpoint{} })
	r.shows("no checkpoint exists yet; + saves one")

	read := newRig(t, shop(), 120, 40, func(o *Options) { o.ReadOnly = true })
	read.settled()
	read.keys("K")
	read.shows("before-migration")
	for _, key := range []string{"+", "r", "f", "delete"} {
		read.keys("j", key)
		read.shows("bonsai ui runs with --readonly")
	}
}

func TestDoctorPage(t *testing.T) {
	s := shop()
	r := newRig(t, s, 120, 40)
	r.shows("shop")
	r.keys(":", `"doctor"`, "enter")
	r.shows("DOCTOR", "Container engine", "Docker 28.0.0", "inotify instances: 128 of 128 are in use", "State folder", "others may look into", "no cluster runs", "1/5")
	r.keys("f")
	r.shows("no fix is known for it that can be run from here")
	r.keys("j")
	r.shows("what to do  sudo sysctl -w fs.inotify.max_user_instances=8192")
	r.keys("enter")
	r.shows("programs of this user hold them", "raise the limit")
	r.keys("esc", "j", "j", "f")
	r.shows("run this?", "bonsai node start dev-3")
	r.keys("right", "enter")
	r.operated("node start dev-3")
	r.keys("+")
	r.shows("repair what this user has the rights for?", "nothing is installed")
	r.keys("right", "enter")
	r.shows("✓ 1 repaired", "/home/jane/.bonsai")
	r.keys("k", "enter")
	r.shows("made /home/jane/.bonsai private")
	r.keys("esc", "L")
	r.shows("bonsai doctor --fix")

	read := newRig(t, shop(), 120, 40, func(o *Options) { o.ReadOnly = true })
	read.settled()
	read.keys("H")
	read.shows("128 of 128")
	read.keys("+")
	read.shows("bonsai ui runs with --readonly")
	if s.fixes != 1 {
		t.Errorf("it was repaired %d times", s.fixes)
	}
}
