//! Random histories of real processes, and a storm of signals. Each failure message contains the seed.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use fastrand::Rng;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Fixture, Over, eventually, is_free, try_ask};

/// Signals that a worker may get.
const TO_WORKERS: [Signal; 7] = [
    Signal::SIGKILL,
    Signal::SIGABRT,
    Signal::SIGTERM,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGCONT,
    Signal::SIGSTOP,
];

/// Signals after which the parent goes on.
const TO_PARENTS: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGTTOU,
    Signal::SIGUSR1,
    Signal::SIGCHLD,
    Signal::SIGCONT,
];

const ENDS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGKILL];

/// Runs 100 histories; `PREFORK_HISTORIES=5000` runs more by hand.
#[test]
fn after_any_history_no_process_is_left_and_the_port_is_free() {
    let count = std::env::var("PREFORK_HISTORIES").map_or(100, |n| n.parse().unwrap());
    // Several at once, because they wait more than they work.
    thread::scope(|scope| {
        for lane in 0..4 {
            scope.spawn(move || (lane..count).step_by(4).for_each(history));
        }
    });
}

fn history(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let end = one_of(&mut rng, &ENDS);
    // A worker that ignores TERM or is suspended does not notice that its parent was killed. A worker that is killed
    // together with its parent leaves its children behind.
    let deaf = end != Signal::SIGKILL;
    let modes = ["serve", "refuse", "panic", "orphans", "hang", "children", "ignore-term"];
    let mode = modes[rng.usize(..if deaf { modes.len() } else { 4 })];
    let helper = if rng.u8(..4) == 0 { "hang" } else { "print" };
    let workers = rng.u32(1..=3);
    let args = format!("workers={workers} mode={mode} helper={helper} grace=100 helper-timeout=100");
    println!("history {seed}: {args}, then {end}");
    let mut fixture = Fixture::start(&args);
    let addr = fixture.addr();
    fixture.workers(1);
    for _ in 0..rng.u8(..12) {
        if rng.bool() {
            fixture.signal(one_of(&mut rng, &TO_PARENTS));
        } else if let Some(pid) = rng.choice(fixture.processes()) {
            let signals = &TO_WORKERS[..TO_WORKERS.len() - usize::from(!deaf)];
            // It may be gone by now.
            let _ = kill(Pid::from_raw(pid), one_of(&mut rng, signals));
        }
        if rng.bool() {
            fixture.anything();
        }
    }
    fixture.signal(end);
    let status = fixture.ends();
    assert_eq!(status.success(), end != Signal::SIGKILL, "{status}");
    eventually("the port is free", || is_free(addr));
}

#[test]
fn a_storm_of_signals_loses_no_worker_and_no_retried_call() {
    let mut rng = Rng::with_seed(11);
    let mut fixture = Fixture::ready("workers=3");
    let addr = fixture.addr();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let guard = Over(&over);
        let client = scope.spawn(|| {
            while !over.load(Relaxed) {
                assert!((0..10).any(|_| try_ask(addr).is_ok()), "ten tries were not enough");
            }
        });
        for n in 0..10_000 {
            fixture.signal(one_of(&mut rng, &TO_PARENTS));
            if n % 500 == 0
                && let Some(pid) = rng.choice(fixture.processes())
            {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        drop(guard);
        client.join().unwrap();
    });
    // Ends with one worker, which serves.
    eventually("one worker is left", || {
        fixture.signal(Signal::SIGTTOU);
        fixture.processes().len() == 1 && try_ask(addr).is_ok()
    });
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

fn one_of(rng: &mut Rng, signals: &[Signal]) -> Signal {
    signals[rng.usize(..signals.len())]
}
