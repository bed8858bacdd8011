//! Producer and consumer of the tutorial, as processes.

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::process::Process;
use integration_tests::programs::{self, ServeProcess};
use nix::sys::signal::Signal;

#[test]
fn the_tutorial_works_on_apache_zookeeper() {
    let zk = RealZooKeeper::standalone().unwrap();
    producers_come_and_go(&zk.connect_string());
}

#[test]
fn the_tutorial_works_on_zk_mini() {
    let zk = ServeProcess::start();
    producers_come_and_go(&zk.addr().to_string());
}

/// Runs a consumer that sees producers start, leave, be killed, and hang.
fn producers_come_and_go(servers: &str) {
    let mut consumer = Process::start(programs::tutorial("consumer.py").arg(servers));
    consumer.line_with("[]");

    let mut leaving = producer(servers, "127.0.0.1:8001");
    consumer.line_with(r#"["127.0.0.1:8001"]"#);
    let mut killed = producer(servers, "127.0.0.1:8002");
    consumer.line_with(r#"["127.0.0.1:8001", "127.0.0.1:8002"]"#);
    assert!(leaving.terminate().success(), "{leaving}");
    consumer.line_with(r#"["127.0.0.1:8002"]"#);
    killed.signal(Signal::SIGKILL);
    consumer.line_with("[]");

    let mut hanging = producer(servers, "127.0.0.1:8003");
    consumer.line_with(r#"["127.0.0.1:8003"]"#);
    hanging.signal(Signal::SIGSTOP);
    consumer.line_with("[]");

    assert!(consumer.terminate().success(), "{consumer}");
}

fn producer(servers: &str, address: &str) -> Process {
    let mut command = programs::tutorial("producer.py");
    let mut producer = Process::start(command.args([servers, address, "--session-timeout", "2"]));
    producer.line_with("announced /demo/rpc00000000");
    producer
}
