// Package zkmini starts zk-mini, a ZooKeeper server for tests. It starts in milliseconds, expires sessions when the test says so, loses
// replies, moves time by hand, and tells who deleted a node. Any ZooKeeper client works with it.
//
//	func TestStandbyTakesOver(t *testing.T) {
//		zk := zkmini.Run(t)
//		conn, _, err := gozk.Connect([]string{zk.Hosts}, 10*time.Second)
//		...
//		zk.Expire("/election/leader") // the session that owns this node, now, on the server
//	}
//
// [Run] is for tests: its methods fail the test if something is wrong. [Start] is for all else: its methods return errors. Answers of
// methods that change something come when it has happened: a test need not wait.
//
// A session is named by the path of an ephemeral node that it owns, or by its id, "0x…"; [SessionID] makes that of a number.
//
// The program is taken from the option [Program], from the variable ZK_MINI, or from the PATH.
package zkmini

import (
	"context"
	"strconv"
	"time"
)

// Entries of the history that a failed test prints, and the time in which the server has to tell them: it may be stuck.
const (
	historyOfFailure = 40
	historyTimeout   = 5 * time.Second
)

// T is what Run needs of a test: a *testing.T, *testing.B or *testing.F, or what other frameworks have in its place.
type T interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Test is a server of a test. Its methods are those of [Server], but if something is wrong they end the test, so they are for the
// goroutine of the test; for others, and to see an error, use the field Server: zk.Server.Expire("/a").
type Test struct {
	*Server
	t T
}

// Run starts a server for a test, which ends with the test. If there is no server, the test fails. If the test fails, the end of the
// server's history is logged: who did what.
func Run(t T, options ...Option) *Test {
	t.Helper()
	server, err := Start(context.Background(), options...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	zk := &Test{Server: server, t: t}
	t.Cleanup(func() {
		t.Helper()
		if t.Failed() {
			zk.logHistory()
		}
		if err := server.Stop(); err != nil {
			t.Logf("%v", err)
		}
	})
	return zk
}

func (z *Test) logHistory() {
	z.t.Helper()
	server := *z.Server
	server.timeout = historyTimeout
	text, err := server.HistoryText(historyOfFailure)
	if err != nil {
		z.t.Logf("%v", err)
		return
	}
	z.t.Logf("zk-mini, what happened last:\n%s", text)
}

func (z *Test) check(err error) {
	z.t.Helper()
	if err != nil {
		z.t.Fatalf("%v", err)
	}
}

// Option is a setting of a server that is started.
type Option func(*settings)

type settings struct {
	program string
	args    []string
	timeout time.Duration
	// isEnsemble tells that the server is controlled at a port of its own.
	isEnsemble bool
}

// Program names the program, instead of the variable ZK_MINI and the PATH.
func Program(path string) Option { return func(s *settings) { s.program = path } }

// Args adds arguments of `zk-mini serve`, such as "--enforce-quota".
func Args(args ...string) Option { return func(s *settings) { s.args = append(s.args, args...) } }

// Fast allows sessions as short as 100 ms. A client that asks for 10 s gets 10 s all the same.
func Fast() Option { return Args("--fast") }

// Load names a file with the nodes to begin with, YAML or JSON.
func Load(file string) Option { return Args("--load", file) }

// DataDir names the directory for snapshots and logs. Without it everything is in memory.
func DataDir(dir string) Option { return Args("--data-dir", dir) }

// Compat names the release line of ZooKeeper to behave like, "3.8" or "3.9".
func Compat(line string) Option { return Args("--compat", line) }

// Tick sets the length of a tick, the unit of session timeouts; 2 s otherwise.
func Tick(d time.Duration) Option { return Args("--tick-ms", milliseconds(d)) }

// Servers makes an ensemble of several servers, simulated in one process, to be broken by [Server.StopServer] and its neighbours. Its
// control has a port of its own, which answers when all servers are stopped.
func Servers(count int) Option {
	return func(s *settings) {
		if s.isEnsemble = count > 1; s.isEnsemble {
			s.args = append(s.args, "--servers", strconv.Itoa(count), "--http", "127.0.0.1:0")
		}
	}
}

// StartTimeout sets the time that the start may take; 20 s otherwise.
func StartTimeout(d time.Duration) Option { return func(s *settings) { s.timeout = d } }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
