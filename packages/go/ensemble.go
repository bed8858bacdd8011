package zkmini

import (
	"strconv"
	"time"
)

// ServerInfo is a server of an ensemble, as it was when it was asked for.
type ServerInfo struct {
	// Number counts from 1.
	Number  int `json:"server"`
	Address string
	// Role is "leader", "follower", "observer", or "looking" for one that knows no leader.
	Role string
	// State is "running", "read-only" without a quorum, "frozen", "partitioned" or "stopped".
	State    string
	LastZxid string `json:"last_zxid"`
	// Lag is the lag that was set.
	Lag Lag
	// Behind is the number of transactions that it has not applied yet.
	Behind int
}

// Lag is how far a server is behind the leader: by transactions, or by a time; by nothing if both are zero.
type Lag struct {
	Transactions int
	Milliseconds int `json:"ms"`
}

// Servers returns the servers of an ensemble, in order; none of a single server.
func (s *Server) Servers() ([]ServerInfo, error) { return get[[]ServerInfo](s, "/v1/servers") }

// StopServer stops a server of an ensemble, counted from 1: its port refuses. If it leads, another one does.
func (s *Server) StopServer(number int) error { return s.post(serverPath(number, "stop")) }

// StartServer starts it on the same port, with everything that has happened meanwhile.
func (s *Server) StartServer(number int) error { return s.post(serverPath(number, "start")) }

// RestartServer stops it, and starts it.
func (s *Server) RestartServer(number int) error { return s.post(serverPath(number, "restart")) }

// PartitionServer cuts it off from the others: its connections are closed, and new ones get no answer.
func (s *Server) PartitionServer(number int) error { return s.post(serverPath(number, "partition")) }

// HealServer lets it reach the others again.
func (s *Server) HealServer(number int) error { return s.post(serverPath(number, "heal")) }

// FreezeServer lets its clients hear nothing of it; it stays a part of the ensemble.
func (s *Server) FreezeServer(number int) error { return s.post(serverPath(number, "freeze")) }

// ThawServer lets it go on.
func (s *Server) ThawServer(number int) error { return s.post(serverPath(number, "thaw")) }

// LeadServer lets it lead, in a new epoch: all connections of all servers are closed.
func (s *Server) LeadServer(number int) error { return s.post(serverPath(number, "lead")) }

// LagServer lets a server be behind the leader by a number of transactions, so that its clients read the past.
func (s *Server) LagServer(number, transactions int) error {
	return s.Call("POST", serverPath(number, "lag"), map[string]int{"transactions": transactions}, nil)
}

// LagServerBy lets a server be behind the leader by a time.
func (s *Server) LagServerBy(number int, d time.Duration) error {
	return s.Call("POST", serverPath(number, "lag"), map[string]int64{"ms": d.Milliseconds()}, nil)
}

// CatchUpServer ends the lag of a server.
func (s *Server) CatchUpServer(number int) error {
	return s.Call("POST", serverPath(number, "lag"), map[string]bool{"none": true}, nil)
}

// LoseQuorum closes all connections; only clients that ask for read-only service are served until RegainQuorum. A single server
// has no quorum to lose: an error.
func (s *Server) LoseQuorum() error { return s.setQuorum(true) }

// RegainQuorum gets the quorum back, if more than half of the servers take part.
func (s *Server) RegainQuorum() error { return s.setQuorum(false) }

func (s *Server) setQuorum(isLost bool) error {
	return s.Call("POST", "/v1/quorum", map[string]bool{"lost": isLost}, nil)
}

func serverPath(number int, action string) string {
	return "/v1/servers/" + strconv.Itoa(number) + "/" + action
}

// The methods of [Server] for tests, each of which ends the test if something is wrong.

// Servers is that of [Server].
func (z *Test) Servers() []ServerInfo {
	z.t.Helper()
	value, err := z.Server.Servers()
	z.check(err)
	return value
}

// StopServer is that of [Server].
func (z *Test) StopServer(number int) {
	z.t.Helper()
	z.check(z.Server.StopServer(number))
}

// StartServer is that of [Server].
func (z *Test) StartServer(number int) {
	z.t.Helper()
	z.check(z.Server.StartServer(number))
}

// RestartServer is that of [Server].
func (z *Test) RestartServer(number int) {
	z.t.Helper()
	z.check(z.Server.RestartServer(number))
}

// PartitionServer is that of [Server].
func (z *Test) PartitionServer(number int) {
	z.t.Helper()
	z.check(z.Server.PartitionServer(number))
}

// HealServer is that of [Server].
func (z *Test) HealServer(number int) {
	z.t.Helper()
	z.check(z.Server.HealServer(number))
}

// FreezeServer is that of [Server].
func (z *Test) FreezeServer(number int) {
	z.t.Helper()
	z.check(z.Server.FreezeServer(number))
}

// ThawServer is that of [Server].
func (z *Test) ThawServer(number int) {
	z.t.Helper()
	z.check(z.Server.ThawServer(number))
}

// LeadServer is that of [Server].
func (z *Test) LeadServer(number int) {
	z.t.Helper()
	z.check(z.Server.LeadServer(number))
}

// CatchUpServer is that of [Server].
func (z *Test) CatchUpServer(number int) {
	z.t.Helper()
	z.check(z.Server.CatchUpServer(number))
}

// LagServer is that of [Server].
func (z *Test) LagServer(number, transactions int) {
	z.t.Helper()
	z.check(z.Server.LagServer(number, transactions))
}

// LagServerBy is that of [Server].
func (z *Test) LagServerBy(number int, d time.Duration) {
	z.t.Helper()
	z.check(z.Server.LagServerBy(number, d))
}

// LoseQuorum is that of [Server].
func (z *Test) LoseQuorum() {
	z.t.Helper()
	z.check(z.Server.LoseQuorum())
}

// RegainQuorum is that of [Server].
func (z *Test) RegainQuorum() {
	z.t.Helper()
	z.check(z.Server.RegainQuorum())
}
