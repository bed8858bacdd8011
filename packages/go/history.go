package zkmini

import (
	"fmt"
	"net/url"
	"strings"
)

// HistoryFilter says which entries of the history are wanted. Its zero value stands for the last 1,000.
type HistoryFilter struct {
	// Path has * for any characters in one name; /services/** is everything below /services.
	Path    string
	Session string
	// Kind names kinds of entries, several with commas: "transaction,expiry".
	Kind string
	// Since keeps what came after this zxid, SinceSeq what came behind the entry with this number, BeforeSeq what came before one.
	// A negative SinceSeq stands for 0: it begins with the first entry.
	Since               string
	SinceSeq, BeforeSeq int64
	// Story leaves out requests that went well: what they have changed has entries of its own.
	Story bool
	// Limit is the maximum number of entries, up to 10,000. It keeps the last ones; with Since or SinceSeq the first ones.
	Limit int
}

// History returns what has happened, the oldest first.
func (s *Server) History(filter HistoryFilter) ([]Entry, error) {
	if filter.Session != "" {
		id, err := s.idOf(filter.Session)
		if err != nil {
			return nil, err
		}
		filter.Session = id
	}
	sinceSeq := any(filter.SinceSeq)
	if filter.SinceSeq < 0 {
		sinceSeq = "0"
	}
	return get[[]Entry](s, "/v1/history"+query(map[string]any{
		"path": filter.Path, "session": filter.Session, "kind": filter.Kind, "since": filter.Since, "since_seq": sinceSeq,
		"before_seq": filter.BeforeSeq, "story": filter.Story, "limit": filter.Limit,
	}))
}

// HistoryText returns what happened last, a line for each entry, at most so many, 1 to 10,000: of requests only those that failed,
// since a write is a transaction, too.
func (s *Server) HistoryText(limit int) (string, error) {
	entries, err := s.History(HistoryFilter{Story: true, Limit: limit})
	if err != nil {
		return "", err
	}
	var lines []string
	for _, entry := range entries {
		lines = append(lines, entry.String())
	}
	return strings.Join(lines, "\n"), nil
}

// Explain says who created, changed and deleted a node, and why: text to print.
func (s *Server) Explain(path string) (string, error) {
	type change struct{ Time, Zxid, Because string }
	explained, err := get[struct {
		Exists  bool
		IsCut   bool `json:"is_cut"`
		History []change
	}](s, "/v1/explain?path="+url.QueryEscape(path))
	if err != nil {
		return "", err
	}
	var text strings.Builder
	text.WriteString(path + map[bool]string{true: " exists", false: " does not exist"}[explained.Exists])
	if explained.IsCut {
		text.WriteString("\n  … earlier changes are no longer in the history")
	} else if len(explained.History) == 0 && explained.Exists {
		text.WriteString("\n  it was there when the history began, and has not changed since")
	} else if len(explained.History) == 0 {
		text.WriteString("\n  nothing in the history has to do with it")
	}
	for _, c := range explained.History {
		fmt.Fprintf(&text, "\n  %s  %s  %s", readable(c.Time), c.Zxid, c.Because)
	}
	return text.String(), nil
}
