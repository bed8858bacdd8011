//! The core under hand-written histories, random ones and all short ones, in a simulated system without processes or clock.

mod exhaustive;
mod pauses;
mod random;
mod replacing;
mod upgrade;
mod world;

use std::collections::BTreeSet;

use super::*;
use world::{World, config, ready_world};

#[test]
fn all_workers_start_at_once_and_readiness_is_announced_once() {
    let mut world = World::new(config(3));
    assert_eq!(world.slots(), [0, 1, 2]);
    assert_eq!(world.all_ready, 0);
    world.all_become_ready();
    world.all_become_ready();
    assert_eq!(world.all_ready, 1);
}

#[test]
fn a_dead_worker_with_a_note_gets_a_helper_unless_it_was_asked_to_stop_and_exited_with_0() {
    let mut world = ready_world(4);
    let taken_back = world.worker(1);
    world.input(Input::Noted(taken_back, false));
    world.exit(taken_back, Exit::Signal(9));
    assert!(world.helpers.is_empty());
    world.exit(world.worker(2), Exit::Status(1));
    assert_eq!(world.helpers.len(), 1);
    // It was not asked to stop: some code in it has called `exit(0)`.
    world.exit(world.worker(0), Exit::Status(0));
    assert_eq!(world.helpers.len(), 2);
    world.signal(Request::Terminate);
    world.exit(world.worker(3), Exit::Status(0));
    assert_eq!(world.helpers.len(), 2);
}

#[test]
fn status_0_before_readiness_is_a_failure_to_boot() {
    let mut world = World::new(Config { boot_failures: 2, ..config(1) });
    world.exit(world.worker(0), Exit::Status(0));
    world.let_time_pass();
    world.exit(world.worker(0), Exit::Status(0));
    assert!(world.gave_up);
}

#[test]
fn a_hung_helper_is_killed_and_never_counts_as_a_worker() {
    let mut world = ready_world(1);
    world.exit(world.worker(0), Exit::Signal(9));
    let helper = *world.helpers.first().unwrap();
    world.input(Input::Ready(helper));
    world.input(Input::Noted(helper, true));
    world.advance(5_000);
    assert!(world.killed.contains(&helper));
    world.exit(helper, Exit::Signal(9));
    assert!(world.helpers.is_empty(), "a helper for a helper");
    assert_eq!(world.workers.len(), 1);
}

#[test]
fn term_asks_gracefully_and_kills_after_the_grace_period() {
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
fn int_and_quit_stop_quickly() {
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
fn the_same_request_twice_at_once_counts_once() {
    let mut world = ready_world(1);
    world.signal(Request::Terminate);
    world.advance(99);
    world.signal(Request::Terminate);
    assert!(world.killed.is_empty(), "`timeout` signals a process and then its group");
    world.advance(100);
    world.signal(Request::Terminate);
    assert_eq!(world.killed.len(), 1);
}

#[test]
fn a_stop_during_a_pause_starts_no_worker() {
    let mut world = ready_world(1);
    world.input(Input::Noted(world.worker(0), false));
    world.exit(world.worker(0), Exit::Status(3));
    world.signal(Request::Terminate);
    assert!(world.exited);
    assert_eq!(world.core.poll_deadline(), None);
}

#[test]
fn a_parent_that_cannot_fork_any_more_stops_gracefully_once() {
    let mut world = ready_world(2);
    world.signal(Request::CannotFork);
    world.signal(Request::CannotFork);
    assert_eq!(world.asked.values().copied().collect::<Vec<_>>(), [Stop::Graceful; 2]);
    assert!(world.killed.is_empty());
}
