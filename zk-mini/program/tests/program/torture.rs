//! `zk-mini torture`. Commands that are clients are judged in the workspace's integration tests.

use std::fs::File;
use std::io::{BufRead, BufReader};

use nix::sys::signal::Signal;

use crate::process::Program;

fn torture(options: &[&str], script: &str) -> Program {
    Program::start(&[&["torture"], options, &["--", "sh", "-c", script]].concat())
}

#[test]
fn the_list_names_each_day_with_its_reason() {
    let program = Program::start(&["torture", "--list"]);
    let lines: Vec<_> = std::iter::from_fn(|| program.line()).collect();
    assert_eq!(program.status().code(), Some(0));
    assert!(lines.contains(&"kill-is-noticed (register, bug)".into()), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("  in life ")).count(), lines.len().div_ceil(5));
}

#[test]
fn a_command_that_cannot_be_judged_gives_status_2() {
    for script in ["exit 77", "exit 1"] {
        assert_eq!(torture(&[], script).status().code(), Some(2), "{script}");
    }
    let (status, stderr) = torture(&["--only", "no-such-day"], "exit 77").end();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains("there is no day \"no-such-day\""), "{stderr}");
    let (status, stderr) = torture(&["--expect", "/no/such/file"], "exit 77").end();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains("cannot read the names of days in /no/such/file"), "{stderr}");
}

#[test]
fn the_report_is_printed_as_json() {
    let program = torture(&["--json", "--only", "kill-is-noticed"], "exit 77");
    let line = program.line().unwrap();
    assert!(line.starts_with('{') && line.ends_with('}') && line.contains("\"not played\""), "{line}");
    assert_eq!(program.status().code(), Some(2));
}

#[test]
fn a_signal_ends_the_run_and_its_processes() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("ready");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("trap '' TERM; exec 3> {}; echo ready >&3; sleep 300", fifo.display());
    let program = torture(&["--only", "register-good-day"], &script);
    // The FIFO opens when the command opens it, and ends with the last process of the command.
    let mut ready = BufReader::new(File::open(&fifo).unwrap()).lines();
    assert_eq!(ready.next().unwrap().unwrap(), "ready");
    program.signal(Signal::SIGTERM);
    assert!(ready.next().is_none());
    assert_eq!(program.status().code(), Some(2));
}
