//! The demonstration, its server and its client, as a newcomer runs them.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod stay;

use std::process::{Command, Stdio};

use integration_tests::process::Process;
use integration_tests::wait::{PATIENCE, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::net::TcpStream;
use zk_mini::ZkMini;

fn demo(args: &[&str]) -> Process {
    Process::start(Command::new(env!("CARGO_BIN_EXE_demo")).args(args))
}

/// Starts a server with two workers on a free port. Returns its address, too.
fn server(zk: &ZkMini) -> (Process, String) {
    let zookeeper = zk.connect_string();
    let mut server =
        demo(&["server", "--listen", "127.0.0.1:0", "--workers", "2", "--zookeeper", &zookeeper]);
    let addr = server.line_with("ready ").trim_start_matches("ready ").to_owned();
    (server, addr)
}

/// Calls the service, and returns the JSON object of the last line.
fn call(zk: &ZkMini, calls: u64) -> Value {
    let (zookeeper, calls) = (zk.connect_string(), calls.to_string());
    let mut client = demo(&["client", "--zookeeper", &zookeeper, "--calls", &calls, "--concurrency", "16"]);
    assert!(client.wait().success(), "{client}");
    serde_json::from_str(client.stdout().lines().last().unwrap_or_default()).expect("a line of JSON")
}

fn workers(zk: &ZkMini) -> usize {
    zk.children("/demo").map_or(0, |workers| workers.len())
}

#[test]
fn the_demonstration_succeeds_and_leaves_nothing_behind() {
    let mut demo = demo(&[]);
    assert!(demo.wait().success(), "{demo}");
    assert!(demo.stdout().contains("everything is stopped"), "{demo}");
    demo.assert_nothing_left();
}

#[test]
fn its_processes_end_when_the_demonstration_is_killed() {
    let mut demo = demo(&[]);
    demo.line_with("the first server is ready");
    demo.signal(Signal::SIGKILL);
    demo.wait();
    demo.assert_nothing_left();
}

#[test]
fn a_log_that_cannot_be_written_does_not_end_it() {
    let (nobody, closed) = std::io::pipe().unwrap();
    drop(nobody);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    for stderr in [Stdio::from(closed), Stdio::from(full)] {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
        demo.stdout(Stdio::null()).stderr(stderr).env("RUST_LOG", "trace");
        assert!(demo.status().unwrap().success());
    }
}

#[test]
fn a_full_standard_output_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status =
        Command::new(env!("CARGO_BIN_EXE_demo")).stdout(full).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_finds_the_server() {
    let zk = ZkMini::start().await.unwrap();
    let (mut server, addr) = server(&zk);
    assert_eq!(workers(&zk), 2);
    let counts = call(&zk, 500);
    assert_eq!((&counts["calls"], &counts["ok"], &counts["failed"]), (&500.into(), &500.into(), &0.into()));
    let answered: u64 = counts["by_pid"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(answered, 500);

    assert!(server.terminate().success(), "{server}");
    assert_eq!(workers(&zk), 0, "each worker has closed its session");
    assert!(TcpStream::connect(addr).await.is_err());
    server.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_leave_when_their_parent_is_killed() {
    let zk = ZkMini::start().await.unwrap();
    let (mut server, _) = server(&zk);
    server.signal(Signal::SIGKILL);
    assert!(!server.wait().success());
    eventually("the workers are gone from the registry", PATIENCE, || workers(&zk) == 0);
    server.assert_nothing_left();
}

#[test]
fn an_unreachable_registry_is_an_error_that_names_it() {
    // All at the same time, because each tries for a while before it gives up.
    let client = demo(&["client", "--zookeeper", "127.0.0.1:1", "--calls", "1"]);
    let show = demo(&["--zookeeper", "127.0.0.1:1"]);
    let mut server = demo(&["server", "--zookeeper", "127.0.0.1:1", "--listen", "127.0.0.1:0"]);
    for mut half in [client, show] {
        assert_eq!(half.wait().code(), Some(1), "{half}");
        assert!(half.stderr().contains("127.0.0.1:1"), "{half}");
    }
    // A server tries for longer, and logs the cause.
    eventually("the server logs the cause", PATIENCE, || server.stderr().contains("127.0.0.1:1"));
    assert!(server.terminate().success(), "{server}");
    server.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_an_error_that_names_it() {
    let zk = ZkMini::start().await.unwrap();
    let taken = zk.connect_string();
    let mut server = demo(&["server", "--listen", &taken, "--zookeeper", &taken]);
    assert_eq!(server.wait().code(), Some(1), "{server}");
    assert!(server.stderr().contains(&taken), "{server}");
}
