//! Workers that serve, die, hang and leave, and parents that are killed.

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
fn a_killed_worker_is_cleaned_up_after_and_replaced_while_the_others_stay() {
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
fn every_kind_of_death_is_told_as_what_it_was() {
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
fn a_worker_that_does_not_leave_is_killed_after_the_grace_and_cleaned_up_after() {
    let mut fixture = Fixture::ready("workers=2 grace=200 mode=ignore-term");
    fixture.signal(Signal::SIGTERM);
    for _ in 0..2 {
        fixture.line("did not leave in time; killing it");
        fixture.line("> helper");
    }
    assert!(fixture.ends().success());
}

#[test]
fn a_second_signal_does_not_wait_for_the_grace() {
    let mut fixture = Fixture::ready("workers=2 grace=600000 mode=hang");
    fixture.signal(Signal::SIGTERM);
    fixture.line("SIGTERM: stopping 2 workers gracefully");
    fixture.signal(Signal::SIGINT);
    fixture.line("SIGINT while stopping: killing 2 workers");
    assert!(fixture.ends().success());
}

#[test]
fn a_third_signal_does_not_wait_for_helpers_either() {
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
fn a_helper_that_hangs_is_killed_and_nobody_takes_its_place() {
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
fn a_worker_that_refuses_to_boot_is_tried_again_until_the_parent_is_stopped() {
    let mut fixture = Fixture::start("workers=2 mode=refuse");
    fixture.workers(6);
    let log = fixture.line("exited with status 3 after");
    assert!(log.contains("; restarting in 0."), "{log}");
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_panic_is_a_status_and_not_the_parents_end() {
    let mut fixture = Fixture::start("workers=1 mode=panic");
    fixture.line("exited with status 101 after");
    fixture.workers(2);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn children_of_a_worker_go_with_it_when_it_crashes_and_when_it_leaves() {
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
fn a_strangers_child_is_reaped_and_not_counted() {
    let mut fixture = Fixture::ready("workers=1 mode=orphans subreaper=1");
    eventually("orphans are reaped", || fixture.zombies().is_empty());
    assert_eq!(fixture.processes(), fixture.workers(1));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn workers_drain_and_leave_when_the_parent_is_killed() {
    let mut fixture = Fixture::ready("workers=3");
    let addr = fixture.addr();
    fixture.signal(Signal::SIGKILL);
    for _ in 0..3 {
        assert!(fixture.line("> leaving").ends_with("Graceful"));
    }
    assert!(!fixture.ends().success());
    // The workers are on their way out, but nobody has waited for their last descriptors.
    eventually("the port is free", || is_free(addr));
}

#[test]
fn a_worker_whose_parent_died_before_the_kernel_knew_that_it_wants_to_hear_of_it_leaves() {
    let mut fixture = Fixture::start("workers=1 late-child=1");
    fixture.line("> forked");
    fixture.signal(Signal::SIGKILL);
    fixture.line("> nobody to tell");
    assert!(fixture.line("> leaving").ends_with("Graceful"));
    assert!(!fixture.ends().success());
}

#[test]
fn it_runs_as_pid_1_and_reaps_what_is_left_to_it() {
    let program = env!("CARGO_BIN_EXE_prefork-fixture");
    let args = format!(
        "--user --map-root-user --pid --fork --kill-child --mount-proc {program} workers=2 mode=orphans"
    );
    let mut fixture = Fixture::start_program("unshare", &args);
    assert_eq!(fixture.parent(), 1);
    let addr = fixture.addr();
    fixture.line("> ready ");
    // Within the namespace, so these are not the pids that we see.
    let workers = fixture.workers(2);
    let parent = fixture.only_child();
    assert!(workers.contains(&ask(addr)));
    // Nobody is left of the two orphans of each worker.
    eventually("the parent and two workers run", || fixture.processes().len() == 3);
    send(parent, Signal::SIGUSR2);
    fixture.line("cannot fork new program: this is PID 1, and everything ends with it");
    assert!(workers.contains(&ask(addr)));
    send(parent, Signal::SIGTERM);
    fixture.line("> stopped");
    assert!(fixture.ends().success());
}

#[test]
fn workers_that_hang_and_their_children_go_after_the_grace_though_the_parent_was_killed() {
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
fn a_thread_that_comes_later_stops_the_service_when_it_would_have_to_fork() {
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
fn it_works_when_its_own_parent_ignored_chld_and_blocked_the_signals() {
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
    // The workers' own masks are clean again: this one is not blocked.
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
    assert_eq!(counts.len(), 1, "the last one inherits more than the first: {counts:?}");
    let parents = open(&fixture.pid());
    for pid in workers {
        send(pid, Signal::SIGKILL);
        fixture.line("> helper");
    }
    let again: BTreeSet<_> = fixture.workers(4).iter().map(open).collect();
    assert_eq!(again, counts);
    eventually("the parent holds what it held", || open(&fixture.pid()) == parents);
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn running_out_of_processes_is_said_and_tried_again() {
    // A user of its own, who has no other process; for who is not root, one that is alone in a namespace.
    // SAFETY: it only gives a number.
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
fn running_out_of_descriptors_is_said_and_tried_again() {
    let mut fixture = Fixture::start_with("workers=4", |command| {
        let limit = libc::rlimit { rlim_cur: 11, rlim_max: 11 };
        // SAFETY: between fork and exec only these system calls are made; the second only reads `limit`.
        unsafe {
            command.pre_exec(move || {
                // What the test has inherited itself is not to be counted.
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
