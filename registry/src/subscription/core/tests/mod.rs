//! The core against a server of one service, with answers and events in any order.

mod world;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::retry::MAX_PATIENT_PAUSE;
use world::{Act, World, data_of, id};

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0u8..6, 0u8..6).prop_map(|(name, data)| Act::Put(name, data)),
        3 => (0u8..6).prop_map(Act::Delete),
        1 => (0u8..6).prop_map(Act::Lock),
        1 => (0u8..6).prop_map(Act::Unlock),
        2 => Just(Act::Connect),
        1 => Just(Act::Disconnect),
        1 => Just(Act::LoseWatches),
        8 => any::<prop::sample::Index>().prop_map(Act::Perform),
        1 => any::<prop::sample::Index>().prop_map(Act::Fail),
        8 => any::<prop::sample::Index>().prop_map(Act::Arrive),
        2 => (0u64..6_000).prop_map(Act::Wait),
    ]
}

proptest! {
    #[test]
    fn the_members_equal_the_nodes_after_any_history(acts in vec(any_act(), 0..100), hold in 0u64..9_000) {
        let mut world = World::new(Millis(hold));
        for act in &acts {
            world.act(act);
        }
        world.settle();
        prop_assert_eq!(world.members(), &world.expected());
    }

    #[test]
    fn without_a_connection_the_last_members_stay_marked_stale(acts in vec(any_act(), 0..100)) {
        let mut world = World::new(Millis(0));
        world.put("x", data_of(9));
        world.settle();
        for act in &acts {
            world.act(act);
            if !world.connected {
                prop_assert!(world.members().stale);
            }
        }
    }
}

fn settled(names: &[&str]) -> World {
    let mut world = World::new(Millis(0));
    for name in names {
        world.put(name, data_of(9));
    }
    world.settle();
    (world.lists, world.reads) = (0, 0);
    world
}

/// Answers everything under way; no time passes and nothing reconnects.
fn flow(world: &mut World) {
    while !(world.requests.is_empty() && world.coming.is_empty()) {
        for input in std::mem::take(&mut world.coming) {
            world.core.handle(world.now, input);
        }
        world.input(Input::Timeout);
        while !world.requests.is_empty() {
            world.perform(0);
        }
    }
}

#[test]
fn a_change_costs_what_the_documentation_says() {
    let mut world = settled(&["a", "b", "c"]);
    world.put("d", data_of(9));
    flow(&mut world);
    assert_eq!((world.lists, world.reads), (1, 1), "one came");

    world.put("a", data_of(8));
    flow(&mut world);
    assert_eq!((world.lists, world.reads), (1, 2), "one changed");

    world.delete("b");
    flow(&mut world);
    assert_eq!((world.lists, world.reads), (2, 2), "one went");
    assert_eq!(world.members(), &world.expected());
}

#[test]
fn a_name_that_is_used_again_is_read_again() {
    let mut world = settled(&["a"]);
    world.delete("a");
    world.put("a", data_of(8));
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
}

#[test]
fn a_late_deletion_event_does_not_hide_the_next_node_of_that_name() {
    let mut world = settled(&["a"]);
    world.delete("a");
    world.put("a", data_of(8));
    let deleted = world.coming.remove(0);
    flow(&mut world);
    world.input(deleted);
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
}

#[test]
fn members_are_published_only_when_all_are_read() {
    let mut world = World::new(Millis(0));
    (0..10).for_each(|name| world.put(&name.to_string(), data_of(9)));
    world.act(&Act::Connect);
    world.perform(0);
    let listed = world.coming.remove(0);
    world.input(listed);
    assert_eq!(world.requests.len(), 4, "four reads at a time");
    world.put("later", data_of(9));
    let fired = world.coming.remove(0);
    world.input(fired);
    assert!(!world.requests.contains(&Output::List), "first the reads of the last list");
    assert_eq!(world.members, None);
    flow(&mut world);
    assert_eq!(world.members().len(), 11);
}

#[test]
fn the_last_members_are_held_for_the_configured_time() {
    let mut world = World::new(Millis(1_000));
    world.put("a", data_of(9));
    world.settle();
    world.delete("a");
    flow(&mut world);
    assert!(world.members().stale && world.members().len() == 1);
    world.act(&Act::Wait(999));
    assert!(world.members().stale && world.members().len() == 1);
    world.act(&Act::Wait(1));
    assert_eq!(world.members(), &Members::default());
}

#[test]
fn a_service_without_nodes_has_no_members() {
    let world = settled(&[]);
    assert_eq!(world.members(), &Members::default());
}

#[test]
fn an_unreadable_node_is_skipped_and_read_again_until_it_is_readable() {
    let mut world = settled(&["a"]);
    world.put("b", data_of(9));
    world.locked.insert("b".into());
    flow(&mut world);
    assert_eq!(world.members().skipped[0].to_string(), "b: cannot be read: locked");
    assert_eq!(world.members().len(), 1);

    // Reads become rarer: within an hour two to three a minute, and at least one every half minute.
    let (begun, mut longest) = (world.now, Millis(0));
    while world.now.since(begun) < Millis(3_600_000) {
        let (before, at) = (world.now, world.core.poll_deadline().expect("it is read again"));
        longest = longest.max(at.since(before));
        world.act(&Act::Wait(at.since(before).0));
        flow(&mut world);
    }
    assert!((120..180).contains(&world.reads), "{}", world.reads);
    assert_eq!(longest.max(MAX_PATIENT_PAUSE), MAX_PATIENT_PAUSE);

    world.locked.clear();
    world.act(&Act::Wait(MAX_PATIENT_PAUSE.0));
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
    assert_eq!(world.core.poll_deadline(), None);
}

#[test]
fn each_unreadable_node_has_its_own_retry_and_none_once_it_is_deleted() {
    let mut world = settled(&[]);
    world.put("old", data_of(9));
    world.locked.extend(["old".into(), "new".into()]);
    flow(&mut world);
    for _ in 0..20 {
        world.act(&Act::Wait(MAX_PATIENT_PAUSE.0));
        flow(&mut world);
    }
    world.put("new", data_of(9));
    flow(&mut world);
    let soon = world.core.poll_deadline().unwrap().since(world.now);
    assert!(soon <= Millis(50), "{soon}: the long pauses of the old node are not the new one's");
    world.delete("new");
    world.delete("old");
    flow(&mut world);
    assert_eq!(world.core.poll_deadline(), None);
}

#[test]
fn a_broken_node_is_read_again_if_nodes_are_not_watched() {
    let mut world = settled(&[]);
    world.core = Core::new(7, 4, false, Millis(0));
    world.members = None;
    world.put("a", data_of(9));
    world.put("b", String::new());
    world.input(Input::Connected);
    flow(&mut world);
    assert_eq!(world.members().skipped.len(), 1);
    world.watched.clear();
    world.put("b", data_of(8));
    let reads = world.reads;
    world.act(&Act::Wait(MAX_PATIENT_PAUSE.0));
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
    assert_eq!(world.reads - reads, 1, "only the broken node is read");
}

#[test]
fn a_deferred_read_keeps_the_last_value_and_hides_no_other_node() {
    let mut world = settled(&["a"]);
    // A new node and a known one, whose reads the server defers again and again.
    world.put("b", data_of(8));
    world.put("a", data_of(7));
    for _ in 0..10 {
        for input in std::mem::take(&mut world.coming) {
            world.input(input);
        }
        while let Some(request) = world.requests.pop() {
            match request {
                Output::List => {
                    world.requests.push(request);
                    world.perform(0);
                }
                Output::Read { id, read } => {
                    world.coming.push(Input::Read {
                        id,
                        read,
                        outcome: ReadOutcome::Deferred("later".into()),
                    });
                }
                Output::Publish(_) => unreachable!("not a request"),
            }
        }
    }
    assert_eq!(world.members().skipped[0].to_string(), "b: cannot be read: later");
    assert_eq!(world.members().instances[&id("a")].port(), 9);
    world.act(&Act::Wait(MAX_PATIENT_PAUSE.0));
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
}
