//! Our RPC protocol in Python, written from its documentation alone.

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::process::Process;
use integration_tests::programs;

#[test]
fn a_python_client_calls_a_python_server() {
    let zk = RealZooKeeper::standalone().unwrap();
    let servers = zk.connect_string();
    let mut server = Process::start(programs::tutorial("rpc_server.py").arg(&servers));
    server.line_with("ready 127.0.0.1:");

    let call = |method, request| {
        Process::start(programs::tutorial("rpc_client.py").args([servers.as_str(), method, request]))
    };
    let reply = call("echo", r#"{"n": 7}"#).line_with("echo");
    assert_eq!(reply, format!(r#"{{"echo": {{"n": 7}}, "from": "python-{}"}}"#, server.pid()));
    let mut refused = call("nothing", "{}");
    assert!(!refused.wait().success());
    assert!(refused.stderr().contains("(12, 'no method nothing')"), "{refused}");

    assert!(server.terminate().success(), "{server}");
}
