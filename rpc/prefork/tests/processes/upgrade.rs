//! Hot upgrades of real processes.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::{fs, thread};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::{Fixture, Over, ask, eventually, install, is_free, send};

#[test]
fn a_new_program_takes_over_and_every_connection_is_answered() {
    let (dir, service) = service();
    let control = dir.path().join("control");
    let args = format!("workers=2 control={}", control.display());
    let mut fixture = Fixture::start_at(&service, &args);
    fixture.line("> ready ");
    let (addr, mut parents) = (fixture.addr(), vec![fixture.parent()]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let guard = Over(&over);
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Relaxed) {
                        ask(addr);
                    }
                })
            })
            .collect();
        // Twice, because an upgraded service must be able to upgrade again.
        for _ in 0..2 {
            let old = *parents.last().unwrap();
            send(old, Signal::SIGUSR2);
            fixture.line("SIGUSR2: starting the new program");
            let new = fixture.parent();
            parents.push(new);
            fixture.line(&format!("> ready {addr}"));
            fixture.line(&format!("new program (pid {new}) is ready after"));
            fixture.line("SIGUSR2: stopping 2 workers gracefully");
            fixture.line("> stopped");
            let status = rpc_prefork::status(&control).unwrap();
            assert!(status.starts_with(&format!("parent (pid {new}) running")), "{status}");
        }
        drop(guard);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    // A parent prints its last line a moment before its end.
    eventually("the third parent and its two workers are left", || {
        let left = fixture.processes();
        left.contains(&parents[2]) && left.len() == 3
    });
    assert_eq!(children_of(parents[2]).len(), 2);
    send(parents[2], Signal::SIGTERM);
    assert!(fixture.ends().success());
    assert!(is_free(addr) && !control.exists());
}

#[test]
fn the_old_program_goes_on_if_the_new_one_fails_to_start() {
    let (_dir, path) = service();
    let mut fixture = Fixture::start_at(&path, "workers=1 upgrade-timeout=300 grace=300");
    fixture.line("> ready ");
    let (addr, worker) = (fixture.addr(), fixture.workers(1)[0]);
    for (script, ending) in [
        ("#!/bin/sh\nexit 7", "exited with status 7"),
        ("#!/bin/sh\nkill -9 $$", "killed by signal 9"),
        // Ignores TERM, so it is killed.
        ("#!/bin/sh\ntrap '' TERM QUIT; while :; do sleep 0.05; done", "killed by signal 9"),
    ] {
        install_script(&path, script);
        fixture.signal(Signal::SIGUSR2);
        let line = fixture.line("before it took over; going on");
        assert!(line.contains(ending), "{line}");
        assert_eq!(ask(addr), worker);
    }
    fs::remove_file(&path).unwrap();
    fixture.signal(Signal::SIGUSR2);
    fixture.line(": no such file or directory (ENOENT)");
    fixture.line("before it took over; going on");
    assert_eq!(ask(addr), worker);
    // A command of the script may outlive it for a moment.
    eventually("only the old worker is left", || fixture.processes() == [worker]);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_new_program_that_is_not_ready_in_time_is_stopped_with_its_workers() {
    let (_dir, path) = service();
    let mut fixture = Fixture::start_at(&path, "workers=1 upgrade-timeout=1000 grace=500");
    fixture.line("> ready ");
    let (addr, worker) = (fixture.addr(), fixture.workers(1)[0]);
    let program = env!("CARGO_BIN_EXE_prefork-fixture");
    install_script(&path, &format!("#!/bin/sh\nexec {program} workers=3 mode=never-ready grace=100"));
    fixture.signal(Signal::SIGUSR2);
    fixture.workers(3);
    fixture.line("is not ready after 1.0 s; stopping it and going on");
    let line = fixture.line("before it took over; going on");
    assert!(line.contains("exited with status 0 after"), "{line}");
    eventually("only the old worker is left", || fixture.processes() == [worker]);
    assert_eq!(ask(addr), worker);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn the_new_program_starts_with_clean_descriptors_and_signals() {
    let (_dir, path) = service();
    let mut fixture = Fixture::start_at(&path, "workers=1");
    fixture.line("> ready ");
    let report = "ls /proc/self/fd | xargs echo '> fds'; grep ^Sig /proc/self/status";
    install_script(&path, &format!("#!/bin/sh\n{report}"));
    fixture.signal(Signal::SIGUSR2);
    // 3 is the listener, 4 the channel to the old parent, and 5 the directory that `ls` reads.
    assert_eq!(fixture.line("> fds"), "> fds 0 1 2 3 4 5");
    let bits = |line: String| u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap();
    assert_eq!(bits(fixture.line("SigBlk:")), 0);
    // Only USR2 is ignored, so that an early one does not kill it. Real-time signals are as the test has inherited them.
    let standard = (1 << 31) - 1;
    assert_eq!(bits(fixture.line("SigIgn:")) & standard, 1 << (Signal::SIGUSR2 as u64 - 1));
    fixture.line("before it took over; going on");
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn the_old_program_tells_systemd_the_new_main_process_and_nothing_more() {
    let (dir, path) = service();
    let notify = dir.path().join("notify");
    let socket = UnixDatagram::bind(&notify).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let hear = || {
        let mut buf = [0; 1024];
        let len = socket.recv(&mut buf).unwrap();
        String::from_utf8_lossy(&buf[..len]).into_owned()
    };
    let mut fixture = Fixture::start_by(&path, "workers=1", |command| {
        command.env("NOTIFY_SOCKET", &notify);
    });
    fixture.line("> ready ");
    fixture.parent();
    assert_eq!(hear(), "READY=1\nSTATUS=all 1 workers are ready");
    fixture.signal(Signal::SIGUSR2);
    let new = fixture.parent();
    fixture.line("> stopped");
    send(new, Signal::SIGTERM);
    assert!(fixture.ends().success());
    assert!(hear().starts_with("STATUS=SIGUSR2: starting the new program"));
    assert_eq!(hear(), "READY=1\nSTATUS=all 1 workers are ready");
    assert!(hear().starts_with(&format!("MAINPID={new}\nSTATUS=new program (pid {new}) is ready after ")));
    assert!(hear().starts_with("STOPPING=1\nSTATUS=SIGTERM: stopping 1 workers"), "the new program's");
}

#[test]
fn usr2_keeps_the_number_of_workers_as_changed_by_ttin_and_ttou() {
    let (_dir, path) = service();
    let mut fixture = Fixture::start_at(&path, "workers=2");
    fixture.line("all 2 workers are ready");
    let mut parent = fixture.parent();
    for (signal, workers) in [(Some(Signal::SIGTTIN), 3), (None, 3), (Some(Signal::SIGTTOU), 2), (None, 2)] {
        if let Some(signal) = signal {
            send(parent, signal);
            fixture.line(&format!("keeping {workers} workers from now on"));
        }
        send(parent, Signal::SIGUSR2);
        parent = fixture.parent();
        fixture.line(&format!("all {workers} workers are ready"));
        fixture.line("> stopped");
    }
    send(parent, Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn usr2_without_a_listener_to_hand_over_has_no_effect() {
    let mut fixture = Fixture::ready("workers=1 upgrade=no");
    fixture.signal(Signal::SIGUSR2);
    fixture.line("SIGUSR2: no listener to hand over; going on");
    assert_eq!(fixture.processes(), fixture.workers(1));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn term_during_an_upgrade_ends_every_process() {
    let (_dir, path) = service();
    let mut fixture = Fixture::start_at(&path, "workers=2 grace=500");
    fixture.line("> ready ");
    let program = env!("CARGO_BIN_EXE_prefork-fixture");
    install_script(&path, &format!("#!/bin/sh\nexec {program} workers=1 mode=never-ready grace=100"));
    fixture.workers(2);
    fixture.signal(Signal::SIGUSR2);
    fixture.workers(1);
    fixture.signal(Signal::SIGUSR2);
    fixture.line("SIGUSR2: an upgrade is in progress already");
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

/// Replaces the program by a script.
fn install_script(path: &Path, text: &str) {
    let script = path.with_extension("script");
    // A new file each time, because a running one cannot be written.
    let _ = fs::remove_file(&script);
    fs::write(&script, format!("{text}\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    install(path, &script);
}

/// Returns a path for a program in a directory of its own.
fn service() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("service");
    (dir, path)
}

fn children_of(pid: i32) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(String::from).collect()
}
