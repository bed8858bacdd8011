//! Random histories.

use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{World, config};
use crate::supervisor::*;

/// An event of a history. A number chooses one of the living children.
#[derive(Clone, Debug)]
enum Op {
    Signal(Request),
    Exit(usize, Exit),
    Ready(usize),
    Heard(usize),
    Retire(usize),
    Noted(usize, bool),
    Suspended(usize, bool),
    /// Inputs about a child that is long gone.
    Stale(usize),
    FailForks(u32),
    Advance(u64),
    ToDeadline,
}

fn any_op() -> impl Strategy<Value = Op> {
    let stop = prop_oneof![Just(Request::Terminate), Just(Request::Interrupt), Just(Request::Quit)];
    let change = prop_oneof![Just(Request::Reload), Just(Request::More), Just(Request::Fewer)];
    let exit = prop_oneof![(0..3).prop_map(Exit::Status), (1..64).prop_map(Exit::Signal)];
    prop_oneof![
        1 => stop.prop_map(Op::Signal),
        4 => change.prop_map(Op::Signal),
        1 => Just(Op::Signal(Request::Upgrade)),
        8 => (any::<usize>(), exit).prop_map(|(n, exit)| Op::Exit(n, exit)),
        8 => any::<usize>().prop_map(Op::Ready),
        4 => any::<usize>().prop_map(Op::Heard),
        2 => any::<usize>().prop_map(Op::Retire),
        4 => any::<(usize, bool)>().prop_map(|(n, noted)| Op::Noted(n, noted)),
        2 => any::<(usize, bool)>().prop_map(|(n, stopped)| Op::Suspended(n, stopped)),
        1 => any::<usize>().prop_map(Op::Stale),
        2 => (0..4_u32).prop_map(Op::FailForks),
        4 => (0..40_000_u64).prop_map(Op::Advance),
        8 => Just(Op::ToDeadline),
    ]
}

fn perform(world: &mut World, op: &Op) {
    let alive: Vec<_> = world.alive().collect();
    let pick = |n: &usize| (!alive.is_empty()).then(|| alive[n % alive.len()]);
    match op {
        Op::Signal(request) => world.signal(*request),
        Op::Exit(n, exit) => pick(n).into_iter().for_each(|id| world.exit(id, *exit)),
        Op::Ready(n) => pick(n).into_iter().for_each(|id| world.input(Input::Ready(id))),
        Op::Heard(n) => pick(n).into_iter().for_each(|id| world.input(Input::Heard(id))),
        Op::Retire(n) => pick(n).into_iter().for_each(|id| world.input(Input::Retire(id))),
        Op::Noted(n, noted) => pick(n).into_iter().for_each(|id| world.input(Input::Noted(id, *noted))),
        Op::Suspended(n, stopped) => {
            pick(n).into_iter().for_each(|id| world.input(Input::Suspended(id, stopped.then_some(19))));
        }
        Op::Stale(n) => {
            if let Some(id) = world.reaped.get(n % world.reaped.len().max(1)).copied() {
                world.input(Input::Ready(id));
                world.input(Input::Noted(id, true));
                world.input(Input::Exited(id, Exit::Signal(9)));
                world.input(Input::ForkFailed(id, String::new()));
            }
        }
        Op::FailForks(n) => world.failing_forks = *n,
        Op::Advance(by) => world.advance(*by),
        Op::ToDeadline => world.let_time_pass(),
    }
}

fn any_config() -> impl Strategy<Value = Config> {
    (1..5_u32, 1..6_u32, any::<[bool; 3]>()).prop_map(|(workers, boot_failures, [boot, heartbeat, age])| {
        Config {
            boot_failures,
            boot_timeout: boot.then_some(Millis(8_000)),
            heartbeat_timeout: heartbeat.then_some(Millis(3_000)),
            max_age: age.then_some(Millis(60_000)),
            ..config(workers)
        }
    })
}

/// Returns true if the service goes on, in this process.
fn harmless(op: &Op) -> bool {
    !matches!(op, Op::Signal(Request::Terminate | Request::Interrupt | Request::Quit | Request::Upgrade))
}

proptest! {
    /// Any history keeps the promises that [`World`] checks at every step, and a signal ends it, even if children ignore
    /// everything but `KILL`.
    #[test]
    fn any_history_keeps_the_promises_and_ends_after_term(config in any_config(), ops in vec(any_op(), 0..80)) {
        let mut world = World::new(config);
        for op in &ops {
            if world.exited { break; }
            perform(&mut world, op);
        }
        if !world.exited {
            world.signal(Request::Terminate);
        }
        for _ in 0..200 {
            if world.exited { break; }
            world.let_time_pass();
        }
        prop_assert!(world.exited, "does not end: {:?}", world.core);
    }

    /// After any history, once all children do what they are asked, every slot has one ready worker and a rolling restart
    /// ends.
    #[test]
    fn any_history_heals_when_all_children_obey(workers in 1..5_u32, ops in vec(any_op(), 0..60)) {
        let mut world = World::new(config(workers));
        ops.iter().filter(|op| harmless(op)).for_each(|op| perform(&mut world, op));
        world.failing_forks = 0;
        let before: Vec<_> = world.workers.keys().copied().collect();
        world.signal(Request::Reload);
        for _ in 0..200 {
            if !world.core.reloading && world.workers.len() == world.wanted { break; }
            world.all_obey();
        }
        let mut slots = world.slots();
        slots.sort_unstable();
        prop_assert_eq!(slots, (0..u32::try_from(world.wanted).unwrap()).collect::<Vec<_>>());
        prop_assert!(before.iter().all(|id| !world.workers.contains_key(id)), "a worker was not replaced");
        prop_assert!(world.log.iter().any(|line| line.contains("have been replaced")), "{:#?}", world.log);
    }
}
