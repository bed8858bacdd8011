package zkmini

import "time"

// The methods of [Server], each of which ends the test if something is wrong.

// Stop is that of [Server].
func (z *Test) Stop() {
	z.t.Helper()
	z.check(z.Server.Stop())
}

// Call is that of [Server].
func (z *Test) Call(method, path string, body, answer any) {
	z.t.Helper()
	z.check(z.Server.Call(method, path, body, answer))
}

// Status is that of [Server].
func (z *Test) Status() Status {
	z.t.Helper()
	value, err := z.Server.Status()
	z.check(err)
	return value
}

// Reset is that of [Server].
func (z *Test) Reset() {
	z.t.Helper()
	z.check(z.Server.Reset())
}

// ResetAll is that of [Server].
func (z *Test) ResetAll() {
	z.t.Helper()
	z.check(z.Server.ResetAll())
}

// Restart is that of [Server].
func (z *Test) Restart() {
	z.t.Helper()
	z.check(z.Server.Restart())
}

// RestartLosingUnsynced is that of [Server].
func (z *Test) RestartLosingUnsynced() {
	z.t.Helper()
	z.check(z.Server.RestartLosingUnsynced())
}

// Freeze is that of [Server].
func (z *Test) Freeze() {
	z.t.Helper()
	z.check(z.Server.Freeze())
}

// Thaw is that of [Server].
func (z *Test) Thaw() {
	z.t.Helper()
	z.check(z.Server.Thaw())
}

// Expire is that of [Server].
func (z *Test) Expire(session string) string {
	z.t.Helper()
	value, err := z.Server.Expire(session)
	z.check(err)
	return value
}

// ExpireAll is that of [Server].
func (z *Test) ExpireAll() []string {
	z.t.Helper()
	value, err := z.Server.ExpireAll()
	z.check(err)
	return value
}

// Disconnect is that of [Server].
func (z *Test) Disconnect(session string) {
	z.t.Helper()
	z.check(z.Server.Disconnect(session))
}

// FreezeSession is that of [Server].
func (z *Test) FreezeSession(session string) {
	z.t.Helper()
	z.check(z.Server.FreezeSession(session))
}

// ThawSession is that of [Server].
func (z *Test) ThawSession(session string) {
	z.t.Helper()
	z.check(z.Server.ThawSession(session))
}

// Sessions is that of [Server].
func (z *Test) Sessions() []Session {
	z.t.Helper()
	value, err := z.Server.Sessions()
	z.check(err)
	return value
}

// Connections is that of [Server].
func (z *Test) Connections() []Connection {
	z.t.Helper()
	value, err := z.Server.Connections()
	z.check(err)
	return value
}

// Watches is that of [Server].
func (z *Test) Watches(path string, limit int) []Watch {
	z.t.Helper()
	value, err := z.Server.Watches(path, limit)
	z.check(err)
	return value
}

// ClearFaults is that of [Server].
func (z *Test) ClearFaults() {
	z.t.Helper()
	z.check(z.Server.ClearFaults())
}

// Clock is that of [Server].
func (z *Test) Clock() Clock {
	z.t.Helper()
	value, err := z.Server.Clock()
	z.check(err)
	return value
}

// ManualClock is that of [Server].
func (z *Test) ManualClock() {
	z.t.Helper()
	z.check(z.Server.ManualClock())
}

// RealClock is that of [Server].
func (z *Test) RealClock() {
	z.t.Helper()
	z.check(z.Server.RealClock())
}

// Advance is that of [Server].
func (z *Test) Advance(d time.Duration) {
	z.t.Helper()
	z.check(z.Server.Advance(d))
}

// AdvanceTicks is that of [Server].
func (z *Test) AdvanceTicks(ticks int) {
	z.t.Helper()
	z.check(z.Server.AdvanceTicks(ticks))
}

// AdvanceToNextDeadline is that of [Server].
func (z *Test) AdvanceToNextDeadline() {
	z.t.Helper()
	z.check(z.Server.AdvanceToNextDeadline())
}

// JumpWallClock is that of [Server].
func (z *Test) JumpWallClock(d time.Duration) {
	z.t.Helper()
	z.check(z.Server.JumpWallClock(d))
}

// Tree is that of [Server].
func (z *Test) Tree(path string, depth int) *Node {
	z.t.Helper()
	value, err := z.Server.Tree(path, depth)
	z.check(err)
	return value
}

// Get is that of [Server].
func (z *Test) Get(path string) string {
	z.t.Helper()
	value, err := z.Server.Get(path)
	z.check(err)
	return value
}

// Children is that of [Server].
func (z *Test) Children(path string) []string {
	z.t.Helper()
	value, err := z.Server.Children(path)
	z.check(err)
	return value
}

// Exists is that of [Server].
func (z *Test) Exists(path string) bool {
	z.t.Helper()
	value, err := z.Server.Exists(path)
	z.check(err)
	return value
}

// Put is that of [Server].
func (z *Test) Put(path, data string) {
	z.t.Helper()
	z.check(z.Server.Put(path, data))
}

// PutSequential is that of [Server].
func (z *Test) PutSequential(path, data string) string {
	z.t.Helper()
	value, err := z.Server.PutSequential(path, data)
	z.check(err)
	return value
}

// PutEphemeral is that of [Server].
func (z *Test) PutEphemeral(path, data, session string) {
	z.t.Helper()
	z.check(z.Server.PutEphemeral(path, data, session))
}

// Delete is that of [Server].
func (z *Test) Delete(path string) {
	z.t.Helper()
	z.check(z.Server.Delete(path))
}

// DeleteAll is that of [Server].
func (z *Test) DeleteAll(path string) {
	z.t.Helper()
	z.check(z.Server.DeleteAll(path))
}

// Snapshot is that of [Server].
func (z *Test) Snapshot() []byte {
	z.t.Helper()
	value, err := z.Server.Snapshot()
	z.check(err)
	return value
}

// SnapshotText is that of [Server].
func (z *Test) SnapshotText() string {
	z.t.Helper()
	value, err := z.Server.SnapshotText()
	z.check(err)
	return value
}

// Restore is that of [Server].
func (z *Test) Restore(snapshot []byte) {
	z.t.Helper()
	z.check(z.Server.Restore(snapshot))
}

// RestoreText is that of [Server].
func (z *Test) RestoreText(nodes string) {
	z.t.Helper()
	z.check(z.Server.RestoreText(nodes))
}

// Explain is that of [Server].
func (z *Test) Explain(path string) string {
	z.t.Helper()
	value, err := z.Server.Explain(path)
	z.check(err)
	return value
}

// History is that of [Server].
func (z *Test) History(filter HistoryFilter) []Entry {
	z.t.Helper()
	value, err := z.Server.History(filter)
	z.check(err)
	return value
}

// HistoryText is that of [Server].
func (z *Test) HistoryText(limit int) string {
	z.t.Helper()
	value, err := z.Server.HistoryText(limit)
	z.check(err)
	return value
}

// Fault is that of [Server].
func (z *Test) Fault(when When, then Then) *TestRule {
	z.t.Helper()
	rule, err := z.Server.Fault(when, then)
	z.check(err)
	return &TestRule{Rule: rule, test: z}
}

// TestRule is a rule of faults in the server of a test. Its methods end the test if something is wrong.
type TestRule struct {
	*Rule
	test *Test
}

// Fired is that of [Rule].
func (r *TestRule) Fired() int {
	r.test.t.Helper()
	fired, err := r.Rule.Fired()
	r.test.check(err)
	return fired
}

// Hits is that of [Rule].
func (r *TestRule) Hits() []Hit {
	r.test.t.Helper()
	hits, err := r.Rule.Hits()
	r.test.check(err)
	return hits
}

// Remove is that of [Rule].
func (r *TestRule) Remove() {
	r.test.t.Helper()
	r.test.check(r.Rule.Remove())
}
