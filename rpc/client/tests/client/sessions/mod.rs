//! The client's session against the server's: every order of frames, cancellations, timeouts, losses and goodbyes.
//!
//! Each call ends exactly once, neither side keeps anything of a call that has ended, and a call that the client was told
//! has not run is never run.

mod streams;
mod world;

use common::Millis;
use proptest::collection::vec;
use proptest::prelude::*;
use rpc_client::session as client;
use rpc_server::session as server;
use rpc_server::session::Full;

use world::{Method, Way, World};

#[derive(Clone, Copy, Debug)]
enum Step {
    Start {
        method: Method,
        len: usize,
        time_left: u64,
    },
    Cancel(usize),
    /// Everything of one way is written and arrives.
    Pass(Way),
    Write(Way, usize),
    Deliver(Way, usize),
    Turn,
    Finish(usize),
    Collect,
    Wait(u64),
    Full(Option<Full>),
    Probe,
    Leave,
    Drain,
    Evict,
    Stall(u64),
    Lose,
}

fn any_way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::ToServer), Just(Way::ToClient)]
}

/// Mostly everything, sometimes a part of a frame.
fn any_len() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(usize::MAX), 1 => 0..60_usize]
}

fn any_start() -> impl Strategy<Value = Step> {
    let method = prop_oneof![
        3 => Just(Method::Now), 1 => Just(Method::Fail), 4 => Just(Method::Later), 1 => Just(Method::Unknown)
    ];
    (method, 0..60_usize, prop_oneof![0..60_u64, 0..3_000_u64])
        .prop_map(|(method, len, time_left)| Step::Start { method, len, time_left })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => any_start(),
        3 => any::<usize>().prop_map(Step::Cancel),
        6 => Just(Step::Pass(Way::ToServer)),
        3 => Just(Step::Pass(Way::ToClient)),
        6 => (any_way(), any_len()).prop_map(|(way, n)| Step::Write(way, n)),
        6 => (any_way(), any_len()).prop_map(|(way, n)| Step::Deliver(way, n)),
        8 => Just(Step::Turn),
        5 => any::<usize>().prop_map(Step::Finish),
        5 => Just(Step::Collect),
        4 => (0..100_u64).prop_map(Step::Wait),
        2 => prop_oneof![Just(None), Just(Some(Full::Server(9))), Just(Some(Full::Peer(9)))].prop_map(Step::Full),
        1 => Just(Step::Probe),
    ]
}

/// Steps that end the connection sooner or later.
fn any_ending() -> impl Strategy<Value = Option<Step>> {
    let ending = prop_oneof![
        2 => Just(Step::Leave),
        3 => Just(Step::Drain),
        1 => Just(Step::Evict),
        2 => Just(Step::Lose),
        2 => (0..3_000_u64).prop_map(Step::Wait),
        1 => (0..3_000_u64).prop_map(Step::Stall),
    ];
    proptest::option::of(ending)
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Start { method, len, time_left } => world.start(method, len, Millis(time_left)),
        Step::Cancel(which) => world.cancel(which),
        Step::Pass(way) => {
            world.write(way, usize::MAX);
            world.deliver(way, usize::MAX);
        }
        Step::Write(way, n) => world.write(way, n),
        Step::Deliver(way, n) => world.deliver(way, n),
        Step::Turn => world.turn(),
        Step::Finish(which) => world.finish(which),
        Step::Collect => world.collect(),
        Step::Wait(millis) => world.advance(Millis(millis)),
        Step::Full(full) => world.full = full,
        Step::Probe => world.tell_client(client::Input::Probe),
        Step::Leave => world.tell_client(client::Input::Leave),
        Step::Drain => world.tell_server(server::Input::Drain),
        Step::Evict => world.tell_server(server::Input::Evicted),
        Step::Stall(millis) => world.tell_server(server::Input::Stalled(Millis(millis))),
        Step::Lose => world.lose(),
    }
}

proptest! {
    #[test]
    fn each_call_ends_exactly_once_and_only_as_it_ran(
        is_greeted: bool,
        resets: bool,
        before in vec(any_step(), 0..60),
        ending in any_ending(),
        after in vec(any_step(), 0..40),
    ) {
        let mut world = World::new(resets);
        if is_greeted {
            world.settle();
        }
        for step in before.into_iter().chain(ending).chain(after) {
            take(&mut world, step);
        }
        world.settle();
        world.check_settled();
        world.tell_client(client::Input::Leave);
        world.settle();
        world.check_settled();
        world.check_closed();
    }
}
