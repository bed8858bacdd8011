//! Permissions on zk-mini: each operation against each permission, as on Apache ZooKeeper. `3.8.txt` and `3.9.txt` are the
//! tables of the real servers; the differential tests check that.

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

/// Returns true for a line about `deleteContainer`, an operation of the server itself: 3.9 performs it for every client, and
/// 3.8 closes the connection.
fn is_delete_container(line: &str) -> bool {
    line.starts_with("deleteContainer ")
}

/// Returns true for a line about `setWatches`: 3.9.5 reports missed events to clients that may not read the node, 3.8.7 does
/// not.
fn is_set_watches(line: &str) -> bool {
    line.starts_with("setWatches")
}

#[test]
fn set_watches_behaves_as_3_8_in_both_lines() {
    let mini = servers::mini(Settings { extended_types: true, ..Settings::of(Compat::V3_9) }).unwrap();
    let table = access::table(mini.addr()).unwrap();
    let ours: Vec<_> = table.lines().filter(|line| is_set_watches(line)).collect();
    let theirs: Vec<_> = include_str!("3.8.txt").lines().filter(|line| is_set_watches(line)).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn permissions_are_those_of_apache_zookeeper_3_8() {
    assert_same_table(Compat::V3_8, include_str!("3.8.txt"), is_delete_container);
}

#[test]
fn permissions_are_those_of_apache_zookeeper_3_9() {
    assert_same_table(Compat::V3_9, include_str!("3.9.txt"), |line| {
        is_delete_container(line) || is_set_watches(line)
    });
}

#[test]
fn no_client_may_use_delete_container() {
    let mini = servers::mini(Settings { extended_types: true, ..Settings::of(Compat::V3_9) }).unwrap();
    let table = access::table(mini.addr()).unwrap();
    let lines: Vec<&str> = table.lines().filter(|line| is_delete_container(line)).collect();
    assert!(lines.len() > 6, "of ordinary nodes and of those of the system");
    let cells = lines.iter().flat_map(|line| line.split_whitespace());
    let codes: Vec<i32> = cells.filter_map(|cell| cell.parse().ok()).collect();
    assert!(codes.len() > 70 && codes.iter().all(|&code| code == -8), "{lines:#?}");
}
