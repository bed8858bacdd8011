package zkmini

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Version of the HTTP API that this package speaks.
const api = 1

// AttachOption is a setting of a server that runs already.
type AttachOption func(*Server)

// Hosts names the addresses for ZooKeeper clients, HOST:PORT with commas between them. Without it they are those of all servers of an
// ensemble, and for a single server that of its HTTP, which may have a port of its own.
func Hosts(hosts string) AttachOption { return func(s *Server) { s.Hosts = hosts } }

// Token is the token of a server with `--http-token-file FILE`.
func Token(token string) AttachOption { return func(s *Server) { s.token = strings.TrimSpace(token) } }

// Attach returns a server that runs already: at a URL, or with "" the one of `zk-mini exec`. Stop leaves it alone.
func Attach(address string, options ...AttachOption) (*Server, error) {
	server := &Server{timeout: callTimeout}
	if address == "" {
		address, server.Hosts = os.Getenv("ZK_MINI_HTTP"), os.Getenv("ZK_HOSTS")
	}
	if address == "" {
		return nil, errors.New("zkmini: no server to attach to: give its URL, or run under `zk-mini exec`, which sets ZK_MINI_HTTP")
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "http" || parsed.Hostname() == "" || parsed.Port() == "" || strings.Trim(parsed.Path, "/") != "" {
		return nil, fmt.Errorf("zkmini: %q is not the URL of a server: write http://HOST:PORT, such as http://127.0.0.1:2181", address)
	}
	server.HTTP = "http://" + parsed.Host
	for _, option := range options {
		option(server)
	}
	if err := server.checkAPI(); err != nil {
		return nil, err
	}
	if server.Hosts == "" {
		if server.Hosts, err = server.addresses(); err != nil {
			return nil, err
		}
	}
	if server.Hosts == "" {
		server.Hosts = parsed.Host
	}
	return server, nil
}

// Refuses a server whose HTTP API is newer than this package.
func (s *Server) checkAPI() error {
	status, err := s.Status()
	if err == nil && status.API > api {
		err = fmt.Errorf("zkmini: the server at %s has version %d of the HTTP API, and this package knows version %d: "+
			"install a newer package, or run an older server", s.HTTP, status.API, api)
	}
	return err
}

// Returns the addresses of the servers of an ensemble, with commas; "" of a single server.
func (s *Server) addresses() (string, error) {
	servers, err := s.Servers()
	addresses := []string{}
	for _, info := range servers {
		addresses = append(addresses, info.Address)
	}
	return strings.Join(addresses, ","), err
}
