//! Hot upgrades: to a new program that becomes ready, and to others that do not.

use super::world::{World, config, ready_world};
use crate::supervisor::*;

fn upgrading() -> (World, ChildId) {
    let mut world = ready_world(2);
    world.signal(Request::Upgrade);
    let new = *world.programs.first().unwrap();
    (world, new)
}

#[test]
fn a_ready_new_program_takes_over_and_the_old_one_stops_gracefully() {
    let (mut world, new) = upgrading();
    assert!(world.asked.is_empty(), "it is not ready yet");
    world.input(Input::Ready(new));
    assert!(world.handed_over);
    assert_eq!(world.asked.values().copied().collect::<Vec<_>>(), [Stop::Graceful; 2]);
    for id in world.alive().collect::<Vec<_>>() {
        world.exit(id, Exit::Status(0));
    }
    assert!(world.exited);
}

#[test]
fn after_a_new_program_exits_early_the_old_one_serves_and_may_upgrade_again() {
    let (mut world, new) = upgrading();
    world.advance(1_000);
    world.exit(new, Exit::Status(1));
    assert_eq!(
        world.log.last().unwrap(),
        "new program (pid 7) exited with status 1 after 1.0 s before it took over; going on"
    );
    assert!(world.asked.is_empty() && world.workers.len() == 2);
    world.signal(Request::Upgrade);
    assert_eq!(world.programs.len(), 1);
}

#[test]
fn after_a_failed_fork_of_the_new_program_the_old_one_serves() {
    let mut world = ready_world(1);
    world.failing_forks = 1;
    world.signal(Request::Upgrade);
    assert_eq!(world.log.last().unwrap(), "cannot fork new program: no resources");
    assert!(world.asked.is_empty() && world.programs.is_empty());
}

#[test]
fn a_new_program_that_is_not_ready_in_time_is_stopped_then_killed() {
    let (mut world, new) = upgrading();
    world.advance(59_999);
    assert!(!world.asked.contains_key(&new));
    world.advance(1);
    assert_eq!(world.asked[&new], Stop::Quick);
    world.input(Input::Ready(new));
    assert!(!world.handed_over, "too late");
    world.advance(30_000);
    assert!(world.killed.contains(&new));
    world.exit(new, Exit::Signal(9));
    assert_eq!(world.workers.len(), 2);
}

#[test]
fn a_stop_during_an_upgrade_stops_both() {
    let (mut world, new) = upgrading();
    world.signal(Request::Terminate);
    assert_eq!(world.asked[&new], Stop::Graceful);
    world.input(Input::Ready(new));
    assert!(!world.handed_over);
    for id in world.workers.keys().copied().collect::<Vec<_>>() {
        world.exit(id, Exit::Status(0));
    }
    assert!(!world.exited, "the new program is still there");
    world.exit(new, Exit::Status(0));
    assert!(world.exited);
}

#[test]
fn a_second_request_for_an_upgrade_starts_nothing() {
    let (mut world, _) = upgrading();
    world.signal(Request::Upgrade);
    assert_eq!(world.programs.len(), 1);
    let mut world = World::new(config(1));
    world.signal(Request::Terminate);
    world.signal(Request::Upgrade);
    assert!(world.programs.is_empty());
}
