//! The status that an operator reads.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::{Fixture, eventually, send};

#[test]
fn the_status_command_shows_the_parent_and_every_worker() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let mut fixture = Fixture::ready(&format!("workers=2 control={}", path.display()));
    let workers = fixture.workers(2);
    let status = || Command::new(env!("CARGO_BIN_EXE_prefork-status")).arg(&path).output().unwrap();
    let shown = String::from_utf8(status().stdout).unwrap();
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with(&format!("parent (pid {}) running, up ", fixture.pid())), "{shown}");
    assert!(lines[1].starts_with("worker 0 (pid ") && lines[1].contains(") ready, up "), "{shown}");
    assert!(lines[2].starts_with("worker 1 (pid ") && lines[2].ends_with(", restarts 0"), "{shown}");
    assert!(
        workers.iter().all(|pid| shown.contains(&format!(" (pid {pid}) "))) && lines.len() == 3,
        "{shown}"
    );

    send(workers[1], Signal::SIGKILL);
    let replaced = fixture.workers(1)[0];
    let line = format!(" (pid {replaced}) ready, up ");
    eventually("the new worker is shown with a restart", || {
        rpc_prefork::status(&path).unwrap().lines().any(|l| l.contains(&line) && l.ends_with("restarts 1"))
    });
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
    assert!(!path.exists());
    assert_eq!(status().status.code(), Some(1));
    assert!(String::from_utf8(status().stderr).unwrap().starts_with("no service answers at "));
}

#[test]
fn the_status_tells_booting_and_leaving_workers_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let mut fixture = Fixture::start(&format!("mode=never-ready grace=600000 control={}", path.display()));
    fixture.workers(1);
    let shown = rpc_prefork::status(&path).unwrap();
    assert!(shown.contains(" starting, up ") && shown.contains(" booting, up "), "{shown}");
    fixture.signal(Signal::SIGTERM);
    fixture.line("stopping 1 workers");
    let shown = rpc_prefork::status(&path).unwrap();
    assert!(shown.contains(" stopping, up ") && shown.contains(" leaving, up "), "{shown}");
    fixture.signal(Signal::SIGINT);
    assert!(fixture.ends().success());
}
