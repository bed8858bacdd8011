//! Every history up to a length, in any order of inputs, to find what random histories miss.

use std::collections::{BTreeSet, HashSet};

use super::world::{World, config};
use crate::supervisor::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Signal(Request),
    Exit(ChildId, Exit),
    Ready(ChildId),
    Retire(ChildId),
    Deadline,
    FailNextFork,
}

/// Returns every input that can come next.
fn steps(world: &World) -> Vec<Step> {
    use Request::*;
    let mut steps: Vec<_> =
        [Terminate, Quit, Reload, More, Fewer, Usr1, Upgrade].into_iter().map(Step::Signal).collect();
    steps.extend([Step::Deadline, Step::FailNextFork]);
    for id in world.alive() {
        steps.extend([Exit::Status(0), Exit::Signal(9)].map(|exit| Step::Exit(id, exit)));
        steps.extend([Step::Ready(id), Step::Retire(id)]);
    }
    steps
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Signal(request) => world.signal(request),
        Step::Exit(id, exit) => world.exit(id, exit),
        Step::Ready(id) => world.becomes_ready(id),
        Step::Retire(id) => world.input(Input::Retire(id)),
        Step::Deadline => world.let_time_pass(),
        Step::FailNextFork => world.failing_forks = 1,
    }
}

/// Checks that a stop and the passing of time end the service from here.
fn must_end(mut world: World) {
    if !world.exited {
        world.signal(Request::Terminate);
    }
    for _ in 0..100 {
        if world.exited {
            return;
        }
        world.let_time_pass();
    }
    panic!("does not end: {:?}", world.core);
}

/// Visits every state that can be reached in up to `length` steps, and returns their number.
fn explore(config: Config, length: usize) -> usize {
    let mut frontier = vec![World::new(config)];
    let mut seen = HashSet::new();
    for _ in 0..length {
        let mut next = Vec::new();
        for world in frontier.iter().filter(|world| !world.exited) {
            for step in steps(world) {
                let mut world = world.clone();
                take(&mut world, step);
                if seen.insert(format!("{:?} {:?} {:?}", world.core, world.killed, world.failing_forks)) {
                    world.log.clear();
                    next.push(world);
                }
            }
        }
        frontier = next;
    }
    let longest: BTreeSet<_> = frontier.iter().map(|world| world.workers.len()).collect();
    assert!(longest.len() > 1, "the exploration went nowhere");
    frontier.into_iter().for_each(must_end);
    seen.len()
}

#[test]
fn every_short_history_of_one_worker_keeps_the_promises() {
    assert!(explore(config(1), 5) > 5_000);
}

#[test]
fn every_short_history_of_two_workers_that_may_hang_or_fail_to_boot_keeps_the_promises() {
    let config = Config {
        boot_failures: 2,
        heartbeat_timeout: Some(Millis(3_000)),
        max_age: Some(Millis(60_000)),
        ..config(2)
    };
    assert!(explore(config, 4) > 2_000);
}
