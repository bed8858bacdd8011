use std::sync::Arc;

use common::Millis;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use super::super::scope::Scope;
use super::super::tree::TreeChange;
use super::What;
use world::{Act, PATHS, World};

mod world;

fn act() -> impl Strategy<Value = Act> {
    let path = || 0..PATHS.len();
    prop_oneof![
        6 => (path(), 0..4_u8).prop_map(|(path, data)| Act::Put(path, data)),
        3 => path().prop_map(Act::Delete),
        1 => path().prop_map(Act::Lock),
        1 => path().prop_map(Act::Unlock),
        1 => Just(Act::Connect),
        1 => Just(Act::Disconnect),
        1 => Just(Act::Overflow),
        5 => Just(Act::Perform),
        5 => any::<prop::sample::Index>().prop_map(Act::Arrive),
        1 => (1..40_000_u64).prop_map(Act::Wait),
    ]
}

fn whole() -> Scope {
    Scope::new("/t", 9, None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_copy_equals_the_tree_in_the_end(acts in prop::collection::vec(act(), 0..80), data in any::<bool>()) {
        let mut world = World::new(whole(), data);
        let mut has_locks = false;
        for act in &acts {
            has_locks |= matches!(act, Act::Lock(_) | Act::Unlock(_));
            world.act(act);
        }
        world.act(&Act::Connect);
        if has_locks {
            // No event tells of an ACL.
            world.act(&Act::Overflow);
        }
        world.settle();
        world.check();
    }

    #[test]
    fn the_copy_equals_its_part_of_the_tree(acts in prop::collection::vec(act(), 0..60), depth in 0..3_usize) {
        let filter: Arc<dyn Fn(&str) -> bool + Send + Sync> = Arc::new(|path| !path.ends_with("/b"));
        let mut world = World::new(Scope::new("/t", depth, Some(filter)), true);
        for act in acts.iter().filter(|act| !matches!(act, Act::Lock(_) | Act::Unlock(_))) {
            world.act(act);
        }
        world.act(&Act::Connect);
        world.settle();
        world.check();
    }
}

/// Returns a world with nodes that the core has read.
fn read(paths: &[&str]) -> World {
    let mut world = World::new(whole(), true);
    for path in paths {
        world.put(path, "1");
    }
    world.act(&Act::Connect);
    world.settle();
    world.reads.clear();
    world
}

#[test]
fn each_node_is_read_once_and_those_with_children_are_listed() {
    let mut world = World::new(whole(), true);
    for path in ["/t", "/t/a", "/t/a/b", "/t/c"] {
        world.put(path, "1");
    }
    world.act(&Act::Connect);
    assert!(world.tree.is_none(), "a copy is published when it is complete");
    world.settle();
    world.check();
    let listed: Vec<_> = world.reads.iter().filter(|(_, what)| *what == What::Children).collect();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(world.reads.len(), 6, "{:?}", world.reads);
}

#[test]
fn a_change_costs_one_read_and_a_deletion_none() {
    let mut world = read(&["/t", "/t/a", "/t/a/b"]);
    world.put("/t/a", "2");
    world.put("/t/a/new", "1");
    world.settle();
    world.check();
    assert_eq!(world.take_reads(), [("/t/a", What::Data), ("/t/a/new", What::Data)]);
    world.delete("/t/a/b");
    world.settle();
    world.check();
    assert_eq!(world.take_reads(), []);
}

#[test]
fn after_a_gap_only_what_changed_is_read_with_its_data() {
    let mut world = read(&["/t", "/t/a", "/t/a/b", "/t/c", "/t/c/d"]);
    let before = world.tree.clone().unwrap();
    world.act(&Act::Disconnect);
    assert!(world.tree.as_ref().unwrap().is_stale());
    world.put("/t/a", "2");
    world.delete("/t/c/d");
    world.act(&Act::Connect);
    assert!(world.tree.as_ref().unwrap().is_stale(), "it has not looked yet");
    world.settle();
    world.check();
    let mut reads = world.take_reads();
    reads.retain(|(_, what)| *what != What::Stat);
    assert_eq!(reads, [("/t/a", What::Data), ("/t/c", What::Children)]);
    let changes = [TreeChange::Changed("/t/a".into()), TreeChange::Removed("/t/c/d".into())];
    assert_eq!(before.diff(world.tree.as_ref().unwrap()), changes);
}

#[test]
fn a_subtree_without_a_change_is_shared_by_the_copies() {
    let mut world = read(&["/t", "/t/a", "/t/a/b", "/t/c"]);
    let before = world.tree.clone().unwrap();
    world.put("/t/c", "2");
    world.settle();
    let next = world.tree.clone().unwrap();
    let child = |tree: &super::Tree| Arc::clone(tree.root.as_ref().unwrap().children.get("a").unwrap());
    assert!(Arc::ptr_eq(&child(&before), &child(&next)));
    assert_eq!(before.diff(&next), [TreeChange::Changed("/t/c".into())]);
}

#[test]
fn a_node_that_may_not_be_read_is_skipped_and_found_when_it_may_be() {
    let mut world = World::new(whole(), true);
    for path in ["/t", "/t/a", "/t/a/b", "/t/c"] {
        world.put(path, "1");
    }
    world.locked.insert("/t/a".to_owned());
    world.act(&Act::Connect);
    world.settle();
    world.check();
    let tree = world.tree.clone().unwrap();
    assert_eq!(tree.skipped().keys().collect::<Vec<_>>(), ["/t/a"]);
    assert!(!tree.is_stale());

    world.locked.clear();
    world.act(&Act::Wait(30_000));
    world.settle();
    world.check();
    assert!(world.tree.as_ref().unwrap().skipped().is_empty());
}

#[test]
fn a_node_that_stays_locked_is_tried_ever_less_often_and_told_once() {
    let mut world = World::new(whole(), true);
    world.put("/t", "1");
    world.put("/t/a", "1");
    world.locked.insert("/t/a".to_owned());
    world.act(&Act::Connect);
    world.settle();
    let told = world.tree.clone().unwrap();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let at = world.core.poll_deadline().unwrap();
        pauses.push(at.0 - world.now.0);
        world.now = at;
        world.input(super::Input::Timeout);
        world.settle();
        assert!(std::ptr::eq(world.tree.as_ref().unwrap().skipped(), told.skipped()), "nothing is new");
    }
    assert!(pauses[0] < 2_000 && pauses[7] > 10_000, "{pauses:?}");
}

#[test]
fn reads_that_fail_are_repeated_with_pauses() {
    let mut world = read(&["/t"]);
    world.put("/t", "2");
    world.arrive_all();
    for attempt in 0..4 {
        world.fail_one();
        assert_eq!(world.core.poll_deadline().is_some(), attempt > 0, "the first failure is free");
        if let Some(at) = world.core.poll_deadline() {
            world.now = at.max(world.now + Millis(1));
            world.input(super::Input::Timeout);
        }
    }
    world.settle();
    world.check();
}
