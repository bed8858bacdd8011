//! The demonstration on a real Apache ZooKeeper ensemble.

use std::process::Command;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::process::Process;
use integration_tests::wait::PATIENCE;

#[test]
fn the_demonstration_succeeds_on_three_real_servers() {
    let zk = RealZooKeeper::ensemble().unwrap();
    let mut demo =
        Process::start(Command::new(env!("CARGO_BIN_EXE_demo")).args(["--zookeeper", &zk.connect_string()]));
    assert!(demo.wait_for(3 * PATIENCE).success(), "{demo}");
    assert!(demo.stdout().contains("everything is stopped"), "{demo}");
    demo.assert_nothing_left();
}
