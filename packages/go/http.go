package zkmini

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Call makes any call of the HTTP API. The body is sent as JSON, or as it is if it is a []byte; the answer, JSON, is put into answer.
func (s *Server) Call(method, path string, body, answer any) error {
	content, isRaw := body.([]byte)
	kind := "application/octet-stream"
	if body != nil && !isRaw {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
		kind = "application/json"
	}
	request, err := http.NewRequest(method, s.HTTP+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", kind)
	}
	response, err := control.Do(request)
	if err != nil {
		return s.unreachable(err)
	}
	defer response.Body.Close()
	content, err = io.ReadAll(response.Body)
	if err != nil {
		return s.unreachable(err)
	}
	if response.StatusCode >= 400 {
		refusal := struct{ Error *Error }{&Error{Code: "unknown", Message: string(content)}}
		_ = json.Unmarshal(content, &refusal) // If it is no JSON, the whole text is the message.
		refusal.Error.Status, refusal.Error.call = response.StatusCode, method+" "+path
		return refusal.Error
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(content, answer)
}

func (s *Server) post(path string) error { return s.Call("POST", path, nil, nil) }

func get[V any](s *Server, path string) (V, error) {
	var value V
	err := s.Call("GET", path, nil, &value)
	return value, err
}

// A connection for each request: no goroutine is left over, and none breaks at its next use.
var control = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (s *Server) unreachable(err error) error {
	message := fmt.Sprintf("the server does not answer: %v", err)
	if s.process != nil && s.process.endsSoon() {
		message += "; it " + s.process.ending()
	}
	return &Error{Code: ErrUnreachable.Code, Message: message, call: s.HTTP}
}
