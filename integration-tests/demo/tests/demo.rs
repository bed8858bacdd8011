//! The demonstration and its halves, as a newcomer runs them.

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

/// A server with two workers on a free port, and its address.
fn server(zk: &ZkMini) -> (Process, String) {
    let zookeeper = zk.connect_string();
    let mut server =
        demo(&["server", "--listen", "127.0.0.1:0", "--workers", "2", "--zookeeper", &zookeeper]);
    let addr = server.line_with("ready ").trim_start_matches("ready ").to_owned();
    (server, addr)
}

/// Calls the service; the JSON object in its last line.
fn call(zk: &ZkMini, calls: u64) -> Value {
    let (zookeeper, calls) = (zk.connect_string(), calls.to_string());
    let mut client = demo(&["client", "--zookeeper", &zookeeper, "--calls", &calls, "--concurrency", "16"]);
    assert!(client.wait().success(), "{client}");
    serde_json::from_str(client.stdout().lines().last().unwrap_or_default()).expect("a line of JSON")
}

fn workers(zk: &ZkMini) -> usize {
    zk.direct().children("/demo").map_or(0, |workers| workers.len())
}

#[test]
fn everything_that_it_shows_is_so() {
    let mut demo = demo(&[]);
    assert!(demo.wait().success(), "{demo}");
    assert!(demo.stdout().contains("everything is stopped"), "{demo}");
    demo.assert_nothing_left();
}

#[test]
fn what_it_started_ends_with_it_however_it_ends() {
    let mut demo = demo(&[]);
    demo.line_with("the first server is ready");
    demo.signal(Signal::SIGKILL);
    demo.wait();
    demo.assert_nothing_left();
}

#[test]
fn a_log_that_nobody_takes_ends_nothing() {
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
async fn the_halves_find_each_other() {
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
    eventually("the workers are out of the registry", PATIENCE, || workers(&zk) == 0);
    server.assert_nothing_left();
}

#[test]
fn an_unreachable_registry_is_an_error_that_names_it() {
    // At once, since each takes its time before it gives up.
    let client = demo(&["client", "--zookeeper", "127.0.0.1:1", "--calls", "1"]);
    let show = demo(&["--zookeeper", "127.0.0.1:1"]);
    let mut server = demo(&["server", "--zookeeper", "127.0.0.1:1", "--listen", "127.0.0.1:0"]);
    for mut half in [client, show] {
        assert_eq!(half.wait().code(), Some(1), "{half}");
        assert!(half.stderr().contains("127.0.0.1:1"), "{half}");
    }
    // A server goes on trying for a while; it says why it has to.
    eventually("the server says why", PATIENCE, || server.stderr().contains("127.0.0.1:1"));
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
