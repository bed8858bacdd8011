//! Permissions on zk-mini: each operation against each permission, as Apache ZooKeeper answers. `3.8.txt` and `3.9.txt` are
//! the real servers' tables; the differential tests check that they still are.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use integration_tests::differential::access;
use integration_tests::differential::servers::{self, Settings};
use zk_mini::core::Compat;

#[track_caller]
fn assert_same_table(compat: Compat, kept: &str, is_ours: impl Fn(&str) -> bool) {
    let mini = servers::mini(Settings { extended_types: true, ..Settings::of(compat) }).unwrap();
    let table = access::table(mini.addr()).unwrap();
    assert_eq!(table.lines().count(), kept.lines().count());
    for (ours, theirs) in table.lines().zip(kept.lines()) {
        if !is_ours(ours) {
            assert_eq!(ours, theirs);
        }
    }
}

/// Returns whether a line is about `deleteContainer`, the server's own operation: 3.9 does it for everybody, and 3.8 closes the
/// connection.
fn is_delete_container(line: &str) -> bool {
    line.starts_with("deleteContainer ")
}

/// Returns whether a line is about `setWatches`: 3.9.5 tells what was missed to those who may not read it, 3.8.7 does not.
fn is_set_watches(line: &str) -> bool {
    line.starts_with("setWatches")
}

#[test]
fn set_watches_is_as_in_3_8_in_both_lines() {
    let mini = servers::mini(Settings { extended_types: true, ..Settings::of(Compat::V3_9) }).unwrap();
    let table = access::table(mini.addr()).unwrap();
    let ours: Vec<_> = table.lines().filter(|line| is_set_watches(line)).collect();
    let theirs: Vec<_> = include_str!("3.8.txt").lines().filter(|line| is_set_watches(line)).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn everybody_may_do_what_apache_zookeeper_3_8_lets_them_do() {
    assert_same_table(Compat::V3_8, include_str!("3.8.txt"), is_delete_container);
}

#[test]
fn everybody_may_do_what_apache_zookeeper_3_9_lets_them_do() {
    assert_same_table(Compat::V3_9, include_str!("3.9.txt"), |line| {
        is_delete_container(line) || is_set_watches(line)
    });
}

#[test]
fn nobody_deletes_a_container_by_the_servers_own_operation() {
    let mini = servers::mini(Settings { extended_types: true, ..Settings::of(Compat::V3_9) }).unwrap();
    let table = access::table(mini.addr()).unwrap();
    let lines: Vec<&str> = table.lines().filter(|line| is_delete_container(line)).collect();
    assert!(lines.len() > 6, "of everybody's nodes and of the system's");
    let cells = lines.iter().flat_map(|line| line.split_whitespace());
    let codes: Vec<i32> = cells.filter_map(|cell| cell.parse().ok()).collect();
    assert!(codes.len() > 70 && codes.iter().all(|&code| code == -8), "{lines:#?}");
}
