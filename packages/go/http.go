package zkmini

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"time"
)

// Time in which the server has to answer a call.
const callTimeout = 60 * time.Second

const (
	typeBytes = "application/octet-stream"
	typeJSON  = "application/json"
	typeYAML  = "application/yaml"
)

// Call makes any call of the HTTP API. The body is sent as JSON, or as it is if it is a []byte; the answer, JSON, is put into answer,
// or as it is if that is a *[]byte. An answer takes 60 s at most.
func (s *Server) Call(method, path string, body, answer any) error {
	content, contentType := []byte(nil), ""
	if raw, isRaw := body.([]byte); isRaw {
		content, contentType = raw, typeBytes
	} else if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
		contentType = typeJSON
	}
	text, err := s.send(method, path, contentType, content, "")
	if err != nil || answer == nil {
		return err
	}
	if raw, isRaw := answer.(*[]byte); isRaw {
		*raw = text
		return nil
	}
	return json.Unmarshal(text, answer)
}

// Sends a request, and returns the body of the answer. An empty type is left out.
func (s *Server) send(method, path, contentType string, body []byte, accept string) ([]byte, error) {
	request, err := http.NewRequest(method, s.HTTP+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	client := http.Client{Transport: transport, Timeout: s.timeout}
	response, err := client.Do(request)
	if err != nil {
		return nil, s.unreachable(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, s.unreachable(err)
	}
	if response.StatusCode >= 400 {
		refusal := struct{ Error Error }{Error{Code: "unknown", Message: string(text)}}
		_ = json.Unmarshal(text, &refusal) // If it is no JSON, the whole text is the message.
		refusal.Error.Status, refusal.Error.call = response.StatusCode, method+" "+path
		return nil, &refusal.Error
	}
	return text, nil
}

func (s *Server) post(path string) error { return s.Call("POST", path, nil, nil) }

func get[V any](s *Server, path string) (V, error) {
	var value V
	err := s.Call("GET", path, nil, &value)
	return value, err
}

// Returns the query of an address: of these parameters those that are not zero.
func query(parameters map[string]any) string {
	given := url.Values{}
	for name, value := range parameters {
		if !reflect.ValueOf(value).IsZero() {
			given.Set(name, fmt.Sprint(value))
		}
	}
	return "?" + given.Encode()
}

// A connection for each request: no goroutine is left over, and none breaks at its next use.
var transport = &http.Transport{DisableKeepAlives: true}

func (s *Server) unreachable(err error) error {
	message := fmt.Sprintf("the server does not answer: %v", err)
	if s.process != nil && s.process.endsSoon() {
		message += "; it " + s.process.ending()
	}
	return &Error{Code: ErrUnreachable.Code, Message: message, call: s.HTTP}
}
