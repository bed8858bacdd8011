//! Rolling restarts, more and fewer workers, hung workers, and workers that fail to boot.

use super::world::{World, config, ready_world};
use crate::supervisor::*;

#[test]
fn hup_replaces_one_worker_at_a_time_after_its_successor_is_ready() {
    let mut world = ready_world(2);
    let old = [world.worker(0), world.worker(1)];
    world.signal(Request::Reload);
    assert_eq!(world.slots(), [0, 1, 0]);
    assert!(world.asked.is_empty(), "the successor is not ready yet");
    let first = *world.workers.keys().last().unwrap();
    world.becomes_ready(first);
    assert_eq!(world.asked, BTreeMap::from([(old[0], Stop::Graceful)]));
    assert_eq!(world.workers.len(), 3, "the next one waits until the old one is gone");
    world.exit(old[0], Exit::Status(0));
    assert_eq!(world.slots(), [1, 0, 1]);
    world.all_become_ready();
    world.exit(old[1], Exit::Status(0));
    assert_eq!(world.slots(), [0, 1]);
    assert_eq!(world.log.last().unwrap(), "all 2 workers have been replaced");
}

#[test]
fn a_successor_that_fails_to_boot_leaves_the_old_worker_in_its_slot() {
    let mut world = World::new(Config { boot_failures: 2, ..config(1) });
    world.all_become_ready();
    let old = world.worker(0);
    world.signal(Request::Reload);
    for _ in 0..5 {
        world.exit(*world.workers.keys().last().unwrap(), Exit::Status(3));
        assert!(world.log.last().unwrap().contains("before it was ready; restarting in "), "{:?}", world.log);
        world.let_time_pass();
        assert_eq!(world.workers.len(), 2);
    }
    assert!(world.asked.is_empty() && world.workers.contains_key(&old) && !world.gave_up);
}

#[test]
fn a_successor_takes_over_at_once_when_the_old_worker_dies() {
    let mut world = ready_world(1);
    world.signal(Request::Reload);
    world.exit(world.worker(0), Exit::Signal(9));
    assert_eq!(world.workers.len(), 1);
    world.all_become_ready();
    assert_eq!(world.workers.len(), 1);
    assert!(world.asked.is_empty());
    assert_eq!(world.log.last().unwrap(), "all 1 workers have been replaced");
}

#[test]
fn term_interrupts_a_rolling_restart() {
    let mut world = ready_world(2);
    world.signal(Request::Reload);
    world.signal(Request::Terminate);
    assert_eq!(world.asked.len(), 3);
    for id in world.alive().collect::<Vec<_>>() {
        world.exit(id, Exit::Status(0));
    }
    assert!(world.exited);
}

#[test]
fn quit_hurries_workers_that_are_stopping_already() {
    let mut world = ready_world(1);
    let old = world.worker(0);
    world.signal(Request::Reload);
    world.all_become_ready();
    assert_eq!(world.asked[&old], Stop::Graceful);
    world.signal(Request::Quit);
    assert_eq!(world.asked[&old], Stop::Quick);
    world.advance(2_000);
    assert_eq!(world.killed.len(), 2);
}

#[test]
fn ttin_and_ttou_change_the_number_of_workers_down_to_one() {
    let mut world = ready_world(1);
    world.signal(Request::More);
    world.signal(Request::More);
    assert_eq!(world.slots(), [0, 1, 2]);
    world.all_become_ready();
    let last = world.worker(2);
    for _ in 0..4 {
        world.signal(Request::Fewer);
    }
    assert_eq!(world.asked.len(), 2);
    assert!(world.asked.contains_key(&last));
    for id in world.asked.keys().copied().collect::<Vec<_>>() {
        world.exit(id, Exit::Status(0));
    }
    assert_eq!(world.slots(), [0]);
    assert_eq!(world.core.poll_deadline(), None);
    assert_eq!(world.log.iter().filter(|line| line.starts_with("SIGTTOU: keeping 1 workers")).count(), 3);
}

#[test]
fn stopping_workers_count_when_more_are_asked_for() {
    let mut world = ready_world(3);
    world.signal(Request::Fewer);
    world.signal(Request::Fewer);
    world.signal(Request::More);
    assert_eq!(world.workers.len(), 3, "no fourth process while two are leaving");
    world.exit(world.worker(2), Exit::Status(0));
    assert_eq!(world.slots(), [0, 1, 1]);
}

#[test]
fn the_last_worker_is_replaced_at_once_while_others_are_leaving() {
    let mut world = ready_world(4);
    for _ in 0..3 {
        world.signal(Request::Fewer);
    }
    assert_eq!(world.asked.len(), 3);
    world.advance(1_000);
    world.exit(world.worker(0), Exit::Signal(11));
    assert_eq!(world.slots(), [1, 2, 3, 0]);
}

#[test]
fn a_successor_that_was_aborted_before_it_was_ready_takes_nobodys_place() {
    let mut world = World::new(Config { boot_timeout: Some(Millis(3_000)), ..config(1) });
    world.all_become_ready();
    let old = world.worker(0);
    world.signal(Request::Reload);
    let successor = *world.workers.keys().last().unwrap();
    world.advance(3_000);
    assert!(world.aborted.contains(&successor));
    world.becomes_ready(successor);
    assert!(world.asked.is_empty(), "the old worker serves on");
    world.exit(successor, Exit::Signal(6));
    assert!(world.workers.contains_key(&old) && world.asked.is_empty());
}

#[test]
fn a_silent_worker_is_aborted_then_killed_then_replaced() {
    let mut world = World::new(Config { heartbeat_timeout: Some(Millis(3_000)), ..config(2) });
    world.all_become_ready();
    let silent = world.worker(0);
    for _ in 0..3 {
        world.advance(1_000);
        world.input(Input::Heard(world.worker(1)));
    }
    assert_eq!(world.aborted.iter().collect::<Vec<_>>(), [&silent]);
    assert_eq!(world.log.last().unwrap(), "worker 0 (pid 7) has been silent for 3.0 s; aborting it");
    world.advance(1_999);
    assert!(!world.killed.contains(&silent));
    world.input(Input::Heard(world.worker(1)));
    world.advance(1);
    assert!(world.killed.contains(&silent));
    world.exit(silent, Exit::Signal(9));
    world.let_time_pass();
    assert_eq!(world.slots(), [1, 0]);
}

#[test]
fn a_worker_with_too_much_memory_is_replaced_only_once_it_is_healthy() {
    let mut world = World::new(Config { max_memory: Some(100 << 20), ..config(1) });
    let first = world.worker(0);
    world.input(Input::Memory(first, 200 << 20));
    world.all_become_ready();
    world.advance(9_999);
    world.input(Input::Memory(first, 200 << 20));
    world.advance(1);
    world.input(Input::Memory(first, 100 << 20));
    assert_eq!(world.workers.len(), 1, "not ready, then not healthy, then not too much memory");
    world.input(Input::Memory(first, 101 << 20));
    assert_eq!(world.slots(), [0, 0]);
    assert!(world.log.iter().any(|line| line == "worker 0 (pid 7) has 101 MiB of memory, more than allowed"));
    world.input(Input::Memory(first, 102 << 20));
    assert!(world.asked.is_empty(), "its successor is not ready yet");
    world.becomes_ready(*world.workers.keys().last().unwrap());
    assert_eq!(world.asked, BTreeMap::from([(first, Stop::Graceful)]));
    assert_eq!(world.log.iter().filter(|line| line.contains("more than allowed")).count(), 1);
}

#[test]
fn a_booting_worker_is_not_hung_before_the_boot_timeout() {
    let mut world = World::new(Config { heartbeat_timeout: Some(Millis(3_000)), ..config(1) });
    world.advance(3_600_000);
    assert!(world.aborted.is_empty());
    world.all_become_ready();
    assert!(world.aborted.is_empty());

    let mut world = World::new(Config { boot_timeout: Some(Millis(60_000)), ..config(1) });
    world.advance(59_999);
    assert!(world.aborted.is_empty());
    world.advance(1);
    assert_eq!(world.aborted.len(), 1);
}

#[test]
fn a_worker_is_not_hung_before_all_its_messages_have_been_read() {
    let mut world = World::new(Config { heartbeat_timeout: Some(Millis(3_000)), ..config(2) });
    world.all_become_ready();
    // The parent itself was suspended: messages of both workers wait, and one is read before the other.
    world.now = world.now + Millis(60_000);
    world.input(Input::Heard(world.worker(0)));
    world.input(Input::Heard(world.worker(1)));
    world.input(Input::Timeout);
    assert!(world.aborted.is_empty());
}

#[test]
fn age_and_a_request_to_retire_replace_a_worker_as_hup_does() {
    let mut world = World::new(Config { max_age: Some(Millis(60_000)), ..config(2) });
    world.all_become_ready();
    world.advance(53_999);
    assert_eq!(world.workers.len(), 2);
    world.advance(6_001);
    assert_eq!(world.workers.len(), 3, "one at a time");

    let mut world = ready_world(2);
    world.input(Input::Retire(world.worker(1)));
    assert_eq!(world.slots(), [0, 1, 1]);
}

#[test]
fn a_service_whose_workers_fail_to_boot_is_given_up() {
    let mut world = World::new(Config { boot_failures: 3, ..config(2) });
    for round in 0..3 {
        assert!(!world.gave_up, "after {round}");
        world.exit(world.worker(1), Exit::Status(3));
        if round < 2 {
            world.let_time_pass();
        }
    }
    assert!(world.gave_up);
    assert!(world.log.iter().any(|line| line.starts_with("worker 1 failed to boot 3 times in a row")));
    world.exit(world.worker(0), Exit::Status(0));
    assert!(world.exited);
}

#[test]
fn a_service_whose_workers_cannot_be_forked_is_given_up_unless_it_has_served() {
    let mut world = World::new(Config { boot_failures: 3, ..config(1) });
    world.exit(world.worker(0), Exit::Status(3));
    world.failing_forks = 2;
    world.let_time_pass();
    assert!(!world.gave_up);
    world.let_time_pass();
    assert!(world.gave_up && world.exited);

    let mut world = ready_world(1);
    world.exit(world.worker(0), Exit::Status(3));
    world.failing_forks = 10;
    while world.failing_forks > 0 {
        world.let_time_pass();
    }
    assert!(!world.gave_up);
}

#[test]
fn a_service_with_one_serving_worker_is_not_given_up() {
    let mut world = World::new(Config { boot_failures: 1, ..config(2) });
    world.becomes_ready(world.worker(0));
    for _ in 0..10 {
        world.exit(world.worker(1), Exit::Status(3));
        world.let_time_pass();
    }
    assert!(!world.gave_up);
}
