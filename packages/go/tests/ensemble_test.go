package zkminitests

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"zkmini"
)

// Returns roles and states of the servers.
func states(zk *zkmini.Test) []string {
	all := []string{}
	for _, info := range zk.Servers() {
		all = append(all, info.Role+" "+info.State)
	}
	return all
}

func expectStates(t *testing.T, zk *zkmini.Test, expected ...string) {
	t.Helper()
	if all := states(zk); !reflect.DeepEqual(all, expected) {
		t.Errorf("%v, not %v", all, expected)
	}
}

func TestTheServersOfAnEnsembleAreListed(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t, zkmini.Servers(3))
	expectStates(t, zk, "follower running", "follower running", "leader running")
	addresses := []string{}
	for at, info := range zk.Servers() {
		addresses = append(addresses, info.Address)
		if info.Number != at+1 || info.LastZxid != zk.Status().LastZxid || info.Lag != (zkmini.Lag{}) || info.Behind != 0 {
			t.Errorf("%+v", info)
		}
	}
	if joined := strings.Join(addresses, ","); joined != zk.Hosts {
		t.Errorf("%s, %s", joined, zk.Hosts)
	}
	single := zkmini.Run(t)
	if servers := single.Servers(); len(servers) != 0 {
		t.Error(servers)
	}
	if err := single.Server.StopServer(1); !errors.Is(err, zkmini.ErrNotFound) {
		t.Error(err)
	}
}

func TestAClientOutlivesItsServer(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t, zkmini.Servers(3))
	conn, events, err := gozk.Connect(strings.Split(zk.Hosts, ","), 10*time.Second, gozk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	waitForState(t, events, gozk.StateHasSession)
	if _, err := conn.Create("/mine", nil, gozk.FlagEphemeral, gozk.WorldACL(gozk.PermAll)); err != nil {
		t.Fatal(err)
	}
	session := conn.SessionID()
	for _, info := range zk.Servers() {
		if info.Address == conn.Server() {
			zk.StopServer(info.Number)
			defer zk.StartServer(info.Number)
			// The client moves at once, also to a server that comes later in this list.
			break
		}
	}
	for {
		waitForState(t, events, gozk.StateHasSession)
		_, stat, err := conn.Get("/mine")
		// An election closes all connections, also one that has just been made.
		if errors.Is(err, gozk.ErrConnectionClosed) {
			continue
		}
		if err != nil || stat.EphemeralOwner != session {
			t.Error(stat, err)
		}
		return
	}
}

func TestServersAreBrokenAndMended(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t, zkmini.Servers(3))
	zk.StopServer(3)
	expectStates(t, zk, "follower running", "leader running", "looking stopped")
	zk.StartServer(3)
	zk.PartitionServer(2)
	expectStates(t, zk, "follower running", "looking partitioned", "leader running")
	zk.HealServer(2)
	zk.FreezeServer(2)
	expectStates(t, zk, "follower running", "follower frozen", "leader running")
	zk.ThawServer(2)
	zk.LeadServer(1)
	zk.RestartServer(2)
	expectStates(t, zk, "leader running", "follower running", "follower running")
	zk.LoseQuorum()
	expectStates(t, zk, "looking read-only", "looking read-only", "looking read-only")
	if err := zk.Server.LeadServer(1); !errors.Is(err, zkmini.ErrConflict) {
		t.Error(err)
	}
	zk.RegainQuorum()
	expectStates(t, zk, "follower running", "follower running", "leader running")
	for number := 1; number <= 3; number++ {
		zk.StopServer(number)
	}
	expectStates(t, zk, "looking stopped", "looking stopped", "looking stopped")
}

func TestAServerThatLagsIsBehind(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t, zkmini.Servers(3))
	zk.LagServer(1, 5)
	zk.Put("/a", "x")
	if info := zk.Servers()[0]; info.Lag.Transactions != 5 || info.Behind != 1 {
		t.Errorf("%+v", info)
	}
	zk.LagServerBy(1, time.Minute)
	if info := zk.Servers()[0]; info.Lag.Milliseconds != 60_000 {
		t.Errorf("%+v", info)
	}
	zk.CatchUpServer(1)
	if info := zk.Servers()[0]; info.Lag != (zkmini.Lag{}) || info.Behind != 0 {
		t.Errorf("%+v", info)
	}
	if err := zk.Server.LagServer(3, 1); !errors.Is(err, zkmini.ErrConflict) || !strings.Contains(err.Error(), "leads") {
		t.Error(err)
	}
}
