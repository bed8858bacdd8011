//! Signals that reach every process, because they are sent by name or from a terminal.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Fixture, ask, eventually, send};

/// Signals for the parent, and signals without a meaning.
const NOT_FOR_WORKERS: [Signal; 9] = [
    Signal::SIGHUP,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGPIPE,
    Signal::SIGCONT,
];

/// Waits until each of these workers, and no other, has answered.
fn all_answer(addr: SocketAddr, workers: &[i32]) {
    let workers: BTreeSet<_> = workers.iter().copied().collect();
    let mut answered = BTreeSet::new();
    eventually("all of them answer", || {
        answered.insert(ask(addr));
        answered == workers
    });
}

#[test]
fn signals_for_the_parent_do_nothing_to_a_worker() {
    let mut fixture = Fixture::ready("workers=2");
    let (addr, workers) = (fixture.addr(), fixture.workers(2));
    for signal in NOT_FOR_WORKERS {
        workers.iter().for_each(|worker| send(*worker, signal));
        all_answer(addr, &workers);
    }
    fixture.signal(Signal::SIGTERM);
    for worker in workers {
        fixture.line(&format!("(pid {worker}) exited with status 0"));
    }
    assert!(fixture.ends().success());
}

#[test]
fn signals_to_all_processes_have_the_effect_of_signals_to_the_parent() {
    let mut fixture = Fixture::ready("workers=1 upgrade=no");
    let addr = fixture.addr();
    let to_all = |fixture: &Fixture, signal| {
        fixture.signal(signal);
        for pid in fixture.processes() {
            // It may be gone by now.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    };
    let first = fixture.workers(1)[0];
    to_all(&fixture, Signal::SIGALRM);
    to_all(&fixture, Signal::SIGTTIN);
    let second = fixture.workers(1)[0];
    fixture.line("worker 1 (pid");
    all_answer(addr, &[first, second]);
    to_all(&fixture, Signal::SIGUSR2);
    fixture.line("no listener to hand over");
    all_answer(addr, &[first, second]);
    to_all(&fixture, Signal::SIGTTOU);
    fixture.line(&format!("(pid {second}) exited with status 0"));
    all_answer(addr, &[first]);
    to_all(&fixture, Signal::SIGHUP);
    fixture.line("all 1 workers have been replaced");
    let third = fixture.workers(1)[0];
    all_answer(addr, &[third]);
    to_all(&fixture, Signal::SIGINT);
    assert!(fixture.ends().success());
}

#[test]
fn a_helper_ignores_every_signal_that_is_sent_to_all() {
    let mut fixture = Fixture::ready("workers=1 helper=hang helper-timeout=600000");
    let first = fixture.workers(1)[0];
    send(first, Signal::SIGKILL);
    fixture.line("> helper");
    let second = fixture.workers(1)[0];
    let helper = fixture.processes().into_iter().find(|pid| *pid != second).unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR1] {
        send(helper, signal);
    }
    NOT_FOR_WORKERS.into_iter().for_each(|signal| send(helper, signal));
    // It only sleeps. A signal that ended or suspended it would do so before it sleeps again.
    let mut stat = String::new();
    eventually("the helper sleeps again", || {
        stat = std::fs::read_to_string(format!("/proc/{helper}/stat")).unwrap();
        !stat.contains(") R ")
    });
    assert!(stat.contains(") S "), "{stat}");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM] {
        fixture.signal(signal);
        fixture.line("SIG");
    }
    assert!(fixture.ends().success());
}

#[test]
fn a_suspended_worker_is_reported_and_stops_gracefully_when_asked() {
    let mut fixture = Fixture::ready("workers=2 grace=600000");
    for worker in fixture.workers(2) {
        send(worker, Signal::SIGSTOP);
        fixture.line(&format!("(pid {worker}) was suspended by signal 19"));
        send(worker, Signal::SIGCONT);
        fixture.line(&format!("(pid {worker}) runs again"));
        send(worker, Signal::SIGSTOP);
        fixture.line(&format!("(pid {worker}) was suspended by signal 19"));
    }
    fixture.signal(Signal::SIGTERM);
    for _ in 0..2 {
        assert!(fixture.line("> leaving").ends_with("Graceful"));
    }
    assert!(fixture.ends().success());
}
