//! Operations of kazoo, one by one, on zk-mini and on the real server.

use std::time::Duration;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::process::Process;
use integration_tests::programs::{self, ServeProcess};

#[test]
fn kazoo_works_on_apache_zookeeper() {
    let zk = RealZooKeeper::standalone().unwrap();
    run_operations(&zk.connect_string());
}

#[test]
fn kazoo_works_on_zk_mini() {
    let zk = ServeProcess::start();
    run_operations(&zk.addr().to_string());
}

/// A Python project runs its tests in this way: `zk-mini exec --` before the command starts the server.
#[test]
fn a_python_test_suite_runs_under_zk_mini_exec() {
    let suite = programs::python("tests/interop/operations.py");
    let mut exec = Process::start(
        programs::zk_mini().args(["exec", "--"]).arg(suite.get_program()).args(suite.get_args()),
    );
    assert!(exec.wait_for(Duration::from_secs(60)).success(), "{exec}");
    exec.assert_nothing_left();
}

fn run_operations(servers: &str) {
    let mut tests = Process::start(programs::python("tests/interop/operations.py").env("ZK_HOSTS", servers));
    let status = tests.wait_for(Duration::from_secs(60));
    assert!(status.success(), "{tests}");
}
