//! Pauses before slots are filled again, and services that are never given up.

use std::collections::BTreeSet;

use super::world::{World, config, ready_world};
use crate::supervisor::*;

#[test]
fn a_worker_that_served_is_replaced_in_its_slot_at_once() {
    for lived in [100, 3_200, 60_000] {
        let mut world = ready_world(2);
        world.advance(lived);
        world.exit(world.worker(1), Exit::Signal(9));
        assert_eq!(world.slots(), [0, 1], "after {lived} ms");
    }
    let mut world = ready_world(2);
    world.advance(3_200);
    world.exit(world.worker(1), Exit::Signal(9));
    let line = "worker 1 (pid 7) killed by signal 9 after 3.2 s; restarting in 0.0 s";
    assert!(world.log.iter().any(|logged| logged == line), "{:?}", world.log);
}

/// Kills all workers again and again for 30 s, and returns the time in which none served.
fn time_without_workers(workers: u32, kill_every: u64, boot: u64) -> u64 {
    let mut world = World::new(Config { backoff_max: Millis(30_000), ..config(workers) });
    let mut without = 0;
    for ms in 0..30_000_u64 {
        if ms % kill_every == kill_every - 1 {
            for id in world.workers.keys().copied().collect::<Vec<_>>() {
                world.exit(id, Exit::Signal(9));
            }
        }
        for (id, child) in world.core.children.clone() {
            if child.is_worker() && !child.is_ready() && world.now.since(child.started) >= Millis(boot) {
                world.becomes_ready(id);
            }
        }
        without += u64::from(!world.core.children.values().any(Child::is_ready));
        world.advance(1);
    }
    without
}

#[test]
fn a_service_whose_workers_are_all_killed_often_is_away_only_while_they_boot() {
    for workers in [1, 4] {
        let without = time_without_workers(workers, 300, 10);
        assert!(without <= 100 * 11, "{workers} workers: {without} ms of 30 s without a worker");
    }
}

#[test]
fn workers_that_die_as_soon_as_they_are_ready_do_not_keep_the_machine_busy() {
    let mut world = World::new(Config { backoff_max: Millis(30_000), ..config(1) });
    while world.now < Millis(31_000) {
        world.all_become_ready();
        if let Some(id) = world.workers.keys().next().copied() {
            world.exit(id, Exit::Status(0));
        }
        assert!(world.core.poll_deadline().unwrap().since(world.now) <= Millis(1_000));
        world.let_time_pass();
    }
    assert!((25..100).contains(&world.spawned), "{} starts in 30 s", world.spawned);
    // A worker that serves ends the pauses.
    while world.workers.is_empty() {
        world.let_time_pass();
    }
    world.all_become_ready();
    world.advance(100);
    world.exit(world.worker(0), Exit::Status(1));
    assert_eq!(world.workers.len(), 1);
}

/// Returns the pauses after `n` workers that die in slot 1 before they are ready.
fn pauses(world: &mut World, n: usize) -> Vec<u64> {
    let pause = |_| {
        world.exit(world.worker(1), Exit::Status(1));
        let restart = world.core.slots[1].start_at;
        let pause = restart.since(world.now).0;
        world.now = restart;
        world.input(Input::Timeout);
        pause
    };
    (0..n).map(pause).collect()
}

fn assert_doubling(limit: u64, pauses: &[u64]) {
    for (n, pause) in pauses.iter().enumerate() {
        let most = (100 << n).min(limit);
        assert!((most / 2..=most).contains(pause), "{pauses:?}");
    }
}

#[test]
fn pauses_double_up_to_the_limit_while_another_worker_serves() {
    let mut world = World::new(config(2));
    world.becomes_ready(world.worker(0));
    assert_doubling(5_000, &pauses(&mut world, 9));
    // A worker that serves ends the streak.
    world.all_become_ready();
    world.advance(100);
    world.exit(world.worker(1), Exit::Status(1));
    assert_doubling(5_000, &pauses(&mut world, 3));
}

#[test]
fn pauses_are_at_most_a_second_while_no_worker_serves() {
    let mut world = World::new(config(2));
    assert_doubling(1_000, &pauses(&mut world, 9));
}

#[test]
fn a_long_pause_shrinks_to_a_second_when_the_last_worker_dies() {
    let mut world = World::new(Config { backoff_max: Millis(30_000), ..config(2) });
    world.becomes_ready(world.worker(0));
    pauses(&mut world, 10);
    world.exit(world.worker(1), Exit::Status(1));
    assert!(world.core.slots[1].start_at.since(world.now) > Millis(10_000));
    world.exit(world.worker(0), Exit::Signal(9));
    assert!(world.core.slots[1].start_at.since(world.now) <= Millis(1_000));
}

#[test]
fn a_suspended_worker_is_reported_and_does_not_count_as_serving() {
    let mut world = World::new(Config { backoff_max: Millis(30_000), ..config(2) });
    world.becomes_ready(world.worker(0));
    pauses(&mut world, 10);
    world.exit(world.worker(1), Exit::Status(1));
    let suspended = world.worker(0);
    world.input(Input::Suspended(suspended, Some(19)));
    world.input(Input::Suspended(suspended, Some(19)));
    let line = "worker 0 (pid 7) was suspended by signal 19; it serves again after SIGCONT";
    assert_eq!(world.log.iter().filter(|logged| *logged == line).count(), 1, "{:?}", world.log);
    assert!(world.core.slots[1].start_at.since(world.now) <= Millis(1_000));
    assert_eq!(world.core.status(world.now)[0].state, "stopped by a signal");
    world.input(Input::Suspended(suspended, None));
    assert_eq!(world.log.last().unwrap(), "worker 0 (pid 7) runs again");
    assert!(world.core.is_serving() && world.asked.is_empty());
}

#[test]
fn no_configuration_retries_without_a_pause() {
    let mut world = World::new(Config { backoff_min: Millis(0), backoff_max: Millis(0), ..config(1) });
    for _ in 0..100 {
        world.exit(world.worker(0), Exit::Status(1));
        world.let_time_pass();
    }
    assert!(world.now >= Millis(1_500), "{:?}", world.now);
}

#[test]
fn workers_that_die_together_are_restarted_at_different_times() {
    let mut world = ready_world(8);
    for slot in 0..8 {
        world.exit(world.worker(slot), Exit::Signal(11));
    }
    let starts: BTreeSet<_> = world.core.slots.iter().map(|slot| slot.start_at).collect();
    assert!(starts.len() > 4, "{starts:?}");
}

#[test]
fn a_failed_fork_is_retried_after_a_pause() {
    let mut world = ready_world(1);
    world.advance(1_000);
    world.failing_forks = 3;
    world.input(Input::Noted(world.worker(0), false));
    world.exit(world.worker(0), Exit::Status(3));
    assert!(world.log.last().unwrap().starts_with("cannot fork worker 0: no resources; trying again in 0."));
    for _ in 0..2 {
        world.let_time_pass();
        assert!(world.workers.is_empty());
    }
    world.let_time_pass();
    assert_eq!(world.workers.len(), 1);
}

#[test]
fn a_service_that_has_served_is_never_given_up() {
    let mut world = World::new(Config { boot_failures: 2, ..config(1) });
    world.exit(world.worker(0), Exit::Status(3));
    world.let_time_pass();
    world.all_become_ready();
    for _ in 0..100 {
        world.exit(world.worker(0), Exit::Status(3));
        while world.workers.is_empty() {
            world.let_time_pass();
        }
    }
    assert!(!world.gave_up);
}
