//! The core against a server of one service, with every loss of requests, replies, connections and sessions.

mod world;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use world::{Act, World, data};

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Perform),
        2 => Just(Act::PerformUnanswered),
        1 => Just(Act::LoseUnanswered),
        1 => Just(Act::NotDone),
        1 => Just(Act::Refuse),
        3 => Just(Act::Connect),
        1 => Just(Act::Disconnect),
        1 => Just(Act::Expire),
        1 => Just(Act::ExpireOnLaggingServer),
        1 => Just(Act::DeleteNodes),
        1 => Just(Act::DeleteParent),
        1 => Just(Act::Touch),
        1 => Just(Act::Update),
        3 => (0u64..6_000).prop_map(Act::Wait),
    ]
}

fn settled(acts: &[Act]) -> World {
    let mut world = World::new();
    for act in acts {
        world.act(act);
    }
    world.settle();
    world
}

proptest! {
    #[test]
    fn one_node_with_the_newest_data_is_left_after_any_history(acts in vec(any_act(), 0..60)) {
        let world = settled(&acts);
        let live: Vec<_> = world.live().collect();
        prop_assert_eq!(live.len(), 1);
        prop_assert_eq!(live[0].1, &data(world.revision));
        prop_assert_eq!(world.core.phase(), Phase::Registered { path: live[0].0.clone() });
        prop_assert_eq!(world.core.visible_revision(), Some(world.revision));
        prop_assert!(world.watched, "the node is watched");
    }

    #[test]
    fn nothing_is_left_after_a_withdrawal(
        before in vec(any_act(), 0..40),
        after in vec(any_act().prop_filter("a refusal is final", |act| !matches!(act, Act::Refuse)), 0..20),
    ) {
        let acts = [before, vec![Act::Withdraw], after].concat();
        let world = settled(&acts);
        prop_assert_eq!(world.live().count(), 0);
        prop_assert_eq!(world.core.phase(), Phase::Withdrawn);
    }

    #[test]
    fn a_reconnect_of_the_session_causes_no_step(reconnects in vec(any::<bool>(), 0..20)) {
        let mut world = settled(&[]);
        for connect in reconnects {
            world.act(if connect { &Act::Connect } else { &Act::Disconnect });
            prop_assert_eq!(&world.step, &None);
        }
    }
}

fn run(acts: &[Act]) -> World {
    let mut world = World::new();
    for act in acts {
        world.act(act);
    }
    world
}

#[test]
fn a_create_whose_reply_was_lost_is_searched_and_not_repeated() {
    let mut world = run(&[
        Act::Connect,
        Act::Perform, // no parent
        Act::Perform, // the parent
        Act::PerformUnanswered,
        Act::Wait(100),
    ]);
    assert!(matches!(world.step, Some(Output::Find { .. })));
    world.settle();
    assert_eq!(world.counter, 1, "one create was enough");
}

#[test]
fn a_node_of_our_expired_session_is_not_taken_over() {
    let mut world =
        run(&[Act::Connect, Act::Perform, Act::Perform, Act::PerformUnanswered, Act::ExpireOnLaggingServer]);
    world.settle();
    assert_eq!(world.nodes.len(), 2, "the old node is left alone");
    assert_eq!(world.live().count(), 1);
}

#[test]
fn a_refused_withdrawal_is_final() {
    let mut world = settled(&[]);
    world.act(&Act::Withdraw);
    world.act(&Act::Refuse);
    assert_eq!(world.core.phase(), Phase::Withdrawn);
    assert_eq!(world.live().count(), 1, "the node goes with the session");
}

#[test]
fn a_node_that_is_deleted_again_and_again_is_created_ever_more_slowly() {
    let mut world = settled(&[]);
    let mut creates = 0;
    for _ in 0..1_000 {
        world.act(&Act::DeleteNodes);
        for _ in 0..3 {
            creates += usize::from(matches!(world.step, Some(Output::Create { .. })));
            world.act(&Act::Perform);
        }
        world.act(&Act::Wait(10));
    }
    assert!((2..30).contains(&creates), "{creates} creates in ten seconds");
}
