// Tests as users of ZooKeeper write them, with github.com/go-zookeeper/zk.
package zkminitests

import (
	"errors"
	"strings"
	"testing"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"zkmini"
)

// Time after which a test gives up waiting for something that should have happened.
const patience = 10 * time.Second

// Returns a client that has a session, and its events.
func connect(t *testing.T, zk *zkmini.Test) (*gozk.Conn, <-chan gozk.Event) {
	t.Helper()
	conn, events, err := gozk.Connect([]string{zk.Hosts}, 4*time.Second, gozk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	waitForState(t, events, gozk.StateHasSession)
	return conn, events
}

func waitForState(t *testing.T, events <-chan gozk.Event, state gozk.State) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case event := <-events:
			if event.State == state {
				return
			}
		case <-timeout:
			t.Fatalf("the client did not come to %v", state)
		}
	}
}

func create(t *testing.T, conn *gozk.Conn, path, data string, flags int32) {
	t.Helper()
	if _, err := conn.Create(path, []byte(data), flags, gozk.WorldACL(gozk.PermAll)); err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
}

func TestAStandbyTakesOverWhenTheSessionOfTheLeaderExpires(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	leader, events := connect(t, zk)
	standby, _ := connect(t, zk)
	create(t, leader, "/leader", "a", gozk.FlagEphemeral)
	_, _, gone, err := standby.ExistsW("/leader")
	if err != nil {
		t.Fatal(err)
	}
	session := zkmini.SessionID(leader.SessionID())

	if id := zk.Expire("/leader"); id != session {
		t.Errorf("expired %s, not %s", id, session)
	}

	if event := <-gone; event.Type != gozk.EventNodeDeleted {
		t.Errorf("the standby was told of %v", event)
	}
	create(t, standby, "/leader", "b", gozk.FlagEphemeral)
	waitForState(t, events, gozk.StateExpired)
	if owner := zk.Get("/leader"); owner != "b" {
		t.Errorf("%s leads\n%s", owner, zk.Explain("/leader"))
	}
	if text := zk.Explain("/leader"); !strings.Contains(text, "expired by the test") {
		t.Error(text)
	}
}

func TestTheReplyOfACreateIsLostAndTheNodeIsThere(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, _ := connect(t, zk)
	zk.Put("/orders", "")
	lost := zk.Fault(zkmini.When{Op: "create", Path: "/orders/*", Times: 1}, zkmini.Then{Drop: zkmini.AfterApply})

	_, err := conn.Create("/orders/1", []byte("tea"), 0, gozk.WorldACL(gozk.PermAll))

	if !errors.Is(err, gozk.ErrConnectionClosed) {
		t.Errorf("the create returned %v", err)
	}
	if hits := lost.Hits(); lost.Fired() != 1 || len(hits) != 1 || hits[0].Path != "/orders/1" {
		t.Errorf("the rule has hit %v", hits)
	}
	if data := zk.Get("/orders/1"); data != "tea" {
		t.Errorf("ordered: %q", data)
	}
}

func TestARequestFailsAsToldAndNoLongerWhenTheRuleIsGone(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, _ := connect(t, zk)
	zk.Put("/config/colour", "green")
	rule := zk.Fault(zkmini.When{Op: "getData", Path: "/config/**"}, zkmini.Then{Fail: "NOAUTH"})
	if _, _, err := conn.Get("/config/colour"); !errors.Is(err, gozk.ErrNoAuth) {
		t.Errorf("the read returned %v", err)
	}
	rule.Remove()
	if data, _, err := conn.Get("/config/colour"); err != nil || string(data) != "green" {
		t.Errorf("the read returned %s, %v", data, err)
	}
}

func TestAClientThatFallsSilentExpiresWhenTheClockSaysSo(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, events := connect(t, zk)
	create(t, conn, "/member", "", gozk.FlagEphemeral)
	zk.ManualClock()
	zk.FreezeSession("/member")
	zk.Advance(3 * time.Second)
	if !zk.Exists("/member") {
		t.Error(zk.Explain("/member"))
	}
	zk.Advance(7 * time.Second)
	if zk.Exists("/member") {
		t.Error(zk.Explain("/member"))
	}
	zk.ThawSession(zkmini.SessionID(conn.SessionID()))
	waitForState(t, events, gozk.StateExpired)
}

func TestASessionSurvivesABrokenConnectionAndARestart(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, events := connect(t, zk)
	create(t, conn, "/member", "", gozk.FlagEphemeral)
	for name, breakIt := range map[string]func(){
		"disconnect": func() { zk.Disconnect("/member") },
		"restart":    zk.Restart,
	} {
		breakIt()
		waitForState(t, events, gozk.StateDisconnected)
		waitForState(t, events, gozk.StateHasSession)
		if !zk.Exists("/member") {
			t.Errorf("after %s: %s", name, zk.Explain("/member"))
		}
	}
}

func TestManyServersRunSideBySide(t *testing.T) {
	for _, name := range strings.Split("abcdefghijkl", "") {
		name := name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zk := zkmini.Run(t, zkmini.Fast())
			conn, _ := connect(t, zk)
			create(t, conn, "/"+name, "", 0)
			if children := zk.Children("/"); len(children) != 2 || children[0] != name {
				t.Errorf("%s has %v", name, children)
			}
		})
	}
}
