package zkmini

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

func TestACallEndsThoughTheServerNeverAnswers(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	server := &Server{HTTP: "http://" + silent.Addr().String(), timeout: 20 * time.Millisecond}
	if _, err := server.Status(); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "Client.Timeout") {
		t.Error(err)
	}
}

func TestEveryServerHasATimeForItsAnswers(t *testing.T) {
	started, err := Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer started.Stop()
	attached, err := Attach(started.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	if started.timeout != callTimeout || attached.timeout != callTimeout {
		t.Error(started.timeout, attached.timeout)
	}
}
