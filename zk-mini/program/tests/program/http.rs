//! HTTP of `zk-mini serve` and `zk-mini exec`: where it is, and who may use it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{PATIENCE, Program, is_ok};

const TOKEN: &str = "0123456789abcdef";

/// Returns the status of a GET, with these further headers; 0 if the connection is closed without an answer.
fn status_with(address: &str, path: &str, headers: &str) -> u16 {
    status_of(address, &format!("GET {path}"), headers)
}

fn status_of(address: &str, request: &str, headers: &str) -> u16 {
    let answer = answer_of(address, request, headers);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Returns the whole answer of a server to a request; empty if there is none.
pub(crate) fn answer_of(address: &str, request: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that closes before it has read everything resets the connection.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn status(address: &str, path: &str) -> u16 {
    status_with(address, path, "")
}

/// Starts a server, and returns it with its line in JSON.
fn ready(options: &[&str]) -> (Program, Value) {
    let zk = Program::start(&[&["serve", "--ready", "json"], options].concat());
    let line = zk.line().expect("a line");
    let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    (zk, line)
}

/// Ends a server, and returns its log.
fn log_of(zk: Program) -> String {
    zk.signal(Signal::SIGTERM);
    zk.end().1
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let file = dir.join(name);
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn the_zookeeper_port_answers_http_without_an_option() {
    let (zk, line) = ready(&["--port", "0"]);
    let address = line["listen"][0].as_str().unwrap();
    assert_eq!((status(address, "/"), status(address, "/v1/status")), (200, 200));
    assert!(is_ok(address), "and ZooKeeper's clients");
    assert_eq!(line["http"], format!("http://{address}"));
    assert_eq!((&line["http_on"], &line["admin"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert!(log_of(zk).contains(&format!("HTTP on the same port: http://{address}")));
}

#[test]
fn the_command_shutdown_ends_the_program() {
    let zk = Program::start(&["serve", "--port", "0"]);
    let address = zk.address();
    assert_eq!(status_of(&address, "POST /command/SHUTDOWN", "Content-Length: 0\r\n"), 200);
    let (status, log) = zk.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the command SHUTDOWN over HTTP"), "{log}");
}

#[test]
fn off_leaves_http_out_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("clientPort=0\ndataDir={}\nadmin.serverPort=0\n", dir.path().display());
    let config = write(dir.path(), "zoo.cfg", &text);
    let (zk, line) = ready(&["--http", "off", "--config", config.to_str().unwrap()]);
    let address = line["listen"][0].as_str().unwrap();
    assert_eq!(status(address, "/v1/status"), 0);
    assert_eq!((&line["http"], &line["admin"]), (&Value::Null, &Value::Array(vec![])));
    assert!(!log_of(zk).contains("HTTP"));
}

#[test]
fn a_port_of_its_own_is_told_in_a_second_line() {
    for http in ["127.0.0.1:0", "localhost:0", "0"] {
        let zk = Program::start(&["serve", "--port", "0", "--http", http]);
        let shared = zk.address();
        let line = zk.line().unwrap();
        let own = line.strip_prefix("http on ").unwrap();
        assert_ne!(own, shared);
        assert_eq!((status(own, "/v1/status"), status(&shared, "/v1/status")), (200, 200));
        zk.signal(Signal::SIGTERM);
        assert_eq!(zk.line(), None, "two lines");
        assert_eq!(zk.end().0.code(), Some(0));
        assert!(TcpStream::connect(own).is_err());
    }
    let (_zk, line) = ready(&["--port", "0", "--http", "0"]);
    assert_eq!(status(line["http_on"][0].as_str().unwrap(), "/v1/status"), 200);
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, stderr) = Program::start(&["serve", "--port", "0", "--http", &address]).end();
    assert_eq!(status.code(), Some(1));
    let said =
        format!("cannot listen on {address} for HTTP: the address is in use; choose another port for --http");
    assert!(stderr.contains(&said), "{stderr}");

    let dir = tempfile::tempdir().unwrap();
    let (port, data) = (taken.local_addr().unwrap().port(), dir.path().display());
    let config =
        write(dir.path(), "zoo.cfg", &format!("clientPort=0\ndataDir={data}\nadmin.serverPort={port}\n"));
    let (status, stderr) = Program::start(&["serve", "--config", config.to_str().unwrap()]).end();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("for the AdminServer: the address is in use; set admin.serverPort"), "{stderr}");
}

#[test]
fn an_address_that_cannot_be_meant_is_an_error() {
    for (options, said) in [
        (&["--http", "localhost"][..], "an address with a port"),
        (&["--http", "on"], "an address with a port"),
        (&["--listen", "127.0.0.1:1", "--http", "127.0.0.1:1"], "127.0.0.1:1 is the ZooKeeper port"),
        (
            &["--port", "0", "--http", "*:0"],
            "HTTP is off on an address that is not loopback; --http-token-file",
        ),
        (&["--http-open", "everything"], "metrics, commands"),
    ] {
        let (status, stderr) = Program::start(&[&["serve"], options].concat()).end();
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said), "{said} is not in\n{stderr}");
    }
}

#[test]
fn a_command_finds_the_url_of_its_server_and_no_other() {
    let shell = |options: &[&str], script: &str| {
        Program::start(&[&["exec"], options, &["--", "sh", "-c", script]].concat())
    };
    let exec = shell(&[], "echo $ZK_MINI_HTTP; echo http://127.0.0.1:$ZK_PORT; read wait </dev/zero");
    let url = exec.line().unwrap();
    assert_eq!(exec.line().unwrap(), url);
    assert_eq!(status(url.strip_prefix("http://").unwrap(), "/v1/status"), 200);
    let exec =
        shell(&["--http=0"], "echo $ZK_MINI_HTTP; echo http://127.0.0.1:$ZK_PORT; read wait </dev/zero");
    let url = exec.line().unwrap();
    assert_ne!(exec.line().unwrap(), url, "the port of --http");
    assert_eq!(status(url.strip_prefix("http://").unwrap(), "/v1/status"), 200);
    let zk_mini = env!("CARGO_BIN_EXE_zk-mini");
    let exec = shell(&[], &format!("{zk_mini} exec --http off -- sh -c 'echo \"[$ZK_MINI_HTTP]\"'"));
    assert_eq!(exec.line().unwrap(), "[]");
}

#[test]
fn beyond_loopback_http_is_off_and_the_log_says_so() {
    let (zk, line) = ready(&["--listen", "*:0"]);
    let address = line["listen"][0].as_str().unwrap().replace("0.0.0.0", "127.0.0.1");
    assert_eq!(line["http"], Value::Null);
    for path in ["/v1/status", "/metrics", "/commands/ruok"] {
        assert_eq!(status(&address, path), 403, "{path}");
    }
    let log = log_of(zk);
    assert!(
        log.contains("HTTP is off on 0.0.0.0:") && log.contains("--http-token-file FILE turns it on"),
        "{log}"
    );
}

#[test]
fn a_token_opens_http_beyond_loopback_to_those_who_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "token", &format!("  {TOKEN}\nmore\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let (zk, line) =
        ready(&["--listen", "*:0", "--http", "*:0", "--http-token-file", file.to_str().unwrap()]);
    let local = |address: &Value| address.as_str().unwrap().replace("0.0.0.0", "127.0.0.1");
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    for address in [local(&line["listen"][0]), local(&line["http_on"][0])] {
        assert_eq!(status(&address, "/v1/status"), 401);
        assert_eq!(status_with(&address, "/v1/status", &bearer), 200);
    }
    assert_eq!(line["http"], format!("http://{}", local(&line["listen"][0])));
    let log = log_of(zk);
    assert!(!log.contains("can read the token") && !log.contains(TOKEN), "{log}");
}

#[test]
fn open_parts_need_no_token() {
    let (zk, line) = ready(&["--listen", "*:0", "--http-open", "metrics,commands"]);
    let address = line["listen"][0].as_str().unwrap().replace("0.0.0.0", "127.0.0.1");
    for path in ["/metrics", "/commands"] {
        assert!(!matches!(status(&address, path), 401 | 403), "{path}");
    }
    assert_eq!((status(&address, "/v1/status"), &line["http"]), (403, &Value::Null));
    assert!(log_of(zk).contains("HTTP shows metrics and commands only on 0.0.0.0:"));
}

#[test]
fn a_bad_file_with_a_token_is_an_error_that_names_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    for (text, said) in [
        ("short\n", "the first line has 5 characters, and a token has at least 16"),
        ("\n0123456789abcdef\n", "the first line has 0 characters"),
        ("0123456789 abcdefgh\n", "token"),
    ] {
        let file = write(dir.path(), "token", text);
        let (status, stderr) = Program::start(&["serve", "--http-token-file", file.to_str().unwrap()]).end();
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said) && stderr.contains("openssl rand -hex 32"), "{stderr}");
    }
    let (status, stderr) = Program::start(&["serve", "--http-token-file", "/nowhere/token"]).end();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains("--http-token-file /nowhere/token: cannot be read"), "{stderr}");
}

#[test]
fn a_token_that_everybody_can_read_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "token", TOKEN);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (zk, _) = ready(&["--port", "0", "--http-token-file", file.to_str().unwrap()]);
    let log = log_of(zk);
    assert!(log.contains("WARN") && log.contains("everybody on this machine can read the token"), "{log}");
}

#[test]
fn a_zoo_cfg_opens_the_ports_that_it_names_without_control() {
    let dir = tempfile::tempdir().unwrap();
    let provider = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
    let text = format!(
        "clientPort=0\ndataDir={}\nadmin.serverPort=0\nzookeeper.admin.commandURL=/zk\n\
         metricsProvider.className={provider}\nmetricsProvider.httpPort=0\n",
        dir.path().display()
    );
    let config = write(dir.path(), "zoo.cfg", &text);
    let (zk, line) = ready(&["--config", config.to_str().unwrap()]);
    let admin = line["admin"].as_array().unwrap();
    let addresses: Vec<_> = admin
        .iter()
        .map(|url| url.as_str().unwrap().strip_prefix("http://").unwrap().split_once('/').unwrap())
        .collect();
    assert_eq!((addresses[0].1, addresses[1].1, addresses.len()), ("zk", "metrics", 2));
    for (address, _) in &addresses {
        assert_eq!(status(address, "/v1/status"), 404, "control is not here");
    }
    assert_eq!(status(addresses[0].0, "/zk/ruok"), 200);
    assert_eq!(status(addresses[0].0, "/commands/ruok"), 404);
    assert_eq!((status(addresses[1].0, "/metrics"), status(addresses[1].0, "/zk/ruok")), (200, 404));
    let log = log_of(zk);
    for url in admin {
        assert!(log.contains(&format!("{}\n", url.as_str().unwrap())), "{log}");
    }
}

#[test]
fn a_zoo_cfg_opens_no_port_beyond_loopback_without_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "clientPort=0\ndataDir={}\nadmin.serverPort=0\nadmin.serverAddress=0.0.0.0\n",
        dir.path().display()
    );
    let config = write(dir.path(), "zoo.cfg", &text);
    let config = config.to_str().unwrap();
    let (zk, line) = ready(&["--config", config]);
    assert_eq!(line["admin"], Value::Array(vec![]));
    let log = log_of(zk);
    assert!(
        log.contains(
            "0.0.0.0:0 is not loopback, so there is no port for the AdminServer there: --http-token-file"
        ),
        "{log}"
    );
    let (_zk, line) = ready(&["--config", config, "--http-open", "commands"]);
    assert_eq!(line["admin"].as_array().unwrap().len(), 1);
}
