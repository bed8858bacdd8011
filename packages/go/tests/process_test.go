package zkminitests

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"zkmini"
)

// Variable that makes this program, when it runs itself, do something else than tests.
const role = "ZKMINI_TESTS_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "serve":
		zk, err := zkmini.Start(context.Background())
		if err != nil {
			panic(err)
		}
		fmt.Println(zk.Pid())
		select {}
	case "attach":
		zk, err := zkmini.Attach("")
		if err == nil {
			err = zk.Put("/a", "b")
		}
		fmt.Println(zk.Hosts == os.Getenv("ZK_HOSTS"), zk.Pid(), zk.Stop(), err)
		again, err := zkmini.Attach(os.Getenv("ZK_MINI_HTTP"))
		if err != nil {
			panic(err)
		}
		fmt.Println(again.Get("/a"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Returns the path of a new executable script.
func script(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "zk-mini")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func refusedStart(t *testing.T, options ...zkmini.Option) *zkmini.StartError {
	t.Helper()
	zk, err := zkmini.Start(context.Background(), options...)
	var refused *zkmini.StartError
	if !errors.As(err, &refused) {
		t.Fatalf("started %v, %v", zk, err)
	}
	return refused
}

func TestAProgramThatIsNotThereIsTold(t *testing.T) {
	if err := refusedStart(t, zkmini.Program("/none")); !strings.Contains(err.Error(), "the option Program names /none, which is not") {
		t.Error(err)
	}
	t.Setenv("ZK_MINI", "/none")
	if err := refusedStart(t); !strings.Contains(err.Error(), "the variable ZK_MINI names /none") {
		t.Error(err)
	}
	t.Setenv("ZK_MINI", "")
	t.Setenv("PATH", t.TempDir())
	for _, place := range []string{"option Program", "ZK_MINI", "on the PATH", "carries no program"} {
		if err := refusedStart(t); !strings.Contains(err.Error(), place) {
			t.Errorf("%s is not in %v", place, err)
		}
	}
}

func TestTheProgramIsTakenFromThePath(t *testing.T) {
	program, err := exec.LookPath(os.Getenv("ZK_MINI"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.Symlink(program, filepath.Join(folder, "zk-mini")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ZK_MINI", "")
	t.Setenv("PATH", folder)
	zkmini.Run(t).Put("/a", "")
}

func TestAProgramThatFailsShowsItsLog(t *testing.T) {
	t.Parallel()
	err := refusedStart(t, zkmini.Program(script(t, "echo 'no disk left' >&2; exit 7")))
	if err.Log != "no disk left\n" || !strings.Contains(err.Error(), "exit status 7; its log ends with:\n  no disk left") {
		t.Error(err)
	}
	if err := refusedStart(t, zkmini.Program(script(t, "echo hello; exec sleep 60"))); !strings.Contains(err.Error(), "its first line is hello") {
		t.Error(err)
	}
	// A child of the program, which holds its output open, ends by itself.
	parent := zkmini.Program(script(t, "sh -c 'read -r line'; true"))
	if err := refusedStart(t, parent, zkmini.StartTimeout(200*time.Millisecond)); !strings.Contains(err.Error(), "did not say in time") {
		t.Error(err)
	}
}

func TestAStartIsGivenUpWithTheLogUpToThen(t *testing.T) {
	t.Parallel()
	program := script(t, `echo waiting >&2; echo >"$0.said"; exec sleep 60`)
	said := program + ".said"
	if err := syscall.Mkfifo(said, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = os.ReadFile(said) // It ends when the program has written.
		cancel()
	}()
	_, err := zkmini.Start(ctx, zkmini.Program(program))
	var refused *zkmini.StartError
	if !errors.As(err, &refused) || refused.Log != "waiting\n" || !strings.Contains(err.Error(), "context canceled") {
		t.Error(err)
	}
}

func TestBadOptionsAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	if err := refusedStart(t, zkmini.Args("--http", "off")); !strings.Contains(err.Error(), "leave out `--http off`") {
		t.Error(err)
	}
	for want, option := range map[string]zkmini.Option{
		"'soon'":     zkmini.Args("--tick-ms", "soon"),
		"none.yaml":  zkmini.Load("/none.yaml"),
		"'--nothing": zkmini.Args("--nothing"),
	} {
		if err := refusedStart(t, option); !strings.Contains(err.Log, want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	tree := filepath.Join(folder, "tree.yaml")
	if err := os.WriteFile(tree, []byte("/config/colour: {data: green}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	data := zkmini.DataDir(filepath.Join(folder, "data"))
	zk := zkmini.Run(t, zkmini.Load(tree), data, zkmini.Tick(70*time.Millisecond), zkmini.Compat("3.8"))
	if zk.Get("/config/colour") != "green" || zk.Clock().TickMs != 70 || !strings.HasPrefix(zk.Status().Compat, "3.8") {
		t.Errorf("%+v, %+v", zk.Status(), zk.Clock())
	}
	zk.Put("/kept", "yes")
	zk.Stop()
	if again := zkmini.Run(t, data, zkmini.Fast()); again.Get("/kept") != "yes" || again.Clock().TickMs != 50 {
		t.Errorf("%+v", again.Clock())
	}
}

// Test that fails: what Run does to it is kept.
type failing struct {
	cleanups []func()
	text     []string
}

type fatal struct{}

func (f *failing) Helper()          {}
func (f *failing) Failed() bool     { return true }
func (f *failing) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *failing) Logf(format string, args ...any) {
	f.text = append(f.text, fmt.Sprintf(format, args...))
}
func (f *failing) Fatalf(format string, args ...any) {
	f.Logf(format, args...)
	panic(fatal{})
}

// Runs a test in which something is wrong, and returns what it has logged.
func fails(t *testing.T, body func(f *failing)) string {
	t.Helper()
	f := &failing{}
	func() {
		defer func() {
			if cause := recover(); cause != (fatal{}) {
				t.Errorf("the test did not end as it should: %v", cause)
			}
		}()
		body(f)
	}()
	for _, cleanup := range f.cleanups {
		cleanup()
	}
	return strings.Join(f.text, "\n")
}

func TestATestThatFailsTellsWhatHappened(t *testing.T) {
	t.Parallel()
	pid := 0
	text := fails(t, func(f *failing) {
		zk := zkmini.Run(f)
		pid = zk.Pid()
		zk.Put("/broken", "")
		zk.Get("/none")
	})
	for _, part := range []string{"/none does not exist", "zk-mini, what happened last:\n", "transaction  /broken created over HTTP"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in %s", part, text)
		}
	}
	waitForEnd(t, pid)
	text = fails(t, func(f *failing) { zkmini.Run(f, zkmini.Program("/none")) })
	if !strings.Contains(text, "the option Program names /none") {
		t.Error(text)
	}
}

func TestAServerThatIsStuckIsAskedNotForLongAndEnds(t *testing.T) {
	t.Parallel()
	pid, begin := 0, time.Now()
	text := fails(t, func(f *failing) {
		pid = zkmini.Run(f).Pid()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Error(err)
		}
		// Its threads stop one after the other.
		var status syscall.WaitStatus
		var err error = syscall.EINTR
		for errors.Is(err, syscall.EINTR) {
			_, err = syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		}
		if !status.Stopped() {
			t.Error(status)
		}
		f.Fatalf("as it should")
	})
	if took := time.Since(begin); took > 30*time.Second || !strings.Contains(text, "does not answer") || !strings.Contains(text, "was killed") {
		t.Error(took, text)
	}
	waitForEnd(t, pid)
}

func TestAStoppedServerIsAnErrorThatSaysSo(t *testing.T) {
	t.Parallel()
	zk, err := zkmini.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for range [2]int{} {
		if err := zk.Stop(); err != nil {
			t.Error(err)
		}
	}
	_, err = zk.Status()
	if !errors.Is(err, zkmini.ErrUnreachable) || !strings.Contains(err.Error(), "it ended with exit status 0") {
		t.Error(err)
	}
	waitForEnd(t, zk.Pid())
}

func TestAServerThatIsKilledIsTold(t *testing.T) {
	t.Parallel()
	zk, err := zkmini.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(zk.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitForEnd(t, zk.Pid())
	if _, err := zk.Status(); !errors.Is(err, zkmini.ErrUnreachable) || !strings.Contains(err.Error(), "signal: killed") {
		t.Error(err)
	}
	if err := zk.Stop(); err != nil {
		t.Error(err)
	}
}

func TestAKilledParentLeavesNoServerBehind(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), role+"=serve")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	server, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(server, 0); err != nil {
		t.Fatalf("the server is not there: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	waitForEnd(t, server)
}

// Waits until no process has this id.
func waitForEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives on", pid)
		}
	}
}

func TestAttachUsesTheServerOfExecAndLeavesItRunning(t *testing.T) {
	attach := exec.Command(os.Getenv("ZK_MINI"), "exec", "--", os.Args[0])
	attach.Env = append(os.Environ(), role+"=attach")
	out, err := attach.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "true 0 <nil> <nil>\nb <nil>\n") {
		t.Errorf("%s, %v", out, err)
	}
	t.Setenv("ZK_MINI_HTTP", "")
	if _, err := zkmini.Attach(""); err == nil || !strings.Contains(err.Error(), "zk-mini exec") {
		t.Error(err)
	}
	for _, address := range []string{"localhost", "localhost:2181", "http://localhost", "https://localhost:2181", "http://localhost:2181/v1"} {
		if _, err := zkmini.Attach(address); err == nil || !strings.Contains(err.Error(), "write http://HOST:PORT") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAttachFindsAllServersOfAnEnsemble(t *testing.T) {
	t.Parallel()
	for _, zk := range []*zkmini.Test{zkmini.Run(t), zkmini.Run(t, zkmini.Servers(3))} {
		attached, err := zkmini.Attach(zk.HTTP + "/")
		if err != nil {
			t.Fatal(err)
		}
		if attached.Hosts != zk.Hosts || attached.HTTP != zk.HTTP {
			t.Error(attached.Hosts, attached.HTTP)
		}
		if named, err := zkmini.Attach(zk.HTTP, zkmini.Hosts("zk:1,zk:2")); err != nil || named.Hosts != "zk:1,zk:2" {
			t.Error(named, err)
		}
	}
}

// Returns the URL of a server that tells a version of the API to those who have a token.
func fakeServer(t *testing.T, version int, token string) string {
	fake := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		switch {
		case strings.TrimPrefix(in.Header.Get("Authorization"), "Bearer ") != token:
			out.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(out, `{"error":{"code":"unauthorized","message":"the token is missing or wrong"}}`)
		case in.URL.Path == "/v1/servers":
			fmt.Fprint(out, "[]")
		default:
			fmt.Fprintf(out, `{"api":%d}`, version)
		}
	}))
	t.Cleanup(fake.Close)
	return fake.URL
}

func TestAttachBringsTheToken(t *testing.T) {
	t.Parallel()
	address := fakeServer(t, 1, "0123456789abcdef")
	if zk, err := zkmini.Attach(address, zkmini.Token("0123456789abcdef\n")); err != nil || "http://"+zk.Hosts != address {
		t.Error(zk, err)
	}
	var refusal *zkmini.Error
	if _, err := zkmini.Attach(address); !errors.As(err, &refusal) || refusal.Status != 401 {
		t.Error(err)
	}
}

func TestAnotherVersionOfTheAPIIsRefused(t *testing.T) {
	t.Parallel()
	address := fakeServer(t, 2, "token")
	_, attached := zkmini.Attach(address, zkmini.Token("token"))
	ready := fmt.Sprintf(`{"listen":["127.0.0.1:1"],"http":%q}`, fakeServer(t, 2, ""))
	_, started := zkmini.Start(context.Background(), zkmini.Program(script(t, "echo '"+ready+"'; exec cat")))
	for _, err := range []error{attached, started} {
		if err == nil || !strings.Contains(err.Error(), "has version 2 of the HTTP API, and this package knows version 1") {
			t.Error(err)
		}
	}
}
