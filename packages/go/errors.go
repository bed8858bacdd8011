package zkmini

import "strings"

// Error is a refusal of the server, or its silence. errors.Is compares it with the errors below by Code.
type Error struct {
	// Status is that of HTTP; 0 if the server did not answer.
	Status  int `json:"-"`
	Code    string
	Message string
	call    string
}

// Errors to compare with.
var (
	ErrNotFound    = &Error{Code: "not_found"}
	ErrConflict    = &Error{Code: "conflict"}
	ErrBadRequest  = &Error{Code: "bad_request"}
	ErrUnreachable = &Error{Code: "unreachable"}
)

func (e *Error) Error() string { return "zkmini: " + e.call + ": " + e.Message }

// Is says whether the other error has the same code.
func (e *Error) Is(other error) bool {
	o, ok := other.(*Error)
	return ok && o.Code == e.Code
}

// StartError says that the program was not found, or that the server did not start.
type StartError struct {
	Reason string
	// Log is the end of what the server wrote to standard error.
	Log string
}

func (e *StartError) Error() string {
	if e.Log == "" {
		return "zkmini: " + e.Reason
	}
	return "zkmini: " + e.Reason + "; its log ends with:\n  " + strings.ReplaceAll(strings.TrimSpace(e.Log), "\n", "\n  ")
}
