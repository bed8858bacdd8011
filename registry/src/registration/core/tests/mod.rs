//! The core against a server of one service, with every loss of requests, replies, connections and sessions.

mod properties;
mod world;

use std::collections::BTreeMap;

use super::*;
use world::{Act, ID, World, data};

/// Everything up to the created node, without the check that follows.
const REGISTER: [Act; 4] = [
    Act::Connect,
    Act::Perform(0), // no parent
    Act::Perform(0), // the parent
    Act::Perform(0), // the node
];

fn one(has_id: bool) -> World {
    World::new(1, 1, has_id, OnDelete::Restore)
}

/// Returns two registrants of the same id, of which the first is registered.
fn older_and_newer() -> World {
    let mut world = World::new(2, 1, true, OnDelete::Restore);
    world.acts(0, &REGISTER);
    world.act(0, &Act::Perform(0)); // the check
    world
}

fn settled(mut world: World) -> World {
    world.settle();
    world
}

fn withdrawn(reason: WithdrawReason) -> RegistrationState {
    RegistrationState::Withdrawn(reason)
}

#[test]
fn a_create_whose_reply_was_lost_is_searched_and_not_repeated() {
    for has_id in [false, true] {
        let mut world = one(has_id);
        world.acts(0, &REGISTER[..3]);
        world.acts(0, &[Act::PerformUnanswered(0), Act::Wait(100)]);
        assert!(matches!(world.registrants[0].formats[0].step, Some(Output::Find { .. })));
        let world = settled(world);
        assert_eq!(world.nodes.len(), 1);
        assert!(world.counter <= 1, "one create was enough");
        assert_eq!(world.replacements, 0, "our own node is not replaced");
    }
}

#[test]
fn a_sequential_node_of_our_expired_session_is_not_taken_over() {
    let mut world = one(false);
    world.acts(0, &REGISTER[..3]);
    world.acts(0, &[Act::PerformUnanswered(0), Act::ExpireOnLaggingServer]);
    let world = settled(world);
    assert_eq!(world.nodes.len(), 2, "the old node is left alone");
    assert_eq!(world.live(0, 0).count(), 1);
}

#[test]
fn a_node_of_our_expired_session_that_has_our_id_is_replaced() {
    let mut world = one(true);
    world.acts(0, &REGISTER);
    world.act(0, &Act::ExpireOnLaggingServer);
    assert_eq!(world.state(0), RegistrationState::Reregistering(LossReason::SessionExpired));
    let world = settled(world);
    assert_eq!((world.nodes.len(), world.replacements), (1, 1));
    assert_eq!(world.live(0, 0).count(), 1);
}

#[test]
fn a_newer_instance_of_the_same_id_takes_the_place_and_the_older_gives_up() {
    let mut world = older_and_newer();
    world.acts(1, &[Act::Connect, Act::Perform(0)]); // the name is taken
    world.acts(1, &[Act::Perform(0), Act::Perform(0)]); // by whom; replaced
    assert_eq!(world.nodes.len(), 1);
    let world = settled(world);
    assert_eq!(world.state(0), withdrawn(WithdrawReason::Replaced));
    assert_eq!(world.state(1), RegistrationState::Registered { paths: vec![format!("/0/{ID}")] });
    assert_eq!((world.live(1, 0).count(), world.replacements), (1, 1));
}

#[test]
fn an_older_instance_never_writes_over_the_newer_one_that_took_its_place() {
    for wish in [Act::Update, Act::Withdraw] {
        let mut world = older_and_newer();
        // The write is under way when the newer instance comes.
        world.act(0, &wish);
        world.acts(1, &[Act::Connect, Act::Perform(0), Act::Perform(0), Act::Perform(0)]);
        world.act(0, &Act::Perform(0));
        let world = settled(world);
        assert!(matches!(world.state(0), RegistrationState::Withdrawn(_)));
        assert_eq!(world.live(1, 0).next().unwrap().1.data, data(1, 0));
    }
}

#[test]
fn an_instance_that_comes_back_from_a_pause_does_not_fight_the_one_that_replaced_it() {
    let mut world = older_and_newer();
    world.act(0, &Act::Disconnect);
    world.act(0, &Act::DeleteNodes(0)); // the session expires, which the client does not know
    world.acts(1, &[Act::Connect, Act::Perform(0)]);
    world.act(0, &Act::ExpireOnLaggingServer);
    let world = settled(world);
    assert_eq!(world.state(0), withdrawn(WithdrawReason::Replaced));
    assert_eq!((world.live(1, 0).count(), world.replacements), (1, 0));
}

#[test]
fn a_second_registration_of_the_same_session_and_id_takes_the_place_as_well() {
    let mut world = older_and_newer();
    world.registrants[1].session = world.registrants[0].session;
    world.acts(1, &[Act::Connect, Act::Perform(0), Act::Perform(0)]);
    assert!(matches!(world.registrants[1].formats[0].step, Some(Output::Replace { .. })));
}

#[test]
fn a_replacement_whose_reply_was_lost_is_looked_for_and_not_repeated() {
    let mut world = older_and_newer();
    world.acts(1, &[Act::Connect, Act::Perform(0), Act::Perform(0), Act::PerformUnanswered(0)]);
    let world = settled(world);
    assert_eq!((world.nodes.len(), world.replacements), (1, 1));
    assert_eq!(world.live(1, 0).count(), 1);
}

#[test]
fn an_instance_is_lost_as_soon_as_its_session_is_known_to_be_over_and_a_withdrawal_done() {
    for has_id in [false, true] {
        let mut world = settled(one(has_id));
        world.act(0, &Act::ExpireWithoutNext);
        assert_eq!(world.state(0), RegistrationState::Reregistering(LossReason::SessionExpired));
        let world = settled(world);
        assert_eq!(world.live(0, 0).count(), 1);

        for made in [false, true] {
            let mut world = one(has_id);
            world.acts(0, &REGISTER[..3]);
            if made {
                world.acts(0, &[Act::Perform(0), Act::Perform(0)]);
            }
            world.acts(0, &[Act::Withdraw, Act::Disconnect, Act::LoseUnanswered(0)]);
            assert!(!world.registrants[0].core.is_over());
            world.act(0, &Act::ExpireWithoutNext);
            assert_eq!(world.state(0), withdrawn(WithdrawReason::Requested));
            assert!(world.registrants[0].core.is_over());
        }
    }
}

#[test]
fn a_replacement_that_goes_with_its_session_before_it_is_found_is_made_again() {
    for expires_before_the_reply in [false, true] {
        let mut world = World::new(1, 1, true, OnDelete::Drain);
        world.acts(0, &REGISTER);
        world.acts(0, &[Act::ExpireOnLaggingServer, Act::Wait(100)]);
        world.acts(0, &[Act::Perform(0), Act::Perform(0)]); // the name is taken; by whom
        assert!(matches!(world.registrants[0].formats[0].step, Some(Output::Replace { .. })));
        if expires_before_the_reply {
            world.act(0, &Act::PerformAndExpire(0));
        } else {
            world.acts(0, &[Act::Perform(0), Act::Expire]);
        }
        let world = settled(world);
        assert_eq!(world.state(0), RegistrationState::Registered { paths: vec![format!("/0/{ID}")] });
    }
}

#[test]
fn a_node_deleted_by_hand_is_restored_or_the_instance_withdrawn_as_wanted() {
    for (on_delete, now, later) in [
        (
            OnDelete::Restore,
            RegistrationState::Reregistering(LossReason::NodeDeleted),
            RegistrationState::Registered { paths: vec!["/0/a".into(), "/1/a".into()] },
        ),
        (OnDelete::Drain, withdrawn(WithdrawReason::Deleted), withdrawn(WithdrawReason::Deleted)),
    ] {
        let mut world = settled(World::new(1, 2, true, on_delete));
        world.acts(0, &[Act::DeleteNodes(1), Act::Perform(1)]);
        assert_eq!(world.state(0), now);
        let world = settled(world);
        assert_eq!(world.state(0), later);
        assert_eq!(world.registrants[0].core.is_over(), on_delete == OnDelete::Drain);
        assert_eq!(world.nodes.len(), if on_delete == OnDelete::Drain { 0 } else { 2 }, "in both formats");
    }
}

#[test]
fn an_instance_is_registered_when_it_is_visible_in_every_format() {
    let mut world = World::new(1, 2, false, OnDelete::Restore);
    world.acts(0, &REGISTER);
    assert_eq!((world.state(0), world.nodes.len()), (RegistrationState::Registering, 1));
    assert_eq!(world.registrants[0].core.visible_revision(), None);
    let world = settled(world);
    assert_eq!(world.registrants[0].core.visible_revision(), Some(0));
    let RegistrationState::Registered { paths } = world.state(0) else { panic!("{:?}", world.state(0)) };
    assert!(paths[0].starts_with("/0/n-") && paths[1].starts_with("/1/n-"), "{paths:?}");
}

#[test]
fn a_refused_withdrawal_is_final() {
    let mut world = settled(one(false));
    world.acts(0, &[Act::Withdraw, Act::Refuse(0)]);
    assert_eq!(world.state(0), withdrawn(WithdrawReason::Refused));
    assert!(world.registrants[0].core.is_over());
    assert_eq!(world.live(0, 0).count(), 1, "the node goes with the session");
}

#[test]
fn a_node_that_is_deleted_again_and_again_is_created_ever_more_slowly() {
    let mut world = settled(one(false));
    let mut creates = 0;
    for _ in 0..1_000 {
        world.act(0, &Act::DeleteNodes(0));
        for _ in 0..3 {
            creates +=
                usize::from(matches!(world.registrants[0].formats[0].step, Some(Output::Create { .. })));
            world.act(0, &Act::Perform(0));
        }
        world.act(0, &Act::Wait(10));
    }
    assert!((2..30).contains(&creates), "{creates} creates in ten seconds");
}

#[test]
fn after_an_expiry_many_registrants_do_not_come_back_in_the_same_moment() {
    const MANY: u64 = 10_000;
    for expiry in [&[Act::Expire][..], &[Act::ExpireWithoutNext, Act::Connect]] {
        let mut comers = BTreeMap::new();
        for seed in 0..MANY {
            let mut world = World::with_seed(seed);
            world.acts(0, &REGISTER);
            world.act(0, &Act::Perform(0));
            world.acts(0, expiry);
            *comers.entry(world.registrants[0].core.poll_deadline()).or_insert(0) += 1;
        }
        let (latest, most) = (comers.keys().max().unwrap(), comers.values().max().unwrap());
        assert!(*latest <= Some(Millis(50)), "{latest:?}");
        assert!(*most < 3 * MANY / 50, "{most} in one millisecond");
    }
}

#[test]
fn sessions_that_expire_again_and_again_do_not_slow_a_registration_down() {
    let mut world = settled(one(false));
    for _ in 0..100 {
        world.acts(0, &[Act::Expire, Act::Wait(100)]);
        assert!(matches!(world.registrants[0].formats[0].step, Some(Output::Create { .. })));
        world.acts(0, &[Act::Perform(0), Act::Perform(0)]);
    }
    assert_eq!(world.live(0, 0).count(), 1);
}
