//! The core against a server of one queue, with every loss of requests, replies, connections and sessions.

mod world;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use world::{Act, World};

const LOCKS: [Role; 3] = [Role::Mutex; 3];

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Connect),
        2 => Just(Act::Disconnect),
        1 => Just(Act::Expire),
        12 => Just(Act::Perform),
        2 => Just(Act::PerformUnanswered),
        1 => Just(Act::Refuse),
        4 => Just(Act::Hear),
        1 => Just(Act::Delete),
        1 => Just(Act::Withdraw),
        2 => (1_u64..6_000).prop_map(Act::Wait),
    ]
}

fn any_acts() -> impl Strategy<Value = Vec<(usize, Act)>> {
    vec((0..LOCKS.len(), any_act()), 0..120)
}

/// Fails if somebody believes in a turn with a node that exists and is behind another one.
fn nobody_is_early(world: &World) -> Result<(), TestCaseError> {
    for who in 0..LOCKS.len() {
        let Some(held) = world.held(who) else { continue };
        let place = world.nodes.iter().position(|(name, _)| *name == held);
        prop_assert!(place.unwrap_or(0) == 0, "{who} holds {held}, of {:?}", world.nodes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_turn_is_never_believed_in_while_a_node_is_before_ours(acts in any_acts()) {
        let mut world = World::new(&LOCKS);
        for (who, act) in acts {
            world.act(who, &act);
            nobody_is_early(&world)?;
        }
    }

    #[test]
    fn after_any_history_one_holds_and_nobody_who_withdrew_has_a_node(
        acts in any_acts().prop_map(|mut acts| {
            // A delete that is refused leaves its node until the end of the session.
            acts.retain(|(_, act)| !matches!(act, Act::Refuse));
            acts
        })
    ) {
        let mut world = World::new(&LOCKS);
        for (who, act) in acts {
            world.act(who, &act);
        }
        world.settle();
        let (withdrawn, contending): (Vec<usize>, _) =
            (0..LOCKS.len()).partition(|&who| world.contenders[who].withdrawn);
        // One that waits notices that its node was deleted when its turn comes.
        prop_assert!(world.nodes.len() <= contending.len(), "{:?}", world.nodes);
        let holders = contending.iter().filter(|&&who| world.is_sure(who)).count();
        prop_assert_eq!(holders, usize::from(!contending.is_empty()));
        for who in withdrawn {
            prop_assert_eq!(world.contenders[who].core.phase(), Phase::Withdrawn);
        }
    }

    #[test]
    fn readers_hold_together_once_no_writer_is_before_them(
        acts in vec((0..3_usize, prop_oneof![Just(Act::Perform), Just(Act::Hear), Just(Act::Disconnect)]), 0..40)
    ) {
        let mut world = World::new(&[Role::Read, Role::Write, Role::Read]);
        for (who, act) in acts {
            world.act(who, &Act::Connect);
            world.act(who, &act);
        }
        world.settle();
        let sure = |world: &World| (0..3).map(|who| world.is_sure(who)).collect::<Vec<_>>();
        prop_assert!(!(world.is_sure(1) && (world.is_sure(0) || world.is_sure(2))), "{:?}", sure(&world));
        world.act(1, &Act::Withdraw);
        world.settle();
        prop_assert_eq!(sure(&world), [true, false, true]);
    }
}

/// Everything up to the turn, with a parent that is missing first.
const ACQUIRE: [Act; 5] = [Act::Connect, Act::Perform, Act::Perform, Act::Perform, Act::Perform];

#[test]
fn a_create_whose_reply_was_lost_is_searched_and_not_repeated() {
    let mut world = World::new(&[Role::Mutex]);
    world.acts(0, &[Act::Connect, Act::Perform, Act::Perform, Act::PerformUnanswered, Act::Connect]);
    assert!(matches!(world.contenders[0].step, Some(Output::Find { .. })));
    world.settle();
    assert_eq!(world.created, 1, "one create was enough");
    assert!(world.is_sure(0));
}

#[test]
fn a_turn_is_in_doubt_from_the_first_sign_of_its_loss_to_the_answer() {
    let mut world = World::new(&[Role::Mutex]);
    world.acts(0, &ACQUIRE);
    world.act(0, &Act::Perform); // the check
    assert!(world.is_sure(0));
    world.acts(0, &[Act::Delete, Act::Hear]);
    assert!(world.held(0).is_some() && !world.is_sure(0));
    world.act(0, &Act::Perform);
    assert_eq!(world.held(0), None);
}

#[test]
fn a_turn_is_in_doubt_after_a_reconnect_of_the_session_until_one_look_at_its_node() {
    let mut world = World::new(&[Role::Mutex]);
    world.acts(0, &ACQUIRE);
    world.act(0, &Act::Perform);
    for _ in 0..3 {
        world.act(0, &Act::Disconnect);
        assert!(!world.is_sure(0));
        world.act(0, &Act::Connect);
        assert!(world.held(0).is_some() && !world.is_sure(0));
        world.act(0, &Act::Perform);
        assert!(world.is_sure(0) && world.contenders[0].step.is_none());
    }
    world.acts(0, &[Act::Disconnect, Act::Delete, Act::Connect]);
    assert!(!world.is_sure(0), "nobody has looked yet");
    world.act(0, &Act::Perform);
    assert_eq!(world.held(0), None);
}

#[test]
fn an_answer_of_an_earlier_connection_ends_no_doubt() {
    let mut world = World::new(&[Role::Mutex]);
    world.acts(0, &ACQUIRE);
    let core = &mut world.contenders[0].core;
    let owner = SessionId(1);
    // That it was disconnected in between is not heard of.
    for input in [Input::Connected(owner), Input::Done(StepOutcome::Checked(Some(owner)))] {
        core.handle(Millis(0), input);
        assert!(!matches!(core.phase(), Phase::Holding { sure: true, .. }));
    }
    assert!(matches!(core.poll_output(), Some(Output::Check { .. })));
    core.handle(Millis(0), Input::Done(StepOutcome::Checked(Some(owner))));
    assert!(matches!(core.phase(), Phase::Holding { sure: true, .. }));
}

#[test]
fn a_refused_withdrawal_is_final() {
    let mut world = World::new(&[Role::Mutex]);
    world.acts(0, &ACQUIRE);
    world.acts(0, &[Act::Perform, Act::Withdraw, Act::Refuse]);
    assert_eq!(world.contenders[0].core.phase(), Phase::Withdrawn);
    assert_eq!(world.nodes.len(), 1, "the node goes with the session");
}

#[test]
fn a_node_that_is_deleted_again_and_again_is_created_ever_more_slowly() {
    let mut world = World::new(&[Role::Mutex]);
    for _ in 0..1_000 {
        world.acts(0, &[Act::Connect, Act::Perform, Act::Perform, Act::Delete, Act::Hear, Act::Wait(10)]);
    }
    assert!((2..30).contains(&world.created), "{} creates in ten seconds", world.created);
}
