package zkmini

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Server is a running server, and the control over it. It may be used by several goroutines.
type Server struct {
	// Hosts is the address for ZooKeeper clients, HOST:PORT; several, with commas, if the server listens on several.
	Hosts string
	// HTTP is the URL of the server's control, and of its page.
	HTTP string
	// Token of its HTTP, if it wants one.
	token string
	// Time in which a call is answered.
	timeout time.Duration
	process *process
}

// Start starts a server on a free port of 127.0.0.1. It ends with [Server.Stop], and with this process, however that ends. The context
// is that of the start alone.
func Start(ctx context.Context, options ...Option) (*Server, error) {
	s := settings{timeout: 20 * time.Second}
	for _, option := range options {
		option(&s)
	}
	program, err := findProgram(s.program)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	process, ready, err := launch(ctx, program, s.args)
	if err != nil {
		return nil, err
	}
	server := &Server{Hosts: strings.Join(ready.Listen, ","), HTTP: ready.HTTP, timeout: callTimeout, process: process}
	if s.isEnsemble {
		server.HTTP = "http://" + ready.HTTPOn[0]
	}
	err = server.checkAPI()
	if err == nil && s.isEnsemble {
		server.Hosts, err = server.addresses()
	}
	if err != nil {
		process.kill()
		return nil, err
	}
	return server, nil
}

// Stop stops the server.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	return s.process.stop()
}

// Host returns the host of the first address.
func (s *Server) Host() string { host, _, _ := net.SplitHostPort(s.first()); return host }

// Port returns the port of the first address.
func (s *Server) Port() int {
	_, port, _ := net.SplitHostPort(s.first())
	number, _ := strconv.Atoi(port)
	return number
}

func (s *Server) first() string { first, _, _ := strings.Cut(s.Hosts, ","); return first }

// Pid returns the process id of the server; 0 after Attach.
func (s *Server) Pid() int {
	if s.process == nil {
		return 0
	}
	return s.process.command.Process.Pid
}

// Log returns the end of what the server wrote to standard error.
func (s *Server) Log() string {
	if s.process == nil {
		return ""
	}
	return s.process.log.String()
}

// Status returns figures of the server.
func (s *Server) Status() (Status, error) { return get[Status](s, "/v1/status") }

// Reset removes all nodes and sessions. Faults and the clock stay.
func (s *Server) Reset() error { return s.post("/v1/reset") }

// ResetAll removes all nodes, sessions and faults, thaws everything, and lets the clock run: what to do between two tests.
func (s *Server) ResetAll() error { return s.post("/v1/reset?all=true") }

// Restart restarts the server. Connections break, nodes and sessions stay.
func (s *Server) Restart() error { return s.post("/v1/restart") }

// RestartLosingUnsynced restarts the server as after a loss of power: in memory everything is lost, on disk what was not yet synced.
func (s *Server) RestartLosingUnsynced() error { return s.post("/v1/restart?lose_unsynced=true") }

// Freeze stalls the server, as in a long garbage collection.
func (s *Server) Freeze() error { return s.post("/v1/freeze") }

// Thaw lets the server go on.
func (s *Server) Thaw() error { return s.post("/v1/thaw") }

// Expire ends a session as if it had been silent for its timeout, and returns its id.
func (s *Server) Expire(session string) (string, error) {
	if !strings.HasPrefix(session, "/") {
		return s.toSession(session, "expire")
	}
	// In one call: nobody else can make the node again in between.
	var ended struct{ Sessions []string }
	err := s.Call("POST", "/v1/sessions/expire", map[string]string{"owner_of": session}, &ended)
	return strings.Join(ended.Sessions, ","), err
}

// ExpireAll ends all sessions, and returns their ids.
func (s *Server) ExpireAll() ([]string, error) {
	var ended struct{ Sessions []string }
	err := s.Call("POST", "/v1/sessions/expire", map[string]bool{"all": true}, &ended)
	return ended.Sessions, err
}

// Disconnect closes the connection of a session, which lives on.
func (s *Server) Disconnect(session string) error {
	_, err := s.toSession(session, "disconnect")
	return err
}

// FreezeSession stops hearing a session. It can expire meanwhile.
func (s *Server) FreezeSession(session string) error {
	_, err := s.toSession(session, "freeze")
	return err
}

// ThawSession hears a session again.
func (s *Server) ThawSession(session string) error {
	_, err := s.toSession(session, "thaw")
	return err
}

// Does something to a session, and returns its id.
func (s *Server) toSession(session, what string) (string, error) {
	id, err := s.idOf(session)
	if err != nil {
		return "", err
	}
	return id, s.post("/v1/sessions/" + url.PathEscape(id) + "/" + what)
}

// Returns the id of a session, in whose place the path of a node that it owns may stand.
func (s *Server) idOf(session string) (string, error) {
	if strings.HasPrefix(session, "0x") {
		return session, nil
	}
	if !strings.HasPrefix(session, "/") {
		return "", fmt.Errorf("zkmini: %q is not a session: give the path of its ephemeral node, or its id, 0x…", session)
	}
	node, err := s.Tree(session, 0)
	if err != nil {
		return "", err
	}
	if node.Stat.EphemeralOwner == "0x0" {
		return "", fmt.Errorf("zkmini: nobody owns %s: the node is not ephemeral", session)
	}
	return node.Stat.EphemeralOwner, nil
}

// SessionID returns the id of a session as the server writes it, from what clients have.
func SessionID(id int64) string { return "0x" + strconv.FormatUint(uint64(id), 16) }

// Sessions returns all sessions.
func (s *Server) Sessions() ([]Session, error) { return get[[]Session](s, "/v1/sessions") }

// Connections returns all connections of ZooKeeper clients.
func (s *Server) Connections() ([]Connection, error) { return get[[]Connection](s, "/v1/connections") }

// Watches returns the watches on paths that fit, such as "/members/*", or all with "". Limit is how many are returned at most, the first
// by path; with 0 all are, and more than 10,000 are an error.
func (s *Server) Watches(path string, limit int) ([]Watch, error) {
	return get[[]Watch](s, "/v1/watches"+query(map[string]any{"path": path, "limit": limit}))
}

// Fault adds a rule: when something goes wrong, and what goes wrong then.
func (s *Server) Fault(when When, then Then) (*Rule, error) {
	if when.Session != "" {
		id, err := s.idOf(when.Session)
		if err != nil {
			return nil, err
		}
		when.Session = id
	}
	rule := &Rule{server: s}
	return rule, s.Call("POST", "/v1/faults", map[string]any{"when": when, "then": then}, rule)
}

// ClearFaults removes all rules.
func (s *Server) ClearFaults() error { return s.Call("DELETE", "/v1/faults", nil, nil) }

// Rule is a rule of faults in the server.
type Rule struct {
	ID string
	// Text is the rule in words.
	Text   string
	server *Server
}

// Fired returns how often the rule did something.
func (r *Rule) Fired() (int, error) {
	rule, err := get[struct{ Fired int }](r.server, "/v1/faults/"+r.ID)
	return rule.Fired, err
}

// Hits returns what the rule did something to.
func (r *Rule) Hits() ([]Hit, error) {
	rule, err := get[struct{ Hits []Hit }](r.server, "/v1/faults/"+r.ID)
	return rule.Hits, err
}

// Remove removes the rule. One that is gone already, as after a reset, is no error.
func (r *Rule) Remove() error {
	err := r.server.Call("DELETE", "/v1/faults/"+r.ID, nil, nil)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Clock returns the clock of the server.
func (s *Server) Clock() (Clock, error) { return get[Clock](s, "/v1/clock") }

// ManualClock stops the clock at the present time.
func (s *Server) ManualClock() error { return s.setClock("manual") }

// RealClock lets the clock run on from the time that it shows.
func (s *Server) RealClock() error { return s.setClock("real") }

func (s *Server) setClock(mode string) error {
	return s.Call("POST", "/v1/clock", map[string]string{"mode": mode}, nil)
}

// Advance moves the clock, and does all that is due on the way. A real clock is made manual first.
func (s *Server) Advance(d time.Duration) error {
	return s.advance(map[string]any{"advance_ms": d.Milliseconds()})
}

// AdvanceTicks does the same, by a number of ticks of the server.
func (s *Server) AdvanceTicks(ticks int) error {
	return s.advance(map[string]any{"advance_ticks": ticks})
}

// AdvanceToNextDeadline does the same, to the time at which the next thing happens by itself, such as an expiry.
func (s *Server) AdvanceToNextDeadline() error {
	return s.advance(map[string]any{"to_next_deadline": true})
}

// JumpWallClock moves the time of day alone, back if negative, as an administrator or NTP does. Sessions do not notice.
func (s *Server) JumpWallClock(d time.Duration) error {
	return s.Call("POST", "/v1/clock", map[string]any{"jump_wall_ms": d.Milliseconds()}, nil)
}

func (s *Server) advance(change map[string]any) error {
	if clock, err := s.Clock(); err != nil {
		return err
	} else if clock.Mode == "real" {
		if err := s.ManualClock(); err != nil {
			return err
		}
	}
	return s.Call("POST", "/v1/clock", change, nil)
}

// WholeTree is the depth of all nodes below a node.
const WholeTree = 1000

// Tree returns a node, and those below it, as deep as depth says: 0 for none, [WholeTree] for all.
func (s *Server) Tree(path string, depth int) (*Node, error) {
	return get[*Node](s, "/v1/tree?depth="+strconv.Itoa(depth)+"&path="+url.QueryEscape(path))
}

// Get returns the data of a node.
func (s *Server) Get(path string) (string, error) {
	node, err := s.Tree(path, 0)
	if err != nil {
		return "", err
	}
	return node.Data, nil
}

// Children returns the names of the children of a node, sorted.
func (s *Server) Children(path string) ([]string, error) {
	node, err := get[*Node](s, "/v1/tree?depth=1&data=false&path="+url.QueryEscape(path))
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, child := range node.Children {
		names = append(names, child.Name)
	}
	return names, nil
}

// Exists says whether a node is there.
func (s *Server) Exists(path string) (bool, error) {
	node, err := get[*Node](s, "/v1/tree?depth=0&data=false&optional=true&path="+url.QueryEscape(path))
	return node != nil, err
}

// Put sets the data of a node, which is made if need be, with its parents.
func (s *Server) Put(path, data string) error {
	_, err := s.put(path, data, "")
	return err
}

// PutSequential makes a node with a number behind its name, and returns its path.
func (s *Server) PutSequential(path, data string) (string, error) {
	return s.put(path, data, "?sequential=true")
}

// PutEphemeral makes a node of a session.
func (s *Server) PutEphemeral(path, data, session string) error {
	id, err := s.idOf(session)
	if err != nil {
		return err
	}
	_, err = s.put(path, data, query(map[string]any{"ephemeral_owner": id}))
	return err
}

func (s *Server) put(path, data, query string) (string, error) {
	target, err := nodePath(path)
	if err != nil {
		return "", err
	}
	var node struct{ Path string }
	err = s.Call("PUT", target+query, []byte(data), &node)
	return node.Path, err
}

// Delete deletes a node that has no children.
func (s *Server) Delete(path string) error { return s.remove(path, "") }

// DeleteAll deletes a node and all below it.
func (s *Server) DeleteAll(path string) error { return s.remove(path, "?recursive=true") }

func (s *Server) remove(path, query string) error {
	target, err := nodePath(path)
	if err != nil {
		return err
	}
	return s.Call("DELETE", target+query, nil, nil)
}

func nodePath(path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("zkmini: the path of a node begins with a slash: %q", path)
	}
	return (&url.URL{Path: "/v1/nodes" + path}).EscapedPath(), nil
}

// Snapshot returns the whole tree, in the format of Apache ZooKeeper.
func (s *Server) Snapshot() ([]byte, error) { return s.send("GET", "/v1/snapshot", "", nil, typeBytes) }

// SnapshotText returns the whole tree as YAML, to read and to edit.
func (s *Server) SnapshotText() (string, error) {
	text, err := s.send("GET", "/v1/snapshot", "", nil, typeYAML)
	return string(text), err
}

// Restore replaces the whole tree by a snapshot in the format of Apache ZooKeeper.
func (s *Server) Restore(snapshot []byte) error {
	_, err := s.send("POST", "/v1/restore", typeBytes, snapshot, "")
	return err
}

// RestoreText replaces the whole tree by nodes in YAML or JSON, such as "/config/colour: {data: green}".
func (s *Server) RestoreText(nodes string) error {
	_, err := s.send("POST", "/v1/restore", typeYAML, []byte(nodes), "")
	return err
}
