//! The audit log.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::Program;

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
fn an_audit_log_that_cannot_be_opened_keeps_the_server_from_starting() {
    let (status, stderr) =
        Program::start(&["serve", "--port", "0", "--audit-log", "/nonexistent/audit"]).end();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write the audit log /nonexistent/audit: No such file"), "{stderr}");
}
