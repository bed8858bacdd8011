//! The core under hand-written histories, random ones and all short ones, in a world of its own: no process, no clock.

mod exhaustive;
mod random;
mod replacing;
mod upgrade;
mod world;

use super::*;
use std::collections::BTreeSet;
use world::{World, config, ready_world};

#[test]
fn all_workers_start_at_once_and_readiness_is_told_once() {
    let mut world = World::new(config(3));
    assert_eq!(world.slots(), [0, 1, 2]);
    assert_eq!(world.all_ready, 0);
    world.all_become_ready();
    world.all_become_ready();
    assert_eq!(world.all_ready, 1);
}

#[test]
fn a_dead_worker_is_replaced_in_its_slot_after_a_pause() {
    let mut world = ready_world(2);
    world.advance(3_200);
    world.exit(world.worker(1), Exit::Signal(9));
    assert_eq!(world.workers.len(), 1);
    let restart = world.core.poll_deadline().unwrap();
    assert!((50..=100).contains(&restart.since(world.now).0), "{restart:?}");
    assert_eq!(
        world.log.last().unwrap(),
        "worker 1 (pid 7) killed by signal 9 after 3.2 s; restarting in 0.1 s"
    );
    world.advance(100);
    assert_eq!(world.slots(), [0, 1]);
}

#[test]
fn pauses_double_up_to_the_limit_until_a_worker_stays_healthy() {
    let mut world = World::new(config(1));
    let mut pauses = Vec::new();
    for _ in 0..9 {
        world.exit(world.worker(0), Exit::Status(1));
        let restart = world.core.poll_deadline().unwrap();
        pauses.push(restart.since(world.now).0);
        world.now = restart;
        world.event(Event::Timeout);
    }
    for (pause, most) in pauses.iter().zip([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]) {
        assert!((most / 2..=most).contains(pause), "{pauses:?}");
    }
    world.all_become_ready();
    world.advance(10_000);
    world.exit(world.worker(0), Exit::Status(1));
    assert!(world.core.poll_deadline().unwrap().since(world.now).0 <= 100);
}

#[test]
fn workers_that_die_together_come_back_apart() {
    let mut world = ready_world(8);
    for slot in 0..8 {
        world.exit(world.worker(slot), Exit::Signal(11));
    }
    let starts: BTreeSet<_> = world.core.slots.iter().map(|slot| slot.start_at).collect();
    assert!(starts.len() > 4, "{starts:?}");
}

#[test]
fn a_worker_that_dies_uncleanly_with_a_note_gets_a_helper_and_others_do_not() {
    let mut world = ready_world(3);
    world.exit(world.worker(0), Exit::Status(0));
    assert!(world.helpers.is_empty());
    let taken_back = world.worker(1);
    world.event(Event::Noted(taken_back, false));
    world.exit(taken_back, Exit::Signal(9));
    assert!(world.helpers.is_empty());
    world.exit(world.worker(2), Exit::Status(1));
    assert_eq!(world.helpers.len(), 1);
}

#[test]
fn a_helper_that_hangs_is_killed_and_is_never_taken_for_a_worker() {
    let mut world = ready_world(1);
    world.exit(world.worker(0), Exit::Signal(9));
    let helper = *world.helpers.first().unwrap();
    world.event(Event::Ready(helper));
    world.event(Event::Noted(helper, true));
    world.advance(5_000);
    assert!(world.killed.contains(&helper));
    world.exit(helper, Exit::Signal(9));
    assert!(world.helpers.is_empty(), "a helper for a helper");
    assert_eq!(world.workers.len(), 1);
}

#[test]
fn term_asks_gracefully_and_kills_when_the_grace_is_over() {
    let mut world = ready_world(2);
    world.signal(Request::Terminate);
    assert_eq!(world.asked.values().copied().collect::<Vec<_>>(), [Stop::Graceful; 2]);
    world.exit(world.worker(0), Exit::Status(0));
    world.advance(29_999);
    assert!(world.killed.is_empty());
    world.advance(1);
    assert_eq!(world.killed.len(), 1);
    world.exit(world.worker(1), Exit::Signal(9));
    assert!(!world.exited, "the helper for the killed worker still runs");
    world.exit(*world.helpers.first().unwrap(), Exit::Status(0));
    assert!(world.exited);
}

#[test]
fn int_and_quit_are_quick() {
    for request in [Request::Interrupt, Request::Quit] {
        let mut world = ready_world(1);
        world.signal(request);
        assert_eq!(world.asked.values().copied().collect::<Vec<_>>(), [Stop::Quick]);
        world.advance(2_000);
        assert_eq!(world.killed.len(), 1);
    }
}

#[test]
fn a_second_signal_kills_the_workers_and_a_third_the_helpers() {
    let mut world = ready_world(2);
    world.exit(world.worker(0), Exit::Signal(11));
    world.signal(Request::Terminate);
    world.signal(Request::Interrupt);
    let (worker, helper) = (world.worker(1), *world.helpers.first().unwrap());
    assert_eq!(world.killed, BTreeSet::from([worker]));
    world.signal(Request::Terminate);
    assert_eq!(world.killed, BTreeSet::from([worker, helper]));
    world.exit(worker, Exit::Signal(9));
    assert_eq!(world.helpers.len(), 1, "no new helper for the worker");
    world.exit(helper, Exit::Signal(9));
    assert!(world.exited);
}

#[test]
fn a_request_that_comes_twice_at_once_is_one_request() {
    let mut world = ready_world(1);
    world.signal(Request::Terminate);
    world.advance(99);
    world.signal(Request::Terminate);
    assert!(world.killed.is_empty(), "as `timeout` signals, a process and then its group");
    world.advance(100);
    world.signal(Request::Terminate);
    assert_eq!(world.killed.len(), 1);
}

#[test]
fn a_stop_in_the_middle_of_a_pause_starts_nobody() {
    let mut world = ready_world(1);
    world.event(Event::Noted(world.worker(0), false));
    world.exit(world.worker(0), Exit::Status(3));
    world.signal(Request::Terminate);
    assert!(world.exited);
    assert_eq!(world.core.poll_deadline(), None);
}

#[test]
fn a_fork_that_fails_is_tried_again_after_a_pause() {
    let mut world = ready_world(1);
    world.failing_forks = 2;
    world.event(Event::Noted(world.worker(0), false));
    world.exit(world.worker(0), Exit::Status(3));
    world.let_time_pass();
    assert!(world.log.last().unwrap().starts_with("cannot fork worker 0: no resources; trying again in 0."));
    world.let_time_pass();
    assert!(world.workers.is_empty());
    world.let_time_pass();
    assert_eq!(world.workers.len(), 1);
}

#[test]
fn a_parent_that_must_not_fork_any_more_stops_gracefully_however_often_it_finds_out() {
    let mut world = ready_world(2);
    world.signal(Request::CannotFork);
    world.signal(Request::CannotFork);
    assert_eq!(world.asked.values().copied().collect::<Vec<_>>(), [Stop::Graceful; 2]);
    assert!(world.killed.is_empty());
}
