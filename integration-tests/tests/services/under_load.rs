//! A preforked service under load, while its workers are replaced and killed: no call fails.
//!
//! By hand, longer: `ROLLING_RESTARTS=1000` and `KILL_SECONDS=60` before `cargo nextest run --release -p integration-tests -E
//! 'test(under_load::)' --no-capture`, which prints the figures.

use std::collections::BTreeSet;
use std::env;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::process::Process;
use integration_tests::procfs;
use integration_tests::scenarios::members;
use integration_tests::wait::timed_async;
use nix::sys::signal::{Signal, kill};
use registry::{Members, Registry, Subscription};
use rpc_client::{Client, connect_fn};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use zk_mini::ZkMini;

/// Calls that each client makes at a time.
const CALLERS: usize = 4;

/// A preforked service, its registry, and what a subscriber sees.
struct Scene {
    service: Process,
    /// Shared address of the workers.
    addr: String,
    registry: Registry,
    seen: Subscription,
    workers: usize,
    _zk: ZkMini,
}

impl Scene {
    async fn start(workers: usize) -> Self {
        let zk = ZkMini::start().await.expect("it works on this machine");
        let mut command = Command::new(env!("CARGO_BIN_EXE_preforked-fixture"));
        let mut service = Process::start(command.args([&workers.to_string(), &zk.connect_string()]));
        let addr = service.line_with("ready ");
        let addr = addr.trim_start_matches("ready ").to_owned();
        let registry = Registry::connect(&zk.connect_string()).await.expect("it works on this machine");
        let seen = registry.subscribe("preforked").await.expect("it works on this machine");
        Self { service, addr, registry, seen, workers, _zk: zk }
    }

    /// Replaces all workers, and returns when the registry has the successors only.
    async fn restart(&mut self) {
        let workers = self.workers;
        let before = members("all workers", &mut self.seen, |now| now.len() == workers).await;
        let before = pids(&before);
        self.service.signal(Signal::SIGHUP);
        let replaced = |now: &Members| now.len() == workers && pids(now).is_disjoint(&before);
        members("all workers replaced", &mut self.seen, replaced).await;
    }

    async fn client(&self) -> Client {
        Client::builder(self.registry.clone(), "preforked").connect().await.expect("it works on this machine")
    }

    /// Returns a client that knows the shared address only.
    async fn direct_client(&self) -> Client {
        let client = Client::direct("preforked", [self.addr.clone()]).connect().await;
        client.expect("it works on this machine")
    }

    fn end(mut self) {
        assert!(self.service.terminate().success(), "{}", self.service);
        self.service.assert_nothing_left();
    }
}

fn pids(members: &Members) -> BTreeSet<u64> {
    members.instances.values().filter_map(|one| one.get("pid")?.as_u64()).collect()
}

/// Clients that call without a pause until [`Load::end`].
struct Load {
    stop: watch::Sender<bool>,
    callers: JoinSet<()>,
    outcome: Arc<Outcomes>,
}

#[derive(Default)]
struct Outcomes {
    calls: AtomicU64,
    failures: Mutex<Vec<String>>,
    /// Longest time between two answers to one caller.
    longest: Mutex<Duration>,
}

impl Load {
    /// Every second caller makes calls that must not run twice, unless all are to be idempotent.
    fn start(clients: &[Client], all_idempotent: bool) -> Self {
        let (stop, _) = watch::channel(false);
        let (mut callers, outcome) = (JoinSet::new(), Arc::<Outcomes>::default());
        for client in clients {
            for n in 0..CALLERS {
                let (client, stopped, outcome) = (client.clone(), stop.subscribe(), outcome.clone());
                let idempotent = all_idempotent || n % 2 == 0;
                callers.spawn(async move {
                    while !*stopped.borrow() {
                        let call = client.call::<_, u32>("pid", &());
                        let call = async { if idempotent { call.idempotent().await } else { call.await } };
                        let (took, answer) = timed_async(call).await;
                        outcome.note(took, answer);
                    }
                });
            }
        }
        Self { stop, callers, outcome }
    }

    /// Ends the load. Returns the number of calls and the longest time that one took.
    async fn end(mut self) -> (u64, Duration) {
        self.stop.send_replace(true);
        while self.callers.join_next().await.is_some() {}
        let failures = self.outcome.failures.lock().expect("no caller panics");
        assert!(failures.is_empty(), "{} calls failed, such as {:?}", failures.len(), failures.first());
        (self.outcome.calls.load(Ordering::Relaxed), *self.outcome.longest.lock().expect("no caller panics"))
    }
}

impl Outcomes {
    fn note(&self, took: Duration, answer: Result<u32, rpc_client::Error>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut longest = self.longest.lock().expect("no caller panics");
        *longest = took.max(*longest);
        if let Err(error) = answer {
            self.failures.lock().expect("no caller panics").push(format!("{error}, after {took:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_under_load_fail_no_call() {
    let restarts = number("ROLLING_RESTARTS", 20);
    let mut scene = Scene::start(4).await;
    let clients = [scene.client().await, scene.client().await, scene.direct_client().await];
    let load = Load::start(&clients, false);
    let (took, ()) = timed_async(async {
        for _ in 0..restarts {
            scene.restart().await;
        }
    })
    .await;
    let (calls, longest) = load.end().await;
    println!(
        "{restarts} rolling restarts of 4 workers in {took:?}: {calls} calls, none failed, the longest took {longest:?}"
    );
    let retried: u64 = clients.iter().map(|client| client.stats().retried).sum();
    println!("{retried} attempts beyond the first");
    scene.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_under_load_fail_no_idempotent_call() {
    let time = Duration::from_secs(number("KILL_SECONDS", 5));
    let scene = Scene::start(4).await;
    let clients = [scene.client().await, scene.client().await, scene.direct_client().await];
    let load = Load::start(&clients, true);
    let mut random = fastrand::Rng::with_seed(number("KILL_SEED", 1));
    let mut kills = 0;
    let killing = async {
        loop {
            let registered = pids(&scene.seen.current());
            let mut workers = procfs::descendants(scene.service.pid());
            workers.retain(|child| {
                !child.is_zombie() && registered.contains(&child.pid.as_raw().cast_unsigned().into())
            });
            if let Some(victim) = random.choice(&workers) {
                // An error means that it has just ended.
                kills += u32::from(kill(victim.pid, Signal::SIGKILL).is_ok());
            }
            sleep(Duration::from_millis(300)).await;
        }
    };
    let _ = timeout(time, killing).await;
    let (calls, longest) = load.end().await;
    println!("{kills} workers killed in {time:?}: {calls} calls, none failed, the longest took {longest:?}");
    assert!(longest < Duration::from_secs(1), "without an answer for {longest:?}");
    scene.end();
}

/// Each client connects to each successor once: no coupon collecting at the shared port. By hand, `CONNECTION_CLIENTS=100
/// CONNECTION_WORKERS=8` makes 800 connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_costs_one_connection_for_each_client_and_worker() {
    let (clients, workers) = (number("CONNECTION_CLIENTS", 10), number("CONNECTION_WORKERS", 4));
    let mut scene = Scene::start(workers.try_into().unwrap()).await;
    let made = Arc::new(AtomicU64::new(0));
    let mut connected = Vec::new();
    for _ in 0..clients {
        let made = made.clone();
        let via = connect_fn(move |addr| {
            let made = made.clone();
            async move {
                let stream = TcpStream::connect(addr).await?;
                made.fetch_add(1, Ordering::Relaxed);
                Ok(stream)
            }
        });
        let client = Client::builder(scene.registry.clone(), "preforked").via(via);
        connected.push(client.connect().await.unwrap());
    }
    all_reached(&connected, workers).await;
    assert_eq!(made.load(Ordering::Relaxed), clients * workers);
    scene.restart().await;
    all_reached(&connected, 2 * workers).await;
    let after = made.load(Ordering::Relaxed) - clients * workers;
    println!("{clients} clients, {workers} workers: {after} connections for a rolling restart");
    assert_eq!(after, clients * workers);
    scene.end();
}

/// Waits until each client has connected to so many workers so far.
async fn all_reached(clients: &[Client], workers: u64) {
    let reached = async {
        for client in clients {
            while (client.stats().by_instance.len() as u64) < workers {
                sleep(Duration::from_millis(5)).await;
            }
        }
    };
    timeout(integration_tests::wait::PATIENCE, reached).await.expect("each client connects to each worker");
}

/// Returns the number in a variable of the environment.
fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().expect(variable))
}
