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
use rpc_client::Client;
use rpc_server::{Code, Format, HealthStatus, Limits, Prefork, PreforkError, PreforkOptions, Service};
use rpc_wire::{CallId, HealthReport, HealthRequest};
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

/// A running fixture. Drop stops it, so that no worker is left behind.
pub(crate) struct Fixture {
    parent: Child,
    lines: Lines<BufReader<ChildStdout>>,
    addr: SocketAddr,
}

impl Fixture {
    pub(crate) async fn start(args: &str) -> Self {
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

    /// Connects to a worker, and returns its slot and pid too.
    pub(crate) async fn connect(&self) -> (RawClient, (u32, i32)) {
        self.try_connect().await.expect("a worker that answers")
    }

    /// Connects to a worker; `None` if that is killed before it answers.
    async fn try_connect(&self) -> Option<(RawClient, (u32, i32))> {
        let mut client = RawClient::connect(self.addr).await;
        client.hello(1, Format::JSON, "fixture");
        client.request(1, "slot", &());
        // An error is the same as an answer that does not come.
        let _ = client.try_send().await;
        match client.answer().await {
            Answer::Hello(_) => {}
            Answer::Closed => return None,
            other => panic!("{other:?} in place of a hello"),
        }
        let Answer::Ok(_, payload) = client.answer().await else { panic!("an answer") };
        Some((client, serde_json::from_slice(&payload).unwrap()))
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
    }
}

/// A call with the id 2 that runs until [`RunningCall::end`].
struct RunningCall {
    dir: TempDir,
}

impl RunningCall {
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
async fn workers_share_the_address_and_a_dead_one_is_replaced() {
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
async fn workers_serve_each_service_of_the_server_that_they_make() {
    let fixture = Fixture::start("1").await;
    let client = |service| Client::direct(service, [fixture.addr.to_string()]).connect();
    let first = client("fixture").await.unwrap();
    let second = client("second").await.unwrap();
    let (slot, _): (u32, i32) = first.call("slot", &()).await.unwrap();
    assert_eq!(second.call::<_, u32>("slot", &()).await.unwrap(), slot);
    for (service, status) in [("fixture", HealthStatus::Serving), ("second", HealthStatus::NotServing)] {
        let question = HealthRequest { service: service.into() };
        let report: HealthReport = first.call("rpc.health/check", &question).await.unwrap();
        assert_eq!(report.status, status, "{service}");
    }
}

#[tokio::test]
async fn a_service_that_the_parent_renames_keeps_its_health_and_so_do_the_others() {
    let fixture = Fixture::start("1 service-name=renamed").await;
    let client = Client::direct("renamed", [fixture.addr.to_string()]).connect().await.unwrap();
    assert!(client.call::<_, (u32, i32)>("slot", &()).await.is_ok());
    for (service, status) in [
        ("renamed", HealthStatus::Serving),
        ("fixture", HealthStatus::ServiceUnknown),
        ("second", HealthStatus::NotServing),
    ] {
        let question = HealthRequest { service: service.into() };
        let report: HealthReport = client.call("rpc.health/check", &question).await.unwrap();
        assert_eq!(report.status, status, "{service}");
    }
}

#[tokio::test]
async fn a_name_that_two_services_would_have_is_a_clear_error() {
    let mut command = command("1 service-name=second");
    let output = timeout(PATIENCE, command.stderr(Stdio::piped()).output()).await.unwrap().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("the name \"second\" is that of another service of this server"), "{error}");
}

#[tokio::test]
async fn workers_draw_other_random_numbers_than_their_siblings() {
    let fixture = Fixture::start("2").await;
    let mut drawn = BTreeMap::new();
    while drawn.len() < 2 {
        let (mut client, (slot, _)) = fixture.connect().await;
        let Answer::Ok(_, number) = client.call(2, "chance", &()).await else { panic!("a number") };
        drawn.entry(slot).or_insert(number);
    }
    assert_ne!(drawn[&0], drawn[&1]);
}

#[tokio::test]
async fn term_lets_running_calls_finish() {
    let mut fixture = Fixture::start("2").await;
    let (mut client, _) = fixture.connect().await;
    let call = RunningCall::start(&mut client).await;
    fixture.signal(Signal::SIGTERM);
    assert_eq!(client.answer().await, Answer::GoAway(CallId(2), Code::UNAVAILABLE));
    assert_eq!(call.end(&mut client).await, ok(2, b"\"there\""));
    drop(client);
    let status = fixture.ends().await;
    assert!(status.success(), "{status}");
    assert!(tokio::net::TcpStream::connect(fixture.addr).await.is_err());
}

#[tokio::test]
async fn a_worker_does_not_wait_for_threads_that_block() {
    // It is killed only after that.
    let mut fixture = Fixture::start("1 drain-timeout=3600000").await;
    let (mut client, _) = fixture.connect().await;
    assert_eq!(client.call(2, "leave", &()).await, ok(2, b"\"left\""));
    fixture.signal(Signal::SIGTERM);
    assert_eq!(client.answer().await, Answer::GoAway(CallId(2), Code::UNAVAILABLE));
    drop(client);
    assert!(fixture.ends().await.success());
}

#[tokio::test]
async fn an_unreachable_registry_ends_the_service_with_a_clear_error() {
    let mut command = command("2 zookeeper=127.0.0.1:1 connect-timeout=50");
    let output = timeout(PATIENCE, command.stderr(Stdio::piped()).output()).await.unwrap().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("no worker becomes ready: the last one, worker "), "{error}");
    assert!(error.contains("exited with status 1: ") && error.contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_worker_with_a_blocked_runtime_is_replaced_only_after_the_heartbeat_timeout() {
    let fixture = Fixture::start("1 heartbeat-timeout=400").await;
    let (mut client, (_, first)) = fixture.connect().await;
    client.request(2, "compute", &600_000);
    client.send().await;
    // The worker may still accept a connection before it blocks.
    let survivor = async {
        loop {
            if let Some((_, (_, pid))) = fixture.try_connect().await {
                break pid;
            }
        }
    };
    assert_ne!(timeout(PATIENCE, survivor).await.unwrap(), first);
    // An idle worker sends heartbeats: it still serves after more than the timeout.
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
async fn a_worker_that_has_used_up_max_calls_answers_them_all_and_is_replaced() {
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
async fn the_control_socket_the_notify_socket_and_the_hook_for_usr1_work() {
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
    // `exec` keeps the shell's pid, so that `LISTEN_PID` is right.
    command.args(["-c", &format!("LISTEN_FDS=1 LISTEN_PID=$$ exec {program} 1 3<&0 0</dev/null")]);
    let fixture = Fixture::spawn(command.stdin(OwnedFd::from(socket)).stdout(Stdio::piped())).await;
    assert_eq!(fixture.addr, addr);
    fixture.connect().await;
}

#[tokio::test]
async fn a_service_that_stops_frees_the_port_while_calls_run() {
    let mut fixture = Fixture::start("2").await;
    let (mut client, _) = fixture.connect().await;
    let call = RunningCall::start(&mut client).await;
    fixture.signal(Signal::SIGTERM);
    // Waits until the port is free, as a replacement does.
    drop(rpc_prefork::bind(fixture.addr).unwrap());
    assert_eq!(client.answer().await, Answer::GoAway(CallId(2), Code::UNAVAILABLE));
    assert_eq!(call.end(&mut client).await, ok(2, b"\"there\""));
    drop(client);
    assert!(fixture.ends().await.success());
}

#[tokio::test]
async fn workers_of_a_killed_parent_free_the_port_and_finish_their_calls() {
    let mut fixture = Fixture::start("2").await;
    let (mut client, _) = fixture.connect().await;
    let call = RunningCall::start(&mut client).await;
    fixture.signal(Signal::SIGKILL);
    assert!(!fixture.ends().await.success());
    // Waits until the port is free, as a new parent does.
    drop(rpc_prefork::bind(fixture.addr).unwrap());
    assert_eq!(client.answer().await, Answer::GoAway(CallId(2), Code::UNAVAILABLE));
    assert_eq!(call.end(&mut client).await, ok(2, b"\"there\""));
}

#[tokio::test]
async fn usr2_hands_the_listener_over_and_running_calls_finish() {
    let mut fixture = Fixture::start("1").await;
    let (mut client, (_, old)) = fixture.connect().await;
    let call = RunningCall::start(&mut client).await;
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
    // The new parent is no child of this test, so only the end of its output tells its end.
    assert_eq!(timeout(PATIENCE, fixture.lines.next_line()).await.unwrap().unwrap(), None);
}

fn empty() -> Prefork<impl FnMut(u32) -> Service> {
    Prefork::new(|_| Service::builder("empty").build())
}

#[test]
fn an_address_that_no_client_can_use_is_not_registered() {
    let error = empty().listen("0.0.0.0:0").zookeeper("127.0.0.1:1").run().unwrap_err();
    assert!(matches!(error, PreforkError::Advertise(_)), "{error}");
}

#[test]
fn a_string_that_names_no_registry_is_an_error_before_any_worker_starts() {
    for (servers, problem) in
        [("", "is empty"), ("/zookeeper", "no server is named"), ("h/a,h/a", "has a comma")]
    {
        let error = empty().zookeeper(servers).run().unwrap_err();
        assert!(matches!(error, PreforkError::Registry(_)), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn unlimited_times_to_stop_do_not_overflow() {
    // The times are summed up before the invalid number of workers is found.
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
