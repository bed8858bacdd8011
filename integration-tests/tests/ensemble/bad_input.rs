//! What we hold our server to is what the real one does.

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::scenarios::bad_input;

#[test]
fn bad_input_to_apache_zookeeper_hurts_only_who_sends_it() {
    let zk = RealZooKeeper::standalone().unwrap();
    bad_input::bad_input_disturbs_no_other_client(zk.addr(0));
}
