package tui

import (
	"strings"
	"testing"

	"bonsai/bootstrap/fault"
)

func TestImagesSayWhoLacksThem(t *testing.T) {
	s := shop()
	r := newRig(t, s, 120, 30)
	r.shows("shop")
	r.keys("I")
	r.shows("IMAGES", "cart:1.4.2", "2/3", "dev-3", "hello:1", "all", "registry.k8s.io/pause:3.10", "redis:8", "1/3")
	r.keys("enter")
	r.shows("docker.io/library/cart:1.4.2", "dev-3 does not have it", "sha256:0a1b2c")
	r.keys("esc", "t")
	r.shows("on dev-1")
	r.keys("t", "t", "t")
	r.shows("on all nodes")
	// What has gone from the nodes goes from the list.
	s.update(func() { s.images["dev-3"] = s.images["dev-3"][:2] })
	r.until("it to go", func(s string) bool { return !strings.Contains(s, "redis:8") })
	r.keys("esc", "2", "j", "i")
	r.shows("on dev-2")
	// Opened again, it is the same page: the way back does not grow.
	r.keys("I", "I", "esc")
	r.until("the nodes", func(string) bool { _, ok := r.u.frame().(*panes); return ok })
}

func TestImagesAreLoadedPulledAndRemoved(t *testing.T) {
	s := shop()
	c := scripted(s)
	r := newRig(t, s, 120, 30)
	r.shows("shop")
	r.keys(":", `"images"`, "enter")
	r.shows("cart:1.4.2")
	r.keys("+")
	r.shows("hello:1", "on 3 of 3 nodes", "my-app:dev", "other.example/tool:2")
	r.keys(`"my-app"`, "enter")
	r.operated("image load my-app:dev")
	c.end <- nil
	r.shows("✓ load my-app:dev")
	r.keys("+")
	r.shows("my-app:dev")
	r.keys(`"./some file.tar"`, "enter")
	r.operated("image load ./some file.tar")
	c.end <- fault.Newf(fault.Image, "./some is not an archive")
	r.shows("failed: load ./some file.tar", "is not an archive")
	r.keys("esc", "p", "enter")
	r.shows("not the name of an image")
	r.keys(`"nginx:alpine"`, "enter")
	r.operated("image pull nginx:alpine")
	c.end <- nil
	r.shows("✓ pull nginx:alpine")
	r.keys(" ", " ", "delete")
	r.shows("remove 2 images?", "docker.io/library/cart:1.4.2", "running containers go on")
	r.keys("enter")
	r.keys("delete", "left", "enter")
	r.operated("image rm docker.io/library/cart:1.4.2 docker.io/library/hello:1")
	c.end <- nil
}

func TestImagesFrames(t *testing.T) {
	s := nasty()
	r := newRig(t, s, 80, 24)
	r.keys("I")
	r.shows("IMAGES")
	frames(t, r, []string{"G"}, []string{"w"}, []string{"enter"}, []string{"esc"}, []string{"p"})
}
