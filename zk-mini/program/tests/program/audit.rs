//! The audit log.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{Program, ask};

/// Runs a command of the program against a server.
fn run(address: &str, args: &[&str]) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zk-mini"));
    command.args(args).env("ZK_HOSTS", address).output().unwrap().status.success()
}

/// Returns the lines of a log, without times and sessions.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let object = line.as_object_mut().unwrap();
        assert!(object.remove("time").unwrap().as_str().unwrap().ends_with('Z'));
        if let Some(session) = object.remove("session") {
            assert!(session.as_str().unwrap().starts_with("0x"));
        }
        line
    });
    lines.collect()
}

#[test]
fn a_zoo_cfg_with_audit_enable_writes_a_line_for_each_change() {
    let dir = tempfile::tempdir().unwrap();
    let (cfg, data) = (dir.path().join("zoo.cfg"), dir.path().join("data"));
    fs::write(&cfg, format!("clientPort=0\ndataDir={}\naudit.enable=true\n", data.display())).unwrap();
    for _ in 0..2 {
        let zk = Program::start(&["serve", "--config", cfg.to_str().unwrap()]);
        let address = zk.address();
        assert!(run(&address, &["create", "/a", "1"]));
        assert!(!run(&address, &["create", "/a", "1"]), "it is there");
        assert!(run(&address, &["rm", "/a"]));
        zk.signal(Signal::SIGTERM);
        assert_eq!(zk.end().0.code(), Some(0));
    }
    let found = lines(&data.join("zookeeper_audit.log"));
    let from = |ip: &str| -> Vec<Value> {
        let change = |operation: &str, kind: Option<&str>, result: &str| {
            let mut line = serde_json::json!({"user": ip, "ip": ip, "operation": operation, "znode": "/a", "result": result});
            if let Some(kind) = kind {
                line["znode_type"] = kind.into();
            }
            line
        };
        let server = |operation: &str, result: &str| serde_json::json!({"user": "zk-mini", "operation": operation, "result": result});
        vec![
            server("serverStart", "success"),
            change("create", Some("persistent"), "success"),
            change("create", Some("persistent"), "failure"),
            change("delete", None, "success"),
            server("serverStop", "invoked"),
        ]
    };
    let ip = found[1]["ip"].as_str().unwrap().to_owned();
    assert_eq!(found, [from(&ip), from(&ip)].concat(), "the second run appends");
}

#[test]
fn changes_over_http_and_of_a_tree_to_load_are_audited_and_so_are_those_of_each_server() {
    let dir = tempfile::tempdir().unwrap();
    let (log, tree) = (dir.path().join("audit.log"), dir.path().join("tree.yaml"));
    fs::write(&tree, "/loaded: {data: x}\n").unwrap();
    let (log_arg, tree_arg) = (log.to_str().unwrap(), tree.to_str().unwrap());
    let args = ["serve", "--servers=2", "--listen=127.0.0.1:0", "--load", tree_arg, "--audit-log", log_arg];
    let zk = Program::start(&args);
    let addresses = [zk.address(), zk.address()];
    for request in ["PUT /v1/nodes/http", "DELETE /v1/nodes/http", "DELETE /v1/nodes/none"] {
        let request = format!("{request} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        assert!(ask(&addresses[0], &request).starts_with("HTTP/1.0 "), "{request}");
    }
    for address in &addresses {
        run(address, &["create", "/a", "1"]);
    }
    zk.signal(Signal::SIGTERM);
    assert_eq!(zk.end().0.code(), Some(0));
    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(text.matches("\"session\"").count(), 2, "those over HTTP have none: {text}");
    let short = |line: Value| {
        let field =
            |name: &str| line.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
        ["server", "user", "ip", "operation", "znode", "result"].map(field).join(" ")
    };
    let expected = [
        " handle  create /loaded success",
        " zk-mini  serverStart  success",
        " http 127.0.0.1 create /http success",
        " http 127.0.0.1 delete /http success",
        " http 127.0.0.1 delete /none failure",
        "1 127.0.0.1 127.0.0.1 create /a success",
        "2 127.0.0.1 127.0.0.1 create /a failure",
        " zk-mini  serverStop  invoked",
    ];
    assert_eq!(lines(&log).into_iter().map(short).collect::<Vec<_>>(), expected);
}

#[test]
fn an_audit_log_that_cannot_be_opened_keeps_the_server_from_starting() {
    let (status, stderr) =
        Program::start(&["serve", "--port", "0", "--audit-log", "/nonexistent/audit"]).end();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write the audit log /nonexistent/audit: No such file"), "{stderr}");
}
