package zkmini

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// When says which cases a rule of faults fits: one of Op, Event, Connect, Reattach and Expiry, narrowed by the other fields.
type When struct {
	// Op names kinds of requests: "create", or several with commas, "setData,delete", or "*".
	Op string `json:"-"`
	// Event names the event of a watch: "NodeCreated", "NodeDeleted", "NodeDataChanged", "NodeChildrenChanged" or "*".
	Event string `json:"event,omitempty"`
	// Connect stands for handshakes of clients, Reattach for those that come back with a session.
	Connect  bool `json:"connect,omitempty"`
	Reattach bool `json:"reattach,omitempty"`
	// Expiry stands for expiries of sessions.
	Expiry bool `json:"expiry,omitempty"`
	// Path has * for any characters in one name; /services/** is everything below /services.
	Path       string `json:"path,omitempty"`
	Session    string `json:"session,omitempty"`
	Connection string `json:"connection,omitempty"`
	Listener   string `json:"listener,omitempty"`
	// Nth is the one case alone, from 1; Every each so many-th; Times at most so many, where 0 is no limit.
	Nth   int `json:"nth,omitempty"`
	Every int `json:"every,omitempty"`
	Times int `json:"times,omitempty"`
	// Probability is that of a case; the same Seed makes the same choice again. With 0 chance decides nothing, and a negative one
	// stands for 0, as in the MaxAge of an http.Cookie: the rule fits no case.
	Probability float64 `json:"-"`
	Seed        uint64  `json:"seed,omitempty"`
}

// MarshalJSON writes the condition as the server reads it.
func (w When) MarshalJSON() ([]byte, error) {
	type fields When
	var ops []string
	if w.Op != "" {
		ops = strings.Split(w.Op, ",")
	}
	var probability *float64
	if w.Probability != 0 {
		meant := math.Max(w.Probability, 0)
		probability = &meant
	}
	return json.Marshal(struct {
		fields
		Ops         []string `json:"op,omitempty"`
		Probability *float64 `json:"probability,omitempty"`
	}{fields(w), ops, probability})
}

// Moment is before or after a request is applied.
type Moment string

// Moments at which a reply is lost: nothing was done, or it was done.
const (
	BeforeApply Moment = "before_apply"
	AfterApply  Moment = "after_apply"
)

// Then is the effect of a rule of faults: one of its fields, or two for a slow connection.
type Then struct {
	// Fail answers with this error, a name of KeeperException.Code such as "NONODE", and does nothing.
	Fail string
	// Delay lets it happen later; DelayReply lets it happen at once, and the reply come later.
	Delay, DelayReply time.Duration
	// Drop breaks the connection instead of the reply; Silent sends no reply, and the connection stays.
	Drop, Silent Moment
	// SlowLatency and SlowBytesPerSecond make the connection slow, until the rule is removed.
	SlowLatency        time.Duration
	SlowBytesPerSecond int
	// DropEvent does not tell the client of the event.
	DropEvent bool
	// Refuse closes handshakes without an answer, or says that the session has expired.
	Refuse bool
	// HoldEphemerals keeps the nodes of a session that has expired.
	HoldEphemerals time.Duration
}

// MarshalJSON writes the effect as the server reads it.
func (t Then) MarshalJSON() ([]byte, error) {
	type slow struct {
		// The server wants it in any case.
		Latency        int64 `json:"latency_ms"`
		BytesPerSecond int   `json:"bytes_per_second,omitempty"`
	}
	effect := struct {
		Fail           string `json:"fail,omitempty"`
		Delay          int64  `json:"delay_ms,omitempty"`
		DelayReply     int64  `json:"delay_reply_ms,omitempty"`
		Drop           Moment `json:"drop,omitempty"`
		Silent         Moment `json:"silent,omitempty"`
		Slow           *slow  `json:"slow,omitempty"`
		DropEvent      bool   `json:"drop_event,omitempty"`
		Refuse         bool   `json:"refuse,omitempty"`
		HoldEphemerals int64  `json:"hold_ephemerals_ms,omitempty"`
	}{
		t.Fail, t.Delay.Milliseconds(), t.DelayReply.Milliseconds(), t.Drop, t.Silent, nil, t.DropEvent, t.Refuse,
		t.HoldEphemerals.Milliseconds(),
	}
	if t.SlowLatency != 0 || t.SlowBytesPerSecond != 0 {
		effect.Slow = &slow{t.SlowLatency.Milliseconds(), t.SlowBytesPerSecond}
	}
	return json.Marshal(effect)
}

// Hit is a case in which a rule did something.
type Hit struct {
	Number                                           int
	Time, Kind, Op, Event, Path, Session, Connection string
	Xid                                              int
}

// Status has figures of a server.
type Status struct {
	API                                   int
	Version, Compat                       string
	LastZxid                              string `json:"last_zxid"`
	Nodes, Sessions, Connections, Watches int
	// Clock is "real" or "manual".
	Clock        string
	Frozen, Down bool
	ReadOnly     bool `json:"read_only"`
}

// Session is a session of a client.
type Session struct {
	ID          string
	TimeoutMs   int64 `json:"timeout_ms"`
	Connected   bool
	Client      string
	LastHeardMs int64 `json:"last_heard_ms"`
	ExpiresInMs int64 `json:"expires_in_ms"`
	// Ephemerals are the paths of its nodes.
	Ephemerals []string
	Watches    int
	// Connection is an id, or "".
	Connection string
	Frozen     bool
}

// Connection is a connection of a ZooKeeper client.
type Connection struct {
	ID, Client, Session string
	SinceMs             int64 `json:"since_ms"`
	Frozen              bool
	Received, Sent      int64
}

// Watch is a watch of a client. Kind is "data", "children", "persistent" or "recursive".
type Watch struct{ Path, Kind, Session, Connection string }

// Clock is the clock of a server. Mode is "real" or "manual".
type Clock struct {
	Mode  string
	Now   time.Time
	NowMs int64 `json:"now_ms"`
	// MonotonicMs is the time by which sessions expire, since the start of the server.
	MonotonicMs int64 `json:"monotonic_ms"`
	TickMs      int64 `json:"tick_ms"`
	// NextDeadlineMs is the time until something happens without a client; nil if nothing ever will.
	NextDeadlineMs *int64 `json:"next_deadline_ms"`
}

// Node is a node of the tree. Kind is "persistent", "ephemeral", "container" or "ttl".
type Node struct {
	Path, Name, Kind string
	// Data has the bytes of the data; HasData is false if they are null, which is not the same as empty.
	Data     string
	HasData  bool `json:"-"`
	Watches  int
	Stat     Stat
	Children []*Node
}

// UnmarshalJSON reads what the server writes.
func (n *Node) UnmarshalJSON(text []byte) error {
	type fields Node
	var encoding struct{ Encoding string }
	if err := json.Unmarshal(text, (*fields)(n)); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &encoding); err != nil {
		return err
	}
	n.HasData = encoding.Encoding == "utf8" || encoding.Encoding == "base64"
	if encoding.Encoding == "base64" {
		data, err := base64.StdEncoding.DecodeString(n.Data)
		n.Data = string(data)
		return err
	}
	return nil
}

// Stat has ZooKeeper's fields. Times are in milliseconds since 1970; EphemeralOwner is "0x0" if nobody owns the node.
type Stat struct {
	Czxid, Mzxid, Pzxid         string
	Ctime, Mtime                int64
	Version, Cversion, Aversion int
	EphemeralOwner              string
	DataLength, NumChildren     int
}

// Entry is an entry of the history. Kind is "request", "transaction", "event", "connect", "disconnect", "close", "expiry", "fault" or
// "server".
type Entry struct {
	Seq                                                                int64
	Zxid, Time, Kind, Session, Path, What, Because, Client, Connection string
	Xid                                                                int
	// Error is the name of the error that a request was answered with.
	Error string
}

// String returns the entry as a line.
func (e Entry) String() string {
	text := fmt.Sprintf("%s  %-11s  ", readable(e.Time), e.Kind)
	reason := e.Because
	if reason == "" {
		reason = e.What
	}
	switch {
	case e.Kind == "transaction" && e.Path != "":
		// The reason of a change is a sentence whose subject is the node.
		return text + e.Path + " " + reason
	case e.Session != "":
		text += "session " + e.Session + ": "
	case e.Client != "":
		text += "client " + e.Client + ": "
	}
	switch e.Kind {
	case "connect", "disconnect", "close", "expiry":
		return text + reason
	}
	text += e.What
	if e.Path != "" {
		text += " " + e.Path
	}
	if e.Error != "" {
		text += ", " + e.Error
	}
	if e.Because != "" {
		text += ": " + e.Because
	}
	return text
}

// Returns a time of ISO 8601 in the form of a log.
func readable(time string) string {
	return strings.TrimSuffix(strings.Replace(time, "T", " ", 1), "Z")
}
