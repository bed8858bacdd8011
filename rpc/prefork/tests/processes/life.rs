//! Workers that serve, die, hang and stop, and parents that are killed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal};

use crate::support::{Fixture, ask, eventually, is_free, send};

#[test]
fn workers_share_a_port_and_term_ends_them_all_gracefully() {
    let mut fixture = Fixture::ready("workers=3");
    let (addr, workers) = (fixture.addr(), fixture.workers(3));
    assert!(workers.contains(&ask(addr)));
    fixture.signal(Signal::SIGTERM);
    for _ in 0..3 {
        assert!(fixture.line("> leaving").ends_with("Graceful"));
    }
    assert!(fixture.ends().success());
    fixture.line("> stopped");
    fixture.line("INFO stopped; no child is left");
    assert!(is_free(addr));
}

#[test]
fn int_and_quit_stop_quickly() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let mut fixture = Fixture::ready("workers=2");
        fixture.signal(signal);
        for _ in 0..2 {
            assert!(fixture.line("> leaving").ends_with("Quick"));
        }
        assert!(fixture.ends().success());
    }
}

#[test]
fn a_killed_worker_gets_a_helper_and_a_successor_while_the_others_serve() {
    let mut fixture = Fixture::ready("workers=2");
    let (addr, workers) = (fixture.addr(), fixture.workers(2));
    send(workers[0], Signal::SIGKILL);
    let helper = fixture.line("> helper");
    assert!(helper.ends_with(&format!("{0} session-of-{0} killed by signal 9", workers[0])), "{helper}");
    let log = fixture.line("killed by signal 9 after");
    let (head, tail) = log.split_once(" after ").unwrap();
    assert!(head.contains(&format!("(pid {}) killed", workers[0])), "{log}");
    assert!(tail.contains(" s; restarting in 0."), "{log}");
    let new = fixture.workers(1)[0];
    eventually("both workers answer", || {
        BTreeSet::from([ask(addr), ask(addr), ask(addr), ask(addr)]) == BTreeSet::from([workers[1], new])
    });
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
    assert!(is_free(addr));
}

#[test]
fn the_log_tells_the_signal_of_every_death() {
    let mut fixture = Fixture::ready("workers=1");
    let mut pid = fixture.workers(1)[0];
    for signal in [libc::SIGABRT, libc::SIGILL, libc::SIGPROF, libc::SIGRTMIN() + 3] {
        // SAFETY: `kill` touches no memory; nix has no name for real-time signals.
        unsafe { libc::kill(pid, signal) };
        fixture.line(&format!("(pid {pid}) killed by signal {signal} after"));
        pid = fixture.workers(1)[0];
    }
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_worker_that_does_not_exit_in_time_is_killed_and_gets_a_helper() {
    let mut fixture = Fixture::ready("workers=2 grace=200 mode=ignore-term");
    fixture.signal(Signal::SIGTERM);
    for _ in 0..2 {
        fixture.line("did not exit in time; killing it");
        fixture.line("> helper");
    }
    assert!(fixture.ends().success());
}

#[test]
fn a_second_signal_kills_before_the_grace_period_is_over() {
    let mut fixture = Fixture::ready("workers=2 grace=600000 mode=hang");
    fixture.signal(Signal::SIGTERM);
    fixture.line("SIGTERM: stopping 2 workers gracefully");
    fixture.signal(Signal::SIGINT);
    fixture.line("SIGINT while stopping: killing 2 workers");
    assert!(fixture.ends().success());
}

#[test]
fn a_third_signal_kills_helpers_too() {
    let mut fixture = Fixture::ready("workers=1 grace=600000 helper-timeout=600000 mode=hang helper=hang");
    let steps = [
        (Signal::SIGINT, "stopping 1 workers"),
        (Signal::SIGTERM, "> helper"),
        (Signal::SIGINT, "not waiting for helpers"),
    ];
    for (signal, line) in steps {
        fixture.signal(signal);
        fixture.line(line);
    }
    assert!(fixture.ends().success());
}

#[test]
fn a_hung_helper_is_killed_and_not_replaced() {
    let mut fixture = Fixture::ready("workers=1 helper=hang helper-timeout=100");
    send(fixture.workers(1)[0], Signal::SIGKILL);
    fixture.line("helper for worker 0");
    let log = fixture.line("WARN helper (pid");
    assert!(log.contains("for worker 0 killed by signal 9"), "{log}");
    fixture.workers(1);
    eventually("only the new worker is left", || fixture.processes().len() == 1);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_worker_that_fails_to_boot_is_retried_until_the_parent_is_stopped() {
    let mut fixture = Fixture::start("workers=2 mode=refuse");
    fixture.workers(6);
    let log = fixture.line("exited with status 3 after");
    assert!(log.contains("; restarting in 0."), "{log}");
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_panic_of_a_worker_is_an_exit_status() {
    let mut fixture = Fixture::start("workers=1 mode=panic");
    fixture.line("exited with status 101 after");
    fixture.workers(2);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn children_of_a_worker_die_with_it_when_it_crashes_and_when_it_stops() {
    let mut fixture = Fixture::ready("workers=1 mode=children");
    eventually("a worker and three children run", || fixture.processes().len() == 4);
    let first = fixture.workers(1)[0];
    send(first, Signal::SIGKILL);
    fixture.workers(1);
    fixture.line("ready after");
    eventually("the first generation is gone", || fixture.processes().len() == 4);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_foreign_orphan_is_reaped_and_not_counted() {
    let mut fixture = Fixture::ready("workers=1 mode=orphans subreaper=1");
    let workers = fixture.workers(1);
    // An orphan may still be running. At its end it has no environment any more, so is no longer among these.
    eventually("orphans end", || fixture.processes() == workers);
    eventually("orphans are reaped", || fixture.zombies().is_empty());
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn workers_stop_gracefully_when_the_parent_is_killed() {
    let mut fixture = Fixture::ready("workers=3");
    let addr = fixture.addr();
    fixture.signal(Signal::SIGKILL);
    for _ in 0..3 {
        assert!(fixture.line("> leaving").ends_with("Graceful"));
    }
    assert!(!fixture.ends().success());
    // The kernel may close the last descriptors of a worker a moment after its end.
    eventually("the port is free", || is_free(addr));
}

#[test]
fn a_worker_whose_parent_died_before_its_set_up_stops() {
    let mut fixture = Fixture::start("workers=1 late-child=1");
    fixture.line("> forked");
    fixture.signal(Signal::SIGKILL);
    fixture.line("> no parent");
    assert!(fixture.line("> leaving").ends_with("Graceful"));
    assert!(!fixture.ends().success());
}

#[test]
fn as_pid_1_it_reaps_foreign_orphans() {
    let program = env!("CARGO_BIN_EXE_prefork-fixture");
    let args = format!(
        "--user --map-root-user --pid --fork --kill-child --mount-proc {program} workers=2 mode=orphans"
    );
    let mut fixture = Fixture::start_program("unshare", &args);
    assert_eq!(fixture.parent(), 1);
    let addr = fixture.addr();
    fixture.line("> ready ");
    // These pids are those within the namespace.
    let workers = fixture.workers(2);
    let parent = fixture.only_child();
    assert!(workers.contains(&ask(addr)));
    // The two orphans of each worker are gone.
    eventually("the parent and two workers run", || fixture.processes().len() == 3);
    send(parent, Signal::SIGUSR2);
    fixture.line("cannot fork new program: this is PID 1, and every process ends with it");
    assert!(workers.contains(&ask(addr)));
    send(parent, Signal::SIGTERM);
    fixture.line("> stopped");
    assert!(fixture.ends().success());
}

#[test]
fn hung_workers_and_their_children_die_after_the_grace_period_if_the_parent_was_killed() {
    let mut fixture = Fixture::ready("workers=2 grace=500 mode=hang");
    fixture.signal(Signal::SIGKILL);
    assert!(!fixture.ends().success());

    let mut fixture = Fixture::ready("workers=1 mode=children");
    fixture.signal(Signal::SIGKILL);
    assert!(!fixture.ends().success());
}

#[test]
fn a_parent_with_threads_does_not_fork() {
    let mut fixture = Fixture::start("threads=1");
    fixture.line("error: cannot fork: the parent has 2 threads; start threads and runtimes in the workers");
    assert_eq!(fixture.ends().code(), Some(1));
}

#[test]
fn a_thread_that_starts_later_stops_the_service_at_the_next_fork() {
    let mut fixture = Fixture::ready("workers=2 late-threads=1");
    let workers = fixture.workers(2);
    send(workers[0], Signal::SIGKILL);
    fixture.line("cannot fork any more: stopping");
    fixture.line(&format!("(pid {}) exited with status 0", workers[1]));
    fixture.line("error: cannot fork: the parent has 2 threads");
    assert_eq!(fixture.ends().code(), Some(1));
}

#[test]
fn a_taken_port_is_a_clear_error() {
    let mut first = Fixture::ready("workers=1");
    let addr = first.addr();
    let mut second = Fixture::start(&format!("listen={addr}"));
    second.line(&format!(
        "error: cannot listen on {addr}: the address is in use; stop the process that has it"
    ));
    assert_eq!(second.ends().code(), Some(1));
    first.signal(Signal::SIGTERM);
    assert!(first.ends().success());
}

#[test]
fn ignored_and_blocked_signals_of_its_own_parent_have_no_effect() {
    let mut fixture = Fixture::start_with("workers=2", |command| {
        let prepare = || {
            // SAFETY: sets an action without a handler.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            // SAFETY: as before.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
            Ok(SigSet::all().thread_block()?)
        };
        // SAFETY: between fork and exec only system calls are made.
        unsafe { command.pre_exec(prepare) };
    });
    fixture.line("> ready");
    let workers = fixture.workers(2);
    send(workers[0], Signal::SIGKILL);
    fixture.workers(1);
    // The workers' masks are empty again: this signal is not blocked.
    send(workers[1], Signal::SIGVTALRM);
    fixture.line(&format!("(pid {}) killed by signal 26", workers[1]));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn no_worker_holds_a_descriptor_of_the_parent_or_of_a_sibling() {
    let mut fixture = Fixture::ready("workers=4");
    let open = |pid: &i32| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let workers = fixture.workers(4);
    let counts: BTreeSet<_> = workers.iter().map(open).collect();
    assert_eq!(counts.len(), 1, "the last worker inherits more than the first: {counts:?}");
    let parents = open(&fixture.pid());
    for pid in workers {
        send(pid, Signal::SIGKILL);
        fixture.line("> helper");
    }
    let again: BTreeSet<_> = fixture.workers(4).iter().map(open).collect();
    assert_eq!(again, counts);
    eventually("the parent has as many descriptors as before", || open(&fixture.pid()) == parents);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_fork_without_free_processes_is_logged_and_retried() {
    // As root: a user without other processes. As another user: a user that is alone in a namespace.
    // SAFETY: it only returns a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    let program = env!("CARGO_BIN_EXE_prefork-fixture");
    let args = format!("--user prlimit --nproc=2 {program} workers=2");
    let mut fixture = match is_root {
        true => Fixture::start_program("setpriv", &args.replace("--user", "--reuid 54321 --clear-groups")),
        false => Fixture::start_program("unshare", &args),
    };
    fixture.workers(1);
    for _ in 0..2 {
        let log = fixture
            .line("WARN cannot fork worker 1: no resources left for now; check the limit of processes");
        assert!(log.contains("(EAGAIN); trying again in"), "{log}");
    }
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_fork_without_free_descriptors_is_logged_and_retried() {
    let mut fixture = Fixture::start_with("workers=4", |command| {
        let limit = libc::rlimit { rlim_cur: 11, rlim_max: 11 };
        // SAFETY: between fork and exec only these system calls are made; the second only reads `limit`.
        unsafe {
            command.pre_exec(move || {
                // Descriptors that the test itself has inherited must not count.
                let (all, flag) = (libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
                Errno::result(libc::syscall(libc::SYS_close_range, 3, all, flag))?;
                Errno::result(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit))?;
                Ok(())
            })
        };
    });
    fixture.workers(1);
    for _ in 0..2 {
        let log = fixture.line("WARN cannot fork worker");
        assert!(
            log.contains("too many open files; raise its limit (ulimit -n) (EMFILE); trying again in"),
            "{log}"
        );
    }
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}
