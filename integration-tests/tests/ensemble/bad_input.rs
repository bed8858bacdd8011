//! The scenario of bad input on the real server.

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::scenarios::bad_input;

#[test]
fn bad_input_to_apache_zookeeper_disturbs_no_other_client() {
    let zk = RealZooKeeper::standalone().unwrap();
    bad_input::bad_input_disturbs_no_other_client(zk.addr(0));
}
