//! Real worker processes behind one address, without a registry.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rpc_server::{Code, Format, Limits, Prefork, PreforkError, PreforkOptions, Service};
use rpc_wire::CallId;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::peer::{Answer, PATIENCE, RawClient, ok};

fn command(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpc-server-fixture"));
    command.args(args.split_whitespace()).stdout(Stdio::piped());
    command
}

/// The fixture; asked to stop when dropped, so that no worker stays behind.
struct Fixture {
    parent: Child,
    lines: Lines<BufReader<ChildStdout>>,
    addr: SocketAddr,
}

impl Fixture {
    async fn start(args: &str) -> Self {
        let mut command = command(args);
        Self::spawn(&mut command).await
    }

    async fn spawn(command: &mut Command) -> Self {
        let mut parent = command.spawn().unwrap();
        let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        let mut fixture = Self { parent, lines, addr: SocketAddr::from(([0; 4], 0)) };
        let line = fixture.line().await;
        fixture.addr = line.strip_prefix("ready ").unwrap().parse().unwrap();
        fixture
    }

    async fn line(&mut self) -> String {
        timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap().unwrap()
    }

    async fn ends(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.parent.wait()).await.unwrap().unwrap()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.parent.id() {
            kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
        }
    }

    /// A connection to some worker, and which one it is: slot and pid.
    async fn connect(&self) -> (RawClient, (u32, i32)) {
        let mut client = RawClient::connect(self.addr).await;
        client.hello(1, Format::JSON, "fixture");
        client.request(1, "slot", &());
        client.send().await;
        assert!(matches!(client.answer().await, Answer::Hello(_)));
        let Answer::Ok(_, payload) = client.answer().await else { panic!("an answer") };
        (client, serde_json::from_slice(&payload).unwrap())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
    }
}

/// A call with the id 2 that runs until it is told to end.
struct Running {
    dir: TempDir,
}

impl Running {
    async fn start(client: &mut RawClient) -> Self {
        let dir = tempfile::tempdir().unwrap();
        client.request(2, "until", &dir.path().join("end"));
        client.push(&rpc_wire::Frame::Ping(5));
        client.send().await;
        assert_eq!(client.answer().await, Answer::Pong(5), "the call is running");
        Self { dir }
    }

    async fn end(self, client: &mut RawClient) -> Answer {
        fs::write(self.dir.path().join("end"), "").unwrap();
        client.answer().await
    }
}

#[tokio::test]
async fn the_workers_share_the_address_and_a_dead_one_is_replaced() {
    let fixture = Fixture::start("2").await;
    let mut pids = BTreeMap::new();
    while pids.len() < 2 {
        let (_, (slot, pid)) = fixture.connect().await;
        pids.insert(slot, pid);
    }
    kill(Pid::from_raw(pids[&0]), Signal::SIGKILL).unwrap();
    let replaced = async {
        loop {
            let (_, (slot, pid)) = fixture.connect().await;
            if slot == 0 && pid != pids[&0] {
                break;
            }
        }
    };
    timeout(PATIENCE, replaced).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_finishes_what_runs() {
    let mut fixture = Fixture::start("2").await;
    let (mut client, _) = fixture.connect().await;
    let call = Running::start(&mut client).await;
    fixture.signal(Signal::SIGTERM);
    assert_eq!(client.answer().await, Answer::GoAway(CallId(2), Code::UNAVAILABLE));
    assert_eq!(call.end(&mut client).await, ok(2, b"\"there\""));
    drop(client);
    let status = fixture.ends().await;
    assert!(status.success(), "{status}");
    assert!(tokio::net::TcpStream::connect(fixture.addr).await.is_err());
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached_ends_the_service_with_an_error_that_says_so() {
    let mut command = command("2 zookeeper=127.0.0.1:1 connect-timeout=50");
    let output = timeout(PATIENCE, command.stderr(Stdio::piped()).output()).await.unwrap().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("no worker becomes ready: the last one, worker "), "{error}");
    assert!(error.contains("exited with status 1: ") && error.contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_worker_whose_runtime_stands_still_is_replaced_only_if_that_was_asked_for() {
    let fixture = Fixture::start("1 heartbeat-timeout=400").await;
    let (mut client, (_, first)) = fixture.connect().await;
    client.request(2, "compute", &600_000);
    client.send().await;
    let (_, (_, second)) = timeout(PATIENCE, fixture.connect()).await.unwrap();
    assert_ne!(first, second);
    // An idle one beats: it is still the same after it could have been taken for hung.
    let (mut client, _) = fixture.connect().await;
    client.request(2, "sleep", &1_000);
    client.send().await;
    assert_eq!(client.answer().await, ok(2, b"\"slept\""));

    let fixture = Fixture::start("1").await;
    let (mut client, (_, first)) = fixture.connect().await;
    client.request(2, "compute", &1_000);
    client.send().await;
    assert_eq!(client.answer().await, ok(2, b"\"computed\""));
    assert_eq!(fixture.connect().await.1.1, first);
}

#[tokio::test]
async fn a_worker_that_has_taken_its_calls_is_replaced_and_answers_them_all() {
    let fixture = Fixture::start("1 max-calls=5").await;
    let (mut client, (_, first)) = fixture.connect().await;
    for id in 2..=5 {
        client.request(id, "sleep", &1);
        client.send().await;
        assert_eq!(client.answer().await, ok(id, b"\"slept\""));
    }
    assert_eq!(client.answer().await, Answer::GoAway(CallId(5), Code::UNAVAILABLE));
    drop(client);
    let (_, (_, second)) = fixture.connect().await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn the_control_socket_and_systemd_hear_how_the_service_is_and_usr1_runs_the_hook() {
    let dir = tempfile::tempdir().unwrap();
    let [control, notify] = ["control", "notify"].map(|name| dir.path().join(name));
    let systemd = UnixDatagram::bind(&notify).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let args = format!("2 control={}", control.display());
    let mut fixture = Fixture::spawn(command(&args).env("NOTIFY_SOCKET", &notify)).await;
    let status = rpc_prefork::status(&control).unwrap();
    assert_eq!(status.matches(" ready, up ").count(), 2, "{status}");
    let mut heard = [0; 256];
    let len = systemd.recv(&mut heard).unwrap();
    assert_eq!(&heard[..len], b"READY=1\nSTATUS=all 2 workers are ready");
    fixture.signal(Signal::SIGUSR1);
    for _ in ["parent", "worker 0", "worker 1"] {
        assert_eq!(fixture.line().await, "usr1");
    }
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().await.success());
}

#[tokio::test]
async fn a_listener_that_systemd_has_bound_is_served() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let program = env!("CARGO_BIN_EXE_rpc-server-fixture");
    let mut command = Command::new("sh");
    // The shell becomes the fixture, so its pid is the right one.
    command.args(["-c", &format!("LISTEN_FDS=1 LISTEN_PID=$$ exec {program} 1 3<&0 0</dev/null")]);
    let fixture = Fixture::spawn(command.stdin(OwnedFd::from(socket)).stdout(Stdio::piped())).await;
    assert_eq!(fixture.addr, addr);
    fixture.connect().await;
}

#[tokio::test]
async fn workers_of_a_killed_parent_free_the_port_while_their_calls_run_to_their_end() {
    let mut fixture = Fixture::start("2").await;
    let (mut client, _) = fixture.connect().await;
    let call = Running::start(&mut client).await;
    fixture.signal(Signal::SIGKILL);
    assert!(!fixture.ends().await.success());
    // A new parent would do no more: it waits until the port is free.
    drop(rpc_prefork::bind(fixture.addr).unwrap());
    assert_eq!(client.answer().await, Answer::GoAway(CallId(2), Code::UNAVAILABLE));
    assert_eq!(call.end(&mut client).await, ok(2, b"\"there\""));
}

#[tokio::test]
async fn usr2_leaves_the_listener_to_a_new_parent_and_calls_that_run_are_finished() {
    let mut fixture = Fixture::start("1").await;
    let (mut client, (_, old)) = fixture.connect().await;
    let call = Running::start(&mut client).await;
    fixture.signal(Signal::SIGUSR2);
    assert_eq!(fixture.line().await, format!("ready {}", fixture.addr));
    assert_eq!(client.answer().await, Answer::GoAway(CallId(2), Code::UNAVAILABLE));
    assert_eq!(call.end(&mut client).await, ok(2, b"\"there\""));
    drop(client);
    assert!(fixture.ends().await.success());
    let (_, (_, new)) = fixture.connect().await;
    assert_ne!(old, new);
    let status = fs::read_to_string(format!("/proc/{new}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    kill(Pid::from_raw(parent.trim().parse().unwrap()), Signal::SIGTERM).unwrap();
    // The new one is nobody's child here; its end is the end of its output.
    assert_eq!(timeout(PATIENCE, fixture.lines.next_line()).await.unwrap().unwrap(), None);
}

fn empty() -> Prefork<impl FnMut(u32) -> Service> {
    Prefork::new(|_| Service::builder("empty").build())
}

#[test]
fn an_address_that_no_client_can_use_is_not_announced() {
    let error = empty().listen("0.0.0.0:0").zookeeper("127.0.0.1:1").run().unwrap_err();
    assert!(matches!(error, PreforkError::Advertise(_)), "{error}");
}

#[test]
fn a_string_that_names_no_registry_is_told_before_any_worker_starts() {
    for (servers, told) in
        [("", "is empty"), ("/zookeeper", "no server is named"), ("h/a,h/a", "has a comma")]
    {
        let error = empty().zookeeper(servers).run().unwrap_err();
        assert!(matches!(error, PreforkError::Registry(_)), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn calls_may_be_given_for_ever_to_finish() {
    // The times are summed up before the error that ends this.
    let mut limits = Limits::default();
    limits.drain_timeout = Duration::MAX;
    let endless = empty().farewell(Duration::MAX).limits(limits);
    let error = endless.options(PreforkOptions::default().workers(0)).run().unwrap_err();
    assert!(matches!(error, PreforkError::Supervisor(rpc_prefork::Error::Option { .. })), "{error}");
}

#[test]
fn a_taken_port_is_a_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let error = empty().listen(&addr).run().unwrap_err().to_string();
    assert!(error.contains(&addr) && error.contains("in use"), "{error}");
}
