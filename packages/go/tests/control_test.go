package zkminitests

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"zkmini"
)

func TestTheAddressIsToldWholeAndInParts(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	if joined := net.JoinHostPort(zk.Host(), strconv.Itoa(zk.Port())); joined != zk.Hosts || zk.HTTP != "http://"+zk.Hosts {
		t.Errorf("%s, %s, %s", joined, zk.Hosts, zk.HTTP)
	}
	if status := zk.Status(); status.API != 1 || status.Clock != "real" || status.Frozen {
		t.Errorf("%+v", status)
	}
}

func TestNodesAreWrittenReadListedAndDeleted(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	for path, data := range map[string]string{"/a/b c/ü?%#": "grün", "/a/bytes": "\xff\x00", "/a/empty": ""} {
		zk.Put(path, data)
		if got := zk.Get(path); got != data {
			t.Errorf("%s has %q", path, got)
		}
	}
	if path := zk.PutSequential("/a/task-", "x"); path != "/a/task-0000000003" {
		t.Error(path)
	}
	if names := zk.Children("/a"); !reflect.DeepEqual(names, []string{"b c", "bytes", "empty", "task-0000000003"}) {
		t.Error(names)
	}
	if node := zk.Tree("/a", 0); len(node.Children) != 0 {
		t.Errorf("%+v", node)
	}
	if node := zk.Tree("/a", zkmini.WholeTree); len(node.Children) != 4 || node.Children[0].Children[0].Data != "grün" || node.Stat.NumChildren != 4 {
		t.Errorf("%+v", node)
	}
	if err := zk.Server.Delete("/a"); !errors.Is(err, zkmini.ErrConflict) {
		t.Error(err)
	}
	for _, err := range []error{zk.Server.Put("a", ""), zk.Server.Delete("a")} {
		if err == nil || !strings.Contains(err.Error(), `begins with a slash: "a"`) {
			t.Error(err)
		}
	}
	zk.Delete("/a/empty")
	zk.DeleteAll("/a")
	if zk.Exists("/a") || !zk.Exists("/") {
		t.Error(zk.Tree("/", 3))
	}
}

func TestAResetOfAllTakesFaultsStallsAndTheManualClockAway(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	rule := zk.Fault(zkmini.When{Event: "*"}, zkmini.Then{DropEvent: true})
	zk.Put("/a", "")
	zk.Reset()
	if zk.Exists("/a") || rule.Fired() != 0 {
		t.Error("a plain reset removes nodes, and leaves the rule")
	}
	zk.Freeze()
	zk.Advance(time.Second)
	if !zk.Status().Frozen || zk.Clock().Mode != "manual" {
		t.Errorf("%+v", zk.Status())
	}
	zk.ResetAll()
	if zk.Status().Frozen || zk.Clock().Mode != "real" {
		t.Errorf("%+v", zk.Status())
	}
	if _, err := rule.Rule.Fired(); !errors.Is(err, zkmini.ErrNotFound) {
		t.Errorf("the rule is still there: %v", err)
	}
}

func TestTimeMovesByTicksToTheNextDeadlineAndByTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	zk.Advance(0)
	begin := zk.Clock()
	zk.AdvanceTicks(3)
	if clock := zk.Clock(); clock.Mode != "manual" || clock.MonotonicMs-begin.MonotonicMs != 3*clock.TickMs {
		t.Errorf("%+v", clock)
	}
	zk.AdvanceToNextDeadline()
	before := zk.Clock()
	zk.JumpWallClock(-5 * time.Second)
	if clock := zk.Clock(); clock.MonotonicMs != before.MonotonicMs || clock.NowMs != before.NowMs-5000 {
		t.Errorf("%+v, before %+v", clock, before)
	}
}

func TestTheHistoryAsTextLeavesOutRequestsUnlessTheyFail(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, _ := connect(t, zk)
	zk.Put("/told", "x")
	if _, _, err := conn.Get("/told"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Get("/none"); err == nil {
		t.Fatal("/none is there")
	}
	text := zk.HistoryText(10)
	if !strings.Contains(text, "/told created") || strings.Contains(text, "getData /told") || !strings.Contains(text, "getData /none, NONODE") {
		t.Error(text)
	}
	if text := zk.HistoryText(1); strings.Count(text, "\n") != 0 || !strings.Contains(text, "/none") {
		t.Error(text)
	}
}

func TestChildrenAreListedHoweverMuchDataTheyHave(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	for part := 0; part < 34; part++ {
		zk.Put(fmt.Sprintf("/large/part-%d", part), strings.Repeat("x", 1_000_000))
	}
	if children := zk.Children("/large"); len(children) != 34 {
		t.Error(children)
	}
	if _, err := zk.Server.Tree("/large", 1); err == nil {
		t.Error("the limit has moved: give the nodes more data")
	}
}

func TestWhatHasChangedIsToldAfterManyReads(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, _ := connect(t, zk)
	zk.Put("/told", "x")
	for read := 0; read < 2000; read++ {
		if _, _, err := conn.Get("/told"); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{40, 10_000} {
		if text := zk.HistoryText(limit); !strings.Contains(text, "/told created") || strings.Contains(text, "getData") {
			t.Error(text)
		}
	}
}

func TestEveryFaultIsUnderstoodByTheServer(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	for text, rule := range map[string]struct {
		when zkmini.When
		then zkmini.Then
	}{
		"fail with NONODE":          {zkmini.When{Op: "create,setData", Session: "0x17"}, zkmini.Then{Fail: "NONODE"}},
		"delay by 500ms":            {zkmini.When{Op: "*", Every: 3}, zkmini.Then{Delay: 500 * time.Millisecond}},
		"delay the reply by":        {zkmini.When{Op: "*"}, zkmini.Then{DelayReply: time.Second}},
		"without the reply":         {zkmini.When{Op: "*", Nth: 2}, zkmini.Then{Drop: zkmini.AfterApply}},
		"be silent before applying": {zkmini.When{Op: "*"}, zkmini.Then{Silent: zkmini.BeforeApply}},
		"1s latency and 10 bytes":   {zkmini.When{Connect: true}, zkmini.Then{SlowLatency: time.Second, SlowBytesPerSecond: 10}},
		"10 bytes":                  {zkmini.When{Connect: true}, zkmini.Then{SlowBytesPerSecond: 10}},
		"drop the event":            {zkmini.When{Event: "NodeDeleted", Path: "/a/*"}, zkmini.Then{DropEvent: true}},
		"refuse":                    {zkmini.When{Reattach: true}, zkmini.Then{Refuse: true}},
		"expiry":                    {zkmini.When{Expiry: true}, zkmini.Then{HoldEphemerals: time.Minute}},
		"seed 7":                    {zkmini.When{Op: "*", Probability: 0.1, Seed: 7}, zkmini.Then{Fail: "NONODE"}},
		"connect at listener":       {zkmini.When{Connect: true, Listener: zk.Hosts}, zkmini.Then{Refuse: true}},
	} {
		if added := zk.Fault(rule.when, rule.then); !strings.Contains(added.Text, text) {
			t.Errorf("%q is not in %q", text, added.Text)
		}
	}
	zk.ClearFaults()
}

func TestARuleOfNoCasesAndOneThatIsGoneAreRules(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, _ := connect(t, zk)
	never := zk.Fault(zkmini.When{Op: "create", Probability: -1, Seed: 7}, zkmini.Then{Fail: "NOAUTH"})
	create(t, conn, "/a", "", 0)
	if never.Fired() != 0 {
		t.Error(never.Text, never.Hits())
	}
	always := zk.Fault(zkmini.When{Op: "create"}, zkmini.Then{Fail: "NOAUTH"})
	for range [2]int{} {
		if _, err := conn.Create("/b", nil, 0, gozk.WorldACL(gozk.PermAll)); !errors.Is(err, gozk.ErrNoAuth) {
			t.Error(err)
		}
	}
	always.Remove()
	always.Remove()
	zk.ResetAll()
	never.Remove()
}

func TestTheTreeGoesOutAndIn(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	zk.Put("/config/colour", "green")
	snapshot := zk.Snapshot()
	if text := zk.SnapshotText(); !strings.Contains(text, "/config/colour:\n  data: green") {
		t.Error(text)
	}
	zk.RestoreText("/other: {data: blue}")
	if zk.Exists("/config") || zk.Get("/other") != "blue" {
		t.Error(zk.SnapshotText())
	}
	zk.Restore(snapshot)
	if zk.Exists("/other") || zk.Get("/config/colour") != "green" {
		t.Error(zk.SnapshotText())
	}
	if err := zk.Server.Restore([]byte("no snapshot")); !errors.Is(err, zkmini.ErrBadRequest) {
		t.Error(err)
	}
}

func TestAnyCallIsMadeWithJSONAndWithBytes(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	var metrics, snapshot []byte
	zk.Call("GET", "/metrics", nil, &metrics)
	if !strings.Contains(string(metrics), "\nznode_count ") {
		t.Error(string(metrics))
	}
	zk.Put("/a", "")
	zk.Call("GET", "/v1/snapshot", nil, &snapshot)
	zk.Delete("/a")
	var status zkmini.Status
	zk.Call("POST", "/v1/restore", snapshot, &status)
	if status.API != 1 || !zk.Exists("/a") {
		t.Errorf("%+v", status)
	}
	if text := fails(t, func(f *failing) { zkmini.Run(f).Call("GET", "/v1/none", nil, nil) }); !strings.Contains(text, "there is no call /v1/none") {
		t.Error(text)
	}
}

func TestASessionIsNamedByItsNodeWhereverOneIsAskedFor(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, _ := connect(t, zk)
	other, _ := connect(t, zk)
	create(t, conn, "/member", "", gozk.FlagEphemeral)
	zk.PutEphemeral("/ours", "x", "/member")
	if owner := zk.Tree("/ours", 0).Stat.EphemeralOwner; owner != zkmini.SessionID(conn.SessionID()) {
		t.Error(owner)
	}
	rule := zk.Fault(zkmini.When{Op: "getData", Session: "/member"}, zkmini.Then{Fail: "NOAUTH"})
	if _, _, err := conn.Get("/ours"); !errors.Is(err, gozk.ErrNoAuth) {
		t.Error(err)
	}
	if _, _, err := other.Get("/ours"); err != nil {
		t.Error(err)
	}
	rule.Remove()
	for _, entry := range zk.History(zkmini.HistoryFilter{Session: "/member", Kind: "request,connect"}) {
		if entry.Session != zkmini.SessionID(conn.SessionID()) {
			t.Error(entry)
		}
	}
	zk.Put("/plain", "")
	_, ofFault := zk.Server.Fault(zkmini.When{Op: "*", Session: "/plain"}, zkmini.Then{Fail: "NOAUTH"})
	_, ofHistory := zk.Server.History(zkmini.HistoryFilter{Session: "/plain"})
	for _, err := range []error{ofFault, ofHistory, zk.Server.PutEphemeral("/c", "", "/plain")} {
		if err == nil || !strings.Contains(err.Error(), "not ephemeral") {
			t.Error(err)
		}
	}
}

func TestWatchesAndTheHistoryAreNarrowedDown(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, _ := connect(t, zk)
	for _, path := range []string{"/a/1", "/a/2", "/b"} {
		zk.Put(path, "")
		if _, _, _, err := conn.GetW(path); err != nil {
			t.Fatal(err)
		}
	}
	if all, some, first := zk.Watches("", 0), zk.Watches("/a/*", 0), zk.Watches("", 1); len(all) != 3 || len(some) != 2 || len(first) != 1 {
		t.Error(all, some, first)
	}
	made := zk.History(zkmini.HistoryFilter{Path: "/a/*", Kind: "transaction"})
	if len(made) != 2 || made[0].Path != "/a/1" {
		t.Fatal(made)
	}
	for name, filter := range map[string]zkmini.HistoryFilter{
		"/a/1": {Kind: "transaction", BeforeSeq: made[1].Seq, Limit: 1},
		"/a/2": {Kind: "transaction", SinceSeq: made[0].Seq, Limit: 1},
		"/b":   {Kind: "transaction", Since: made[1].Zxid},
		"/a":   {Kind: "transaction", SinceSeq: -1, Limit: 1},
	} {
		if found := zk.History(filter); len(found) != 1 || found[0].Path != name {
			t.Errorf("%+v: %v", filter, found)
		}
	}
	for _, entry := range zk.History(zkmini.HistoryFilter{Story: true}) {
		if entry.Kind == "request" {
			t.Error(entry)
		}
	}
}

func TestTheServerOfATestHasEveryMethodWithoutTheError(t *testing.T) {
	failure := reflect.TypeOf((*error)(nil)).Elem()
	for _, kind := range []reflect.Type{reflect.TypeOf(&zkmini.Test{}), reflect.TypeOf(&zkmini.TestRule{})} {
		for number := 0; number < kind.NumMethod(); number++ {
			method := kind.Method(number)
			outputs := method.Type.NumOut()
			if outputs > 0 && method.Type.Out(outputs-1) == failure {
				t.Errorf("%v.%s returns an error", kind, method.Name)
			}
		}
	}
}

func TestErrorsOfTheServerAreTyped(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t).Server
	_, err := zk.Get("/none")
	var refusal *zkmini.Error
	if !errors.As(err, &refusal) || refusal.Status != 404 || refusal.Code != "not_found" || refusal.Message != "/none does not exist" {
		t.Errorf("%#v", err)
	}
	if errors.Is(err, zkmini.ErrConflict) || errors.Is(err, errors.New("other")) {
		t.Error("an error is like another")
	}
	if _, err := zk.Fault(zkmini.When{}, zkmini.Then{Fail: "NONODE"}); !errors.Is(err, zkmini.ErrBadRequest) {
		t.Error(err)
	}
	if err := zk.Put("/plain", ""); err != nil {
		t.Fatal(err)
	}
	for session, want := range map[string]string{"/plain": "not ephemeral", "0xaa": "no session 0xaa", "leader": "not a session", "/none": "no such node"} {
		if _, err := zk.Expire(session); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expire %s: %v", session, err)
		}
	}
	if ended, err := zk.ExpireAll(); err != nil || len(ended) != 0 {
		t.Error(ended, err)
	}
}

func TestAServerIsUsedBySeveralGoroutines(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	var group sync.WaitGroup
	for number := 0; number < 16; number++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			if err := zk.Server.Put(fmt.Sprintf("/n/%02d", number), zk.Log()); err != nil {
				t.Error(err)
			}
		}(number)
	}
	group.Wait()
	if names := zk.Children("/n"); len(names) != 16 {
		t.Error(names)
	}
}

func TestWhoIsThereIsTold(t *testing.T) {
	t.Parallel()
	zk := zkmini.Run(t)
	conn, _ := connect(t, zk)
	id := zkmini.SessionID(conn.SessionID())
	zk.PutEphemeral("/member", "x", id)
	if _, _, _, err := conn.GetW("/member"); err != nil {
		t.Fatal(err)
	}
	sessions, connections, watches := zk.Sessions(), zk.Connections(), zk.Watches("", 0)
	if len(sessions) != 1 || sessions[0].ID != id || sessions[0].TimeoutMs != 4000 || !reflect.DeepEqual(sessions[0].Ephemerals, []string{"/member"}) {
		t.Errorf("%+v", sessions)
	}
	if len(connections) != 1 || connections[0].Session != id || connections[0].ID != sessions[0].Connection {
		t.Errorf("%+v", connections)
	}
	if len(watches) != 1 || watches[0] != (zkmini.Watch{Path: "/member", Kind: "data", Session: id, Connection: connections[0].ID}) {
		t.Errorf("%+v", watches)
	}
	entries := zk.History(zkmini.HistoryFilter{Limit: 3})
	if len(entries) != 3 || !strings.HasSuffix(entries[2].String(), "request      session "+id+": getData /member") {
		t.Errorf("%v", entries)
	}
}
