//! The harness itself: servers start, fail over and come back; missing software is named.

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::four_letter;
use integration_tests::wait::{PATIENCE, eventually};

#[test]
fn a_lone_server_serves() {
    let zk = RealZooKeeper::standalone().unwrap();
    assert_eq!(four_letter::ask(zk.addr(0), "ruok").unwrap(), "imok");
    assert_eq!(four_letter::mode(zk.addr(0)).as_deref(), Some("standalone"));
}

#[test]
fn an_ensemble_chooses_another_leader_and_takes_the_old_one_back() {
    let mut zk = RealZooKeeper::ensemble().unwrap();
    let leader = zk.leader().unwrap();
    zk.kill(leader);
    eventually("another leader", PATIENCE, || zk.leader().is_some_and(|other| other != leader));
    zk.restart(leader).unwrap();
    assert_eq!(four_letter::mode(zk.addr(leader)).as_deref(), Some("follower"));
}

#[test]
fn missing_software_is_named_with_the_remedy() {
    let without_java = RealZooKeeper::builder().java("/nowhere/java").start().err().unwrap().to_string();
    assert!(without_java.contains("/nowhere/java is missing: run ci/setup"), "{without_java}");
    let without_jars = RealZooKeeper::builder().jars("/nowhere").start().err().unwrap().to_string();
    assert!(without_jars.contains("/nowhere is missing: run ci/setup"), "{without_jars}");
}
