//! The core against a server of one service, with answers and events in any order.

mod world;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::merge::merge;
use crate::retry::MAX_PATIENT_PAUSE;
use world::{Act, World, data_of, id};

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0u8..6, 0u8..6).prop_map(|(name, data)| Act::Put(name, data)),
        3 => (0u8..6).prop_map(Act::Delete),
        2 => (0u8..6, 0u8..6).prop_map(|(name, data)| Act::Replace(name, data)),
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
    fn the_members_equal_the_nodes_after_any_history(
        acts in vec(any_act(), 0..100),
        spread in prop_oneof![Just(0), 0u64..9_000],
    ) {
        let mut world = World::new(Millis(spread));
        for act in &acts {
            world.act(act);
        }
        world.settle();
        prop_assert_eq!(world.members(), &world.expected());
    }

    #[test]
    fn two_formats_are_joined_after_any_history(
        acts in vec((any::<bool>(), any_act()), 0..100),
        spread in prop_oneof![Just(0), 0u64..9_000],
    ) {
        let mut worlds = [World::new(Millis(spread)), World::new(Millis(spread))];
        for (second, act) in &acts {
            worlds[usize::from(*second)].act(act);
        }
        worlds.iter_mut().for_each(World::settle);
        let [first, second] = worlds.each_ref().map(World::expected);
        let merged = merge(worlds.each_ref().map(World::members));
        for (id, instance) in &first.instances {
            prop_assert_eq!(merged.instances.get(id), Some(instance));
        }
        for (id, instance) in &second.instances {
            let hidden = first.instances.contains_key(id) || first.instances.values().any(|one| one == instance);
            let expected = if hidden { first.instances.get(id) } else { Some(instance) };
            prop_assert_eq!(merged.instances.get(id), expected);
        }
        prop_assert!(merged.instances.keys().all(|id| first.instances.contains_key(id) || second.instances.contains_key(id)));
        let broken = |members: &Members| members.skipped.iter().map(|skipped| skipped.id.clone()).collect::<BTreeSet<_>>();
        let mut expected: BTreeSet<_> = broken(&first).union(&broken(&second)).cloned().collect();
        expected.retain(|id| !first.instances.contains_key(id) && !second.instances.contains_key(id));
        prop_assert_eq!(broken(&merged), expected);
    }

    #[test]
    fn a_change_is_asked_for_once_and_within_the_spread(
        acts in vec(prop_oneof![(0u8..6, 2u8..6).prop_map(|(name, data)| Act::Put(name, data)), (0u8..6).prop_map(Act::Delete)], 1..30),
        spread in 1u64..9_000,
    ) {
        let mut world = World::new(Millis(spread));
        for name in 0..6 {
            world.put(&format!("x{name}"), data_of(9));
        }
        world.settle();
        (world.lists, world.reads) = (0, 0);
        let begun = world.now;
        for act in &acts {
            world.act(act);
            flow(&mut world);
        }
        prop_assert_eq!((world.lists, world.reads), (0, 0), "no time has passed");
        if let Some(due) = world.core.poll_deadline() {
            prop_assert!(due.since(begun) <= Millis(spread));
            world.act(&Act::Wait(due.since(begun).0));
            flow(&mut world);
        }
        prop_assert_eq!(world.members(), &world.expected());
        prop_assert!(world.lists <= 1 && world.reads <= world.expected().len(), "{} {}", world.lists, world.reads);
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
fn a_loss_of_all_remembers_what_went_within_seconds() {
    let mut world = settled(&["a", "b", "c", "d"]);
    world.delete("a");
    flow(&mut world);
    world.act(&Act::Wait(10_000));
    for name in ["b", "c"] {
        world.delete(name);
        flow(&mut world);
        assert_eq!(world.lost, None, "a partial loss");
        world.act(&Act::Wait(2_000));
    }
    world.put("d", String::new());
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
    let lost = world.lost.clone().expect("no instance is left");
    assert_eq!(lost.members.instances.keys().map(InstanceId::as_str).collect::<Vec<_>>(), ["b", "c", "d"]);
    assert_eq!(lost.at, world.now);

    world.act(&Act::Wait(1_000));
    world.delete("d");
    flow(&mut world);
    assert_eq!(world.lost, Some(lost), "nothing more was lost");
    world.put("e", data_of(9));
    flow(&mut world);
    assert_eq!(world.lost, None);
}

#[test]
fn reconnected_clients_do_not_ask_at_once() {
    let mut world = World::new(Millis(1_000));
    world.put("a", data_of(9));
    world.act(&Act::Connect);
    assert_eq!(world.requests, [Output::List], "the first list does not wait");
    flow(&mut world);
    let mut pauses = BTreeSet::new();
    for _ in 0..20 {
        world.act(&Act::Disconnect);
        world.act(&Act::Connect);
        assert_eq!(world.requests, []);
        let due = world.core.poll_deadline().expect("the list is due");
        pauses.insert(due.since(world.now));
        world.act(&Act::Wait(due.since(world.now).0));
        assert_eq!(world.requests, [Output::List]);
        flow(&mut world);
        assert_eq!(world.members(), &world.expected());
    }
    assert!(pauses.len() > 10 && pauses.iter().all(|pause| *pause <= Millis(1_000)), "{pauses:?}");

    let mut waiting = World::new(Millis(1_000));
    waiting.act(&Act::Disconnect);
    waiting.act(&Act::Connect);
    assert_eq!(waiting.requests, [], "all that wait for the servers come at the same time");
}

#[test]
fn a_deleted_node_goes_at_once_whatever_the_spread() {
    let mut world = World::new(Millis(1_000_000));
    world.put("a", data_of(9));
    world.settle();
    world.delete("a");
    flow(&mut world);
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
fn a_node_that_is_replaced_under_its_name_is_read_again_and_never_missing() {
    let mut world = settled(&["3", "4"]);
    world.replace("3", data_of(8));
    world.delete("4");
    // The events arrive one by one, that of the list first, before any answer.
    world.coming.sort_by_key(|input| !matches!(input, Input::ListChanged));
    for input in std::mem::take(&mut world.coming) {
        world.input(input);
        assert_eq!(world.members().len(), 2);
    }
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
    assert_eq!((world.lists, world.reads), (1, 1));
}

#[test]
fn a_broken_node_is_read_again_if_nodes_are_not_watched() {
    let mut world = settled(&[]);
    world.is_blind = true;
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
                Output::Publish(..) => unreachable!("not a request"),
            }
        }
    }
    assert_eq!(world.members().skipped[0].to_string(), "b: cannot be read: later");
    assert_eq!(world.members().instances[&id("a")].port(), 9);
    world.act(&Act::Wait(MAX_PATIENT_PAUSE.0));
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
}
