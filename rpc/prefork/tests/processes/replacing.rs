//! Real processes: rolling restarts, more and fewer workers, hung workers, workers that fail to boot.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use nix::sys::signal::Signal;

use crate::support::{Fixture, Over, ask, eventually};

#[test]
fn hup_replaces_every_worker_while_every_client_is_answered() {
    let mut fixture = Fixture::ready("workers=3");
    let (addr, old) = (fixture.addr(), fixture.workers(3));
    let (over, mut new) = (AtomicBool::new(false), Vec::new());
    thread::scope(|scope| {
        let guard = Over(&over);
        let client = scope.spawn(|| {
            let mut answers = BTreeSet::new();
            loop {
                answers.insert(ask(addr));
                if over.load(Relaxed) {
                    return answers;
                }
            }
        });
        fixture.signal(Signal::SIGHUP);
        for pid in &old {
            fixture.line(&format!("(pid {pid}) is due for replacement; starting its successor"));
            new.extend(fixture.workers(1));
            fixture.line(&format!("(pid {pid}) exited with status 0"));
        }
        fixture.line("all 3 workers have been replaced");
        drop(guard);
        let answers = client.join().unwrap();
        assert!(answers.iter().all(|pid| old.contains(pid) || new.contains(pid)), "{answers:?}");
    });
    let running: BTreeSet<_> = fixture.processes().into_iter().collect();
    assert_eq!(running, new.into_iter().collect());
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn term_during_a_rolling_restart_ends_every_process() {
    let mut fixture = Fixture::ready("workers=3 grace=300 mode=ignore-term");
    fixture.signal(Signal::SIGHUP);
    fixture.line("replacing 3 workers");
    fixture.workers(4);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn ttin_and_ttou_change_the_number_of_workers() {
    let mut fixture = Fixture::ready("workers=1");
    fixture.workers(1);
    fixture.signal(Signal::SIGTTIN);
    fixture.line("SIGTTIN: keeping 2 workers from now on");
    let second = fixture.workers(1)[0];
    fixture.line("worker 1 (pid");
    fixture.signal(Signal::SIGTTOU);
    fixture.line("SIGTTOU: keeping 1 workers from now on");
    fixture.line(&format!("worker 1 (pid {second}) exited with status 0"));
    eventually("one is left", || fixture.processes().len() == 1);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn usr1_runs_the_hook_in_the_parent_and_no_worker_is_lost() {
    let mut fixture = Fixture::ready("workers=1");
    for _ in 0..3 {
        fixture.signal(Signal::SIGUSR1);
        fixture.line("> usr1");
    }
    assert_eq!(fixture.processes(), fixture.workers(1));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn usr1_is_passed_on_to_every_worker() {
    let mut fixture = Fixture::ready("workers=2");
    let mut workers = fixture.workers(2);
    fixture.signal(Signal::SIGUSR1);
    let mut told =
        [0; 2].map(|_| fixture.line("> worker's usr1 ").rsplit(' ').next().unwrap().parse().unwrap());
    workers.sort_unstable();
    told.sort_unstable();
    assert_eq!(workers, told);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_worker_with_too_much_memory_is_replaced_while_it_serves() {
    let mut fixture = Fixture::ready("workers=1 mode=grow healthy-after=0 max-memory=50000000");
    let (addr, first) = (fixture.addr(), fixture.workers(1)[0]);
    assert_eq!(ask(addr), first);
    let log = fixture.line(&format!("(pid {first}) has "));
    assert!(log.ends_with(" MiB of memory, more than allowed"), "{log}");
    let second = fixture.workers(1)[0];
    fixture.line(&format!("(pid {first}) exited with status 0"));
    assert_eq!(fixture.processes(), [second]);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_hung_worker_is_aborted_and_replaced_but_one_with_heartbeats_is_not() {
    let mut fixture = Fixture::ready("workers=1 mode=hang grace=200 heartbeat-timeout=300");
    let hung = fixture.workers(1)[0];
    fixture.line(&format!("(pid {hung}) has been silent for 0.3 s; aborting it"));
    fixture.line(&format!("(pid {hung}) killed by signal 6"));
    fixture.workers(1);
    fixture.signal(Signal::SIGQUIT);
    assert!(fixture.ends().success());

    let mut fixture = Fixture::ready("workers=1 heartbeat-timeout=2000 max-age=3000");
    let beating = fixture.workers(1)[0];
    // Its maximum age is longer than the heartbeat timeout.
    fixture.line(&format!("(pid {beating}) is due for replacement; starting its successor"));
    fixture.line(&format!("(pid {beating}) exited with status 0"));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_worker_that_survives_abrt_is_killed() {
    let mut fixture = Fixture::start("workers=1 mode=stopped grace=200 boot-timeout=300");
    let stopped = fixture.workers(1)[0];
    fixture.line("aborting it");
    fixture.line(&format!("(pid {stopped}) did not exit in time; killing it"));
    fixture.line(&format!("(pid {stopped}) killed by signal 9"));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_worker_that_is_not_ready_after_the_boot_timeout_counts_as_hung() {
    let mut fixture =
        Fixture::start("workers=1 mode=never-ready grace=200 heartbeat-timeout=100 boot-timeout=400");
    fixture.line("has been silent for 0.4 s; aborting it");
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_worker_that_retires_is_replaced() {
    let mut fixture = Fixture::ready("workers=1 mode=retire");
    let (addr, first) = (fixture.addr(), fixture.workers(1)[0]);
    assert_eq!(ask(addr), first);
    fixture.workers(1);
    fixture.line(&format!("(pid {first}) exited with status 0"));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_service_that_fails_to_boot_ends_with_the_last_words_of_a_worker() {
    let mut fixture = Fixture::start("workers=2 mode=refuse boot-failures=3");
    fixture.line("failed to boot 3 times in a row and no worker serves; giving up");
    let error = fixture.line("> error: no worker becomes ready: the last one, worker ");
    assert!(error.ends_with("exited with status 3: the database is not there"), "{error}");
    assert_eq!(fixture.ends().code(), Some(1));

    let mut fixture = Fixture::start("workers=1 mode=panic boot-failures=1");
    let error = fixture.line("> error: no worker becomes ready");
    assert!(error.ends_with("exited with status 101: panicked: as the test asked"), "{error}");
    assert_eq!(fixture.ends().code(), Some(1));
}
