//! Troubles that must not stop a service: a log without a reader, hooks that panic, no descriptors, a port still in use.

use std::fs::{File, read_to_string};
use std::io::{Read, pipe};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::Signal;

use crate::support::{Fixture, ask, eventually, send};

/// Checks that workers are replaced and the service ends when asked to, although its log cannot be written.
fn serves_without_a_log(log: impl Into<Stdio>) {
    let mut fixture = Fixture::start_with("workers=2", |command| {
        command.stderr(log);
    });
    fixture.line("> ready ");
    let addr = fixture.addr();
    for worker in fixture.workers(2) {
        send(worker, Signal::SIGKILL);
        fixture.line("> helper");
        ask(addr);
    }
    fixture.signal(Signal::SIGUSR1);
    fixture.line("> usr1");
    fixture.signal(Signal::SIGTERM);
    fixture.line("> stopped");
    assert!(fixture.ends().success());
}

#[test]
fn a_log_without_a_reader_stops_nothing() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    serves_without_a_log(writer);
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    serves_without_a_log(File::options().write(true).open("/dev/full").unwrap());
}

#[test]
fn hooks_that_panic_are_logged_and_stop_nothing() {
    let mut fixture = Fixture::ready("workers=1 hooks=panic");
    fixture.line("ERROR the hook `on_ready` panicked: as the test asked; going on");
    for _ in 0..2 {
        fixture.signal(Signal::SIGUSR1);
        fixture.line("ERROR the hook `on_usr1` panicked: as the test asked; going on");
    }
    assert_eq!(ask(fixture.addr()), fixture.workers(1)[0]);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_worker_that_exits_with_0_without_being_asked_gets_a_helper_and_a_successor() {
    let mut fixture = Fixture::ready("workers=1 mode=exit");
    let (addr, first) = (fixture.addr(), fixture.workers(1)[0]);
    assert_eq!(ask(addr), first);
    let helper = fixture.line("> helper");
    assert!(helper.ends_with(&format!("{first} session-of-{first} exited with status 0")), "{helper}");
    let log = fixture.line("WARN worker 0");
    assert!(log.contains("exited with status 0 after") && log.contains("; restarting in 0."), "{log}");
    assert_ne!(fixture.workers(1)[0], first);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_port_that_workers_of_a_killed_parent_hold_is_waited_for() {
    let mut first = Fixture::ready("workers=2 mode=linger");
    let addr = first.addr();
    first.signal(Signal::SIGKILL);
    let mut second = Fixture::start(&format!("listen={addr}"));
    second.line(&format!("WARN {addr} is in use, perhaps by workers that are stopping; waiting up to 5s"));
    second.line(&format!("> ready {addr}"));
    assert_eq!(ask(addr), second.workers(1)[0]);
    second.signal(Signal::SIGTERM);
    assert!(second.ends().success());
    assert!(!first.ends().success());
}

/// Sets the limit of descriptors of a running process and returns the old one.
fn limit_descriptors(pid: i32, soft: u64) -> u64 {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it writes only to `old`.
    assert_eq!(unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut old) }, 0);
    let new = libc::rlimit { rlim_cur: soft, rlim_max: old.rlim_max };
    // SAFETY: it only reads `new`.
    assert_eq!(unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const new, std::ptr::null_mut()) }, 0);
    old.rlim_cur
}

/// Returns the processor time that a process has used, in hundredths of a second.
fn ticks(pid: i32) -> u64 {
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_parent_without_descriptors_goes_on_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let mut fixture = Fixture::ready(&format!("workers=3 control={}", path.display()));
    let (addr, workers, parent) = (fixture.addr(), fixture.workers(3), fixture.pid());
    let before = limit_descriptors(parent, 1);
    send(workers[0], Signal::SIGKILL);
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let used = ticks(parent);
    // It pauses for a tenth of a second between forks, and for a second between answers to the control socket.
    for _ in 0..3 {
        fixture.line("cannot answer a request for the status: this process has too many open files");
        let log = fixture.line("WARN cannot fork worker");
        assert!(log.contains("this process has too many open files"), "{log}");
    }
    assert!(ticks(parent) - used < 20, "it loops without a pause");
    assert!(workers[1..].contains(&ask(addr)));
    limit_descriptors(parent, before);
    let new = fixture.workers(1)[0];
    eventually("the new worker answers", || ask(addr) == new);
    let mut status = String::new();
    client.read_to_string(&mut status).unwrap();
    assert!(status.starts_with(&format!("parent (pid {parent}) running")), "{status}");
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}
