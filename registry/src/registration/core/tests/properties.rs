//! Statements that hold after any history.

use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{Act, World, data};
use super::{OnDelete, RegistrationState, WithdrawReason, settled};

const FORMATS: usize = 2;

fn any_act() -> impl Strategy<Value = Act> {
    let format = 0..FORMATS;
    prop_oneof![
        8 => format.clone().prop_map(Act::Perform),
        2 => format.clone().prop_map(Act::PerformUnanswered),
        1 => format.clone().prop_map(Act::LoseUnanswered),
        1 => format.clone().prop_map(Act::NotDone),
        1 => format.clone().prop_map(Act::Refuse),
        3 => Just(Act::Connect),
        1 => Just(Act::Disconnect),
        1 => Just(Act::Expire),
        1 => Just(Act::ExpireOnLaggingServer),
        1 => Just(Act::ExpireWithoutNext),
        1 => format.clone().prop_map(Act::PerformAndExpire),
        1 => format.clone().prop_map(Act::DeleteNodes),
        1 => format.clone().prop_map(Act::DeleteParent),
        1 => format.prop_map(Act::Touch),
        1 => Just(Act::Update),
        3 => (0u64..6_000).prop_map(Act::Wait),
    ]
}

/// Acts of two registrants.
fn acts_of_two(most: usize) -> impl Strategy<Value = Vec<(usize, Act)>> {
    vec((0..2_usize, any_act()), 0..most)
}

fn after(mut world: World, acts: &[Act]) -> World {
    world.acts(0, acts);
    settled(world)
}

proptest! {
    #[test]
    fn one_node_in_each_format_with_the_newest_data_is_left_after_any_history(
        acts in vec(any_act(), 0..80),
        has_id: bool,
    ) {
        let world = after(World::new(1, FORMATS, has_id, OnDelete::Restore), &acts);
        let registrant = &world.registrants[0];
        let mut expected = Vec::new();
        for format in 0..FORMATS {
            let live: Vec<_> = world.live(0, format).collect();
            prop_assert_eq!(live.len(), 1);
            prop_assert_eq!(&live[0].1.data, &data(0, registrant.revision));
            prop_assert_eq!(registrant.formats[format].watched.as_ref(), Some(live[0].0));
            expected.push(live[0].0.clone());
        }
        prop_assert_eq!(world.state(0), RegistrationState::Registered { paths: expected });
        prop_assert_eq!(registrant.core.visible_revision(), Some(registrant.revision));
    }

    #[test]
    fn nothing_is_left_after_a_withdrawal(
        before in vec(any_act(), 0..40),
        later in vec(any_act(), 0..20),
        has_id: bool,
    ) {
        let later: Vec<_> = later.into_iter().filter(|act| !is_refusal(act)).collect();
        let acts = [before, vec![Act::Withdraw], later].concat();
        let world = after(World::new(1, FORMATS, has_id, OnDelete::Restore), &acts);
        prop_assert_eq!(live(&world), 0);
        prop_assert_eq!(world.state(0), RegistrationState::Withdrawn(WithdrawReason::Requested));
        prop_assert!(world.registrants[0].core.is_over());
    }

    #[test]
    fn an_instance_that_drains_when_it_is_deleted_is_there_in_all_formats_or_in_none(
        acts in vec(any_act(), 0..80),
        has_id: bool,
    ) {
        let world = after(World::new(1, FORMATS, has_id, OnDelete::Drain), &acts);
        match world.state(0) {
            RegistrationState::Registered { .. } => prop_assert_eq!(live(&world), FORMATS),
            // A refusal to delete the rest leaves it to the end of the session.
            RegistrationState::Withdrawn(WithdrawReason::Deleted) => {
                prop_assert!(world.taken_away, "nobody deletes a node that goes with its session");
                prop_assert!(live(&world) == 0 || acts.iter().any(is_refusal));
            }
            state => prop_assert!(false, "{state:?}"),
        }
    }

    #[test]
    fn of_two_instances_with_one_id_one_is_left_after_any_history(acts in acts_of_two(120)) {
        let mut world = World::new(2, 1, true, OnDelete::Restore);
        for (who, act) in &acts {
            world.act(*who, &in_one_format(act));
        }
        let world = settled(world);
        prop_assert_eq!(world.nodes.len(), 1);
        let registered = |who| matches!(world.state(who), RegistrationState::Registered { .. });
        let winner = usize::from(registered(1));
        prop_assert!(registered(winner));
        prop_assert_eq!(world.state(1 - winner), RegistrationState::Withdrawn(WithdrawReason::Replaced));
        let (_, node) = world.live(winner, 0).next().unwrap();
        prop_assert_eq!(&node.data, &data(winner, world.registrants[winner].revision));
    }

    #[test]
    fn a_reconnect_of_the_session_causes_no_step(reconnects in vec(any::<bool>(), 0..20), has_id: bool) {
        let mut world = settled(World::new(1, FORMATS, has_id, OnDelete::Restore));
        for connect in reconnects {
            world.act(0, if connect { &Act::Connect } else { &Act::Disconnect });
            prop_assert!(world.registrants[0].formats.iter().all(|format| format.step.is_none()));
        }
    }
}

/// Returns the number of nodes of the first registrant.
fn live(world: &World) -> usize {
    (0..FORMATS).map(|format| world.live(0, format).count()).sum()
}

/// Returns true for an act that leaves a node to the end of its session.
fn is_refusal(act: &Act) -> bool {
    matches!(act, Act::Refuse(_))
}

fn in_one_format(act: &Act) -> Act {
    match act {
        Act::Perform(_) => Act::Perform(0),
        Act::PerformUnanswered(_) => Act::PerformUnanswered(0),
        Act::LoseUnanswered(_) => Act::LoseUnanswered(0),
        Act::NotDone(_) => Act::NotDone(0),
        Act::Refuse(_) => Act::Refuse(0),
        Act::PerformAndExpire(_) => Act::PerformAndExpire(0),
        Act::DeleteNodes(_) => Act::DeleteNodes(0),
        Act::DeleteParent(_) => Act::DeleteParent(0),
        Act::Touch(_) => Act::Touch(0),
        act => act.clone(),
    }
}
