//! Options of `zk-mini exec`: the environment of the command, fast sessions, data on disk, the report of a failure.

use std::fs;

use nix::sys::signal::Signal;

use crate::http::{answer_of, status};
use crate::process::{Program, granted_timeout, is_ok};

/// Path of the program, for commands that are clients, too.
const ZK_MINI: &str = env!("CARGO_BIN_EXE_zk-mini");

fn exec(options: &[&str], script: &str) -> Program {
    Program::start(&[&["exec"], options, &["--", "sh", "-c", script]].concat())
}

/// Runs a script to its end, and returns the status and the standard error.
fn ended(options: &[&str], script: &str) -> (Option<i32>, String) {
    let (status, stderr) = exec(options, script).end();
    (status.code(), stderr)
}

/// Starts a command that prints the address of its server and waits for SIGTERM.
fn waiting(options: &[&str]) -> (Program, String) {
    let exec = exec(options, "trap 'exit 0' TERM; echo $ZK_HOSTS; while :; do sleep 0.01; done");
    let address = exec.line().expect("the address");
    (exec, address)
}

#[test]
fn variables_are_made_of_templates() {
    let options = [
        "--env",
        "CONNECT={hosts}/app",
        "--env=JSON={{\"host\":\"{host}\",\"port\":{port}}}",
        "--env=URL={http}/v1",
        "--port-env=ZK_PORT_TOO",
        "--env=TWICE=first",
        "--env=TWICE=second",
        "--env=ZK_HOST=another",
        "--env=EMPTY=",
    ];
    let script = "echo $ZK_HOSTS; echo $CONNECT; echo $JSON; echo $URL; echo $ZK_PORT_TOO; echo $TWICE; \
                  echo $ZK_HOST; echo ${EMPTY-unset}.";
    let exec = exec(&options, script);
    let hosts = exec.line().unwrap();
    let port = hosts.strip_prefix("127.0.0.1:").unwrap();
    let expected = [
        format!("{hosts}/app"),
        format!("{{\"host\":\"127.0.0.1\",\"port\":{port}}}"),
        format!("http://{hosts}/v1"),
        port.into(),
        "second".into(),
        "another".into(),
        ".".into(),
    ];
    for line in expected {
        assert_eq!(exec.line(), Some(line));
    }
    assert_eq!(exec.end().0.code(), Some(0));
}

#[test]
fn a_bad_template_is_named_and_nothing_is_run() {
    for (options, said) in [
        (&["--env", "A={hots}"][..], "\"{hots}\""),
        (&["--env", "A={host"], "\"{host\""),
        (&["--env", "A=x}"], "\"x}\""),
        (&["--env", "A"], "\"A\" is not NAME=TEMPLATE"),
        (&["--env", "=x"], "name of an environment variable"),
        (&["--port-env", "A B"], "\"A B\" is not the name"),
        (&["--http", "off", "--env", "A={http}/v1"], "--env A={http}/v1: there is no {http} with --http off"),
    ] {
        let exec = exec(options, "echo it runs");
        assert_eq!(exec.line(), None, "{options:?}");
        let (status, stderr) = exec.end();
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
    assert_eq!(ended(&["--http", "off", "--env", "A={hosts}"], "test -n $A"), (Some(0), String::new()));
}

#[test]
fn fast_sessions_are_short_only_for_clients_that_ask_for_short_ones() {
    let granted = |options: &[&str], command: &str| {
        let (program, address) = match command {
            "exec" => waiting(options),
            _ => {
                let zk = Program::start(&[&["serve", "--port", "0"], options].concat());
                let address = zk.address();
                (zk, address)
            }
        };
        let timeouts = [1, 100, 150, 10_000, 60_000].map(|wish| granted_timeout(&address, wish));
        program.signal(Signal::SIGTERM);
        program.end();
        timeouts
    };
    for command in ["exec", "serve"] {
        assert_eq!(granted(&["--fast"], command), [100, 100, 150, 10_000, 40_000], "{command}");
        assert_eq!(granted(&[], command), [4_000, 4_000, 4_000, 10_000, 40_000], "{command}");
    }
    let bounds = ["--fast", "--min-session-timeout-ms", "120", "--max-session-timeout-ms", "20000"];
    assert_eq!(granted(&bounds, "exec"), [120, 120, 150, 10_000, 20_000]);

    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("zoo.cfg");
    fs::write(&config, format!("dataDir={}\ntickTime=3000\n", dir.path().display())).unwrap();
    let with_file = ["--fast", "--config", config.to_str().unwrap()];
    assert_eq!(granted(&with_file, "serve"), [100, 100, 150, 10_000, 40_000], "over the file's tick");

    let (status, stderr) = ended(&["--fast", "--tick-ms", "10"], "");
    assert_eq!(status, Some(2));
    assert!(stderr.contains("--tick-ms"), "{stderr}");
}

#[test]
fn the_data_directory_outlives_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let options = ["--data-dir", data.to_str().unwrap(), "--sync", "none"];
    assert_eq!(ended(&options, &format!("{ZK_MINI} create /kept yes")).0, Some(0));
    let exec = exec(&options, &format!("{ZK_MINI} get /kept"));
    assert_eq!(exec.line().as_deref(), Some("yes"));
}

#[test]
fn a_failure_is_explained_by_the_last_of_the_history() {
    let script = format!(
        "{ZK_MINI} create /first one; {ZK_MINI} create /first again; {ZK_MINI} create --ephemeral /second two & \
         until {ZK_MINI} stat /second >/dev/null; do :; done; kill -KILL $!; exit 7"
    );
    let quiet = format!("{ZK_MINI} create /first one; exit");
    let explained = |limit: &str, script: &str| {
        let script = format!("({script}) 2>/dev/null");
        ended(&[&format!("--explain-on-failure{limit}")], &script)
    };

    let (status, stderr) = explained("", &format!("{quiet} 0"));
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "a command that succeeds has nothing to explain");
    let (status, stderr) = ended(&[], &format!("{quiet} 7"));
    assert_eq!((status, stderr.contains("/first created")), (Some(7), false), "it has to be asked for");

    let (status, stderr) = explained("", &script);
    assert_eq!(status, Some(7), "{stderr}");
    let first = stderr.lines().next().unwrap();
    assert!(first.starts_with("zk-mini: the command ended with status 7; the "), "{stderr}");
    for said in [
        "things that happened at the server (times in UTC):",
        "opened, timeout ",
        "  /first created by request ",
        "create2 /first: node already exists",
        "  /second created by request ",
        "; alive, with ephemeral nodes: 1, watches: 0",
        "Sessions in these lines:",
        ", client 127.0.0.1:",
    ] {
        assert!(stderr.contains(said), "{said:?} is not in\n{stderr}");
    }

    let (status, stderr) = explained("=2", &format!("{quiet} 3"));
    assert_eq!(status, Some(3));
    assert!(stderr.starts_with("zk-mini: the command ended with status 3; the last 2 of "), "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("  20")).count(), 2, "{stderr}");

    let (status, stderr) = explained("", "kill -KILL $$");
    assert_eq!(status, Some(128 + 9));
    assert!(stderr.contains("the command was ended by SIGKILL; no client has done anything"), "{stderr}");

    for bad in ["=0", "=10001", "=x"] {
        let (status, stderr) = explained(bad, "true");
        assert!(status == Some(2) && stderr.contains("a number, 1 to 10000"), "{bad}: {stderr}");
    }
    let (status, stderr) = ended(&["--explain-on-failure", "--history=0"], "false");
    assert_eq!(status, Some(2), "{stderr}");
    assert!(stderr.contains("--explain-on-failure prints the history, and with --history 0"), "{stderr}");
}

#[test]
fn the_server_is_not_shut_down_under_the_command() {
    let (exec, address) = waiting(&[]);
    let answer = answer_of(&address, "POST /command/SHUTDOWN", "Content-Length: 0\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("SHUTDOWN is refused: the server ends with the command"), "{answer}");
    assert!(is_ok(&address));
    assert_eq!(status(&address, "/v1/status"), 200);
    exec.signal(Signal::SIGTERM);
    assert_eq!(exec.end().0.code(), Some(0));
}
