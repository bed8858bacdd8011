//! The cases of a signal tutorial, one by one, on real processes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Fixture, ask, eventually, is_free, send};

#[test]
fn sigint_ignored_and_still_running() {
    let mut fixture = Fixture::ready("workers=1 mode=ignore-int");
    let (addr, worker) = (fixture.addr(), fixture.workers(1)[0]);
    send(worker, Signal::SIGINT);
    assert_eq!(ask(addr), worker);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.line("> leaving").ends_with("Graceful"), "INT left a trace");
    assert!(fixture.ends().success());
}

#[test]
fn sigkill_not_catchable() {
    // It ignores TERM, but KILL cannot be ignored.
    let mut fixture = Fixture::ready("workers=1 mode=ignore-term grace=100");
    let worker = fixture.workers(1)[0];
    send(worker, Signal::SIGTERM);
    assert!(is_alive(worker));
    send(worker, Signal::SIGKILL);
    fixture.line(&format!("(pid {worker}) killed by signal 9"));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn nested_signals_interrupting_a_handler() {
    let mut fixture = Fixture::ready("workers=1 mode=nested");
    let worker = fixture.workers(1)[0];
    send(worker, Signal::SIGUSR1);
    fixture.line("> inside the handler");
    // The handler waits for a signal. The handler of this one runs inside it, and both return in order.
    send(worker, Signal::SIGQUIT);
    fixture.line("> leaving the handler");
    assert!(fixture.line("> leaving 0").ends_with("Quick"), "the nested request was lost");
    fixture.line(&format!("(pid {worker}) exited with status 0"));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn waitpid_interrupted_and_retried() {
    // CONT only interrupts system calls. Among hundreds of them no death is missed and no wait fails.
    let mut fixture = Fixture::ready("workers=3");
    for _ in 0..5 {
        for worker in fixture.workers(3) {
            for _ in 0..50 {
                fixture.signal(Signal::SIGCONT);
                fixture.signal(Signal::SIGCHLD);
            }
            send(worker, Signal::SIGKILL);
            fixture.line(&format!("(pid {worker}) killed by signal 9"));
        }
    }
    fixture.workers(3);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn children_stopped_and_reaped_when_the_parent_leaves() {
    let mut fixture = Fixture::ready("workers=3 mode=children");
    let (addr, workers) = (fixture.addr(), fixture.workers(3));
    fixture.signal(Signal::SIGTERM);
    for worker in &workers {
        fixture.line(&format!("(pid {worker}) exited with status 0"));
    }
    assert!(fixture.ends().success());
    assert!(workers.iter().all(|worker| !is_alive(*worker)));
    assert!(is_free(addr));
}

#[test]
fn zombies_gone() {
    // All die while the parent is suspended: one CHLD stands for all of them.
    let mut fixture = Fixture::ready("workers=8");
    fixture.signal(Signal::SIGSTOP);
    for worker in fixture.workers(8) {
        send(worker, Signal::SIGKILL);
    }
    eventually("eight zombies wait", || fixture.zombies().len() == 8);
    fixture.signal(Signal::SIGCONT);
    eventually("none is left", || fixture.zombies().is_empty());
    fixture.workers(8);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

fn is_alive(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}
