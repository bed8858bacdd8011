package zkmini

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Time for a clean stop, after which the server is killed.
const stopTimeout = 5 * time.Second

// Time in which a process is seen to end after its connections broke.
const endingTimeout = time.Second

// Bytes of the log that are kept.
const logLimit = 64 * 1024

func findProgram(given string) (string, error) {
	named, origin := given, "the option Program"
	if named == "" {
		named, origin = os.Getenv("ZK_MINI"), "the variable ZK_MINI"
	}
	if named != "" {
		if _, err := exec.LookPath(named); err != nil {
			return "", &StartError{Reason: fmt.Sprintf("%s names %s, which is not an executable file", origin, named)}
		}
		return named, nil
	}
	if found, err := exec.LookPath("zk-mini"); err == nil {
		return found, nil
	}
	return "", &StartError{Reason: "the program zk-mini was not found. Looked for, in this order: the option Program (not given); " +
		"the variable ZK_MINI (not set); zk-mini on the PATH (not there). This package carries no program: build it with " +
		"`cargo install --path zk-mini/program` in a checkout, or name one that is there in ZK_MINI"}
}

// A server as a child process. It ends when its standard input closes, so it never outlives this process.
type process struct {
	command *exec.Cmd
	stdin   io.Closer
	log     tail
	// Closed when the process has ended, and its log was read.
	ended chan struct{}
}

type ready struct {
	Listen []string
	HTTP   string
	HTTPOn []string `json:"http_on"`
}

// Starts a server, and returns once it serves.
func launch(ctx context.Context, program string, args []string) (*process, ready, error) {
	all := append([]string{"serve", "--listen", "127.0.0.1:0", "--ready", "json", "--stop-on-eof"}, args...)
	p := &process{command: exec.Command(program, all...), ended: make(chan struct{})}
	first := &firstLine{found: make(chan []byte, 1)}
	p.command.Stdout, p.command.Stderr = first, &p.log
	stdin, err := p.command.StdinPipe()
	if err != nil {
		return nil, ready{}, &StartError{Reason: err.Error()}
	}
	p.stdin = stdin
	if err := p.command.Start(); err != nil {
		return nil, ready{}, &StartError{Reason: fmt.Sprintf("the server did not start: %v", err)}
	}
	go func() {
		_ = p.command.Wait() // The state of the process tells more.
		close(p.ended)
	}()
	var r ready
	reason := ""
	select {
	case line := <-first.found:
		err := json.Unmarshal(line, &r)
		switch {
		case err != nil || len(r.Listen) == 0:
			reason = fmt.Sprintf("%s is no zk-mini: its first line is %s", program, line)
		case r.HTTP == "":
			reason = "the server has no HTTP, by which it is controlled: leave out `--http off`"
		default:
			return p, r, nil
		}
	case <-p.ended:
		reason = fmt.Sprintf("the server did not start: %s %s", program, p.ending())
	case <-ctx.Done():
		reason = fmt.Sprintf("%s did not say in time that it is ready: %v", program, ctx.Err())
	}
	p.kill()
	return nil, ready{}, &StartError{Reason: reason, Log: p.log.String()}
}

func (p *process) stop() error {
	_ = p.stdin.Close() // It has been closed already, or the server has ended.
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
		p.kill()
		return fmt.Errorf("zkmini: the server did not stop within %v, and was killed", stopTimeout)
	}
}

func (p *process) kill() {
	_ = p.command.Process.Kill() // It may have ended.
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		// A process that the program has started holds its output open.
	}
}

// Tells whether the process has ended, or does so in a moment: the kernel closes its connections first.
func (p *process) endsSoon() bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(endingTimeout):
		return false
	}
}

// Says how the process, which has ended, ended.
func (p *process) ending() string { return "ended with " + p.command.ProcessState.String() }

// Writer that keeps the end of what is written.
type tail struct {
	lock sync.Mutex
	end  []byte
}

func (t *tail) Write(part []byte) (int, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.end = append(t.end, part...)
	if excess := len(t.end) - logLimit; excess > 0 {
		t.end = append([]byte(nil), t.end[excess:]...)
	}
	return len(part), nil
}

func (t *tail) String() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	return string(t.end)
}

// Writer that hands over the first line that is written.
type firstLine struct {
	start []byte
	found chan []byte
	done  bool
}

func (f *firstLine) Write(part []byte) (int, error) {
	if !f.done {
		f.start = append(f.start, part...)
		if end := bytes.IndexByte(f.start, '\n'); end >= 0 {
			f.done = true
			f.found <- f.start[:end]
		}
	}
	return len(part), nil
}
