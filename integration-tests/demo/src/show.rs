//! The demonstration: each step is checked, and then printed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use registry::Registry;
use rpc_client::Client;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};
use zk_mini::ZkMini;

use crate::load::{Load, Tally};
use crate::narrator::Narrator;
use crate::process::ServerProcess;
use crate::registry_view::{RegistryView, all_are_gone};
use crate::services::{Pi, PiResult, Ping, Pong};
use crate::{CALL_DEADLINE, PATIENCE, Result, ShowArgs};

const WORKERS: usize = 2;
const CALLERS: u32 = 8;

/// Runs the demonstration. The error names the step that failed.
pub(crate) async fn run(args: ShowArgs) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (zk, hosts) = match args.zookeeper {
        Some(hosts) => (None, hosts),
        None => {
            let zk = ZkMini::start().await?;
            let hosts = zk.connect_string();
            (Some(zk), hosts)
        }
    };
    let started = AtomicBool::new(false);
    // A signal drops the future of the demonstration, which kills the servers that it started.
    let result = tokio::select! {
        result = demonstrate(zk.is_some(), &hosts, &args.service, &started) => result,
        _ = terminate.recv() => Err("stopped by SIGTERM".into()),
        _ = interrupt.recv() => Err("stopped by SIGINT".into()),
    };
    if result.is_err() && started.load(Ordering::Relaxed) {
        // The workers leave by themselves, and at once as long as the registry is there.
        let _ = timeout(PATIENCE, all_are_gone(&hosts, &args.service)).await;
    }
    if let Some(zk) = zk {
        zk.stop().await;
    }
    result
}

async fn demonstrate(own: bool, hosts: &str, service: &str, started: &AtomicBool) -> Result<()> {
    let tell = Narrator::start();
    let registry = Registry::connect(hosts).await?;
    if own {
        tell.line(&format!("zk-mini serves on {hosts}, in this process"))?;
    } else {
        tell.line(&format!("connected to ZooKeeper at {hosts}"))?;
    }
    let mut stage = Stage::set(tell, hosts.into(), service.into(), registry).await?;
    started.store(true, Ordering::Relaxed);
    let first = stage.start_server("first").await?;
    stage.call_once().await?;
    let load = stage.start_load(&first).await?;
    stage.kill_a_worker(&first, &load).await?;
    stage.add_and_remove_a_server(&load).await?;
    stage.finish_load(load).await?;
    stage.stop_server("first", first).await?;
    stage.check_that_nothing_is_left().await?;
    stage.registry.close().await?;
    stage.tell.line("everything is stopped; every line above was checked")?;
    Ok(())
}

/// State that the steps share.
struct Stage {
    tell: Narrator,
    hosts: String,
    service: String,
    registry: Registry,
    view: RegistryView,
    client: Client,
    /// All processes and addresses so far.
    pids: BTreeSet<u32>,
    addrs: BTreeSet<String>,
}

impl Stage {
    async fn set(tell: Narrator, hosts: String, service: String, registry: Registry) -> Result<Self> {
        let view = RegistryView::new(registry.subscribe(&service).await?);
        if !view.pids().is_empty() {
            let problem = "already has other servers; choose another name with --service";
            return Err(format!("the service {service} {problem}").into());
        }
        let client = Client::builder(registry.clone(), &service).connect().await?;
        let (pids, addrs) = Default::default();
        Ok(Self { tell, hosts, service, registry, view, client, pids, addrs })
    }

    async fn start_server(&mut self, name: &str) -> Result<ServerProcess> {
        let server = ServerProcess::start(&self.hosts, &self.service, WORKERS).await?;
        let addr = server.addr().to_owned();
        let workers = self.view.wait("the workers in the registry", |view| {
            let workers = view.pids_at(&addr);
            (workers.len() == WORKERS).then_some(workers)
        });
        let workers = workers.await?;
        self.tell.line(&format!(
            "the {name} server is ready on {addr}: parent {}, workers {}, each with a node in the registry",
            server.pid(),
            list(&workers)
        ))?;
        self.pids.extend(workers);
        self.pids.insert(server.pid());
        self.addrs.insert(addr);
        Ok(server)
    }

    async fn call_once(&self) -> Result<()> {
        let ping = Ping { text: "hello".into() };
        let pong: Pong = self.client.call("ping", &ping).deadline(CALL_DEADLINE).idempotent().await?;
        let pi: PiResult =
            self.client.call("pi", &Pi { terms: 100_000 }).deadline(CALL_DEADLINE).idempotent().await?;
        if pong.text != ping.text || (pi.pi - std::f64::consts::PI).abs() > 1e-4 {
            return Err(format!("wrong answers: {pong:?}, {pi:?}").into());
        }
        self.tell.line(&format!("ping: {:?} from worker {}", pong.text, pong.pid))?;
        self.tell.line(&format!("pi: {:.5} from worker {}", pi.pi, pi.pid))?;
        Ok(())
    }

    async fn start_load(&mut self, server: &ServerProcess) -> Result<Load> {
        let load = Load::start(&self.client, u64::MAX, CALLERS, Duration::ZERO);
        let workers = self.view.pids_at(server.addr());
        answered_by(&load, &workers).await?;
        self.tell.line(&format!("{CALLERS} callers are calling, and both workers answer"))?;
        Ok(load)
    }

    async fn kill_a_worker(&mut self, server: &ServerProcess, load: &Load) -> Result<()> {
        let before = self.view.pids_at(server.addr());
        let victim = *before.first().ok_or("no worker to kill")?;
        let calls_before = load.tally().ok;
        kill(Pid::from_raw(i32::try_from(victim)?), Signal::SIGKILL)?;
        let killed = Instant::now();
        self.tell.line(&format!("killed worker {victim} with SIGKILL while calls run"))?;
        let gone = |view: &RegistryView| (!view.pids().contains(&victim)).then(|| killed.elapsed());
        let gone = self.view.wait("the dead worker's node to go", gone).await?;
        self.tell.line(&format!("its node is gone, {:.0} ms after its death", millis(gone)))?;
        let addr = server.addr().to_owned();
        let successor = |view: &RegistryView| view.pids_at(&addr).difference(&before).next().copied();
        let successor = self.view.wait("a new worker", successor).await?;
        self.pids.insert(successor);
        answered_by(load, &[successor].into()).await?;
        let tally = load.tally();
        if let Some(cause) = tally.first_failure {
            return Err(format!("a call failed when the worker died: {cause}").into());
        }
        let retried = match tally.retried {
            0 => "none had to be tried again".into(),
            calls => format!("{calls} were tried again elsewhere"),
        };
        self.tell.line(&format!(
            "worker {successor} has taken its place, {:.0} ms after the death; of {} calls meanwhile none failed, {retried}",
            millis(killed.elapsed()),
            tally.ok - calls_before,
        ))?;
        Ok(())
    }

    async fn add_and_remove_a_server(&mut self, load: &Load) -> Result<()> {
        let second = self.start_server("second").await?;
        let addr = second.addr().to_owned();
        answered_by(load, &self.view.pids_at(&addr)).await?;
        self.tell.line("the callers have found it by themselves, and its workers answer, too")?;
        self.stop_server("second", second).await?;
        let gone = |view: &RegistryView| view.pids_at(&addr).is_empty().then_some(());
        self.view.wait("the second server's nodes to go", gone).await
    }

    async fn finish_load(&self, load: Load) -> Result<()> {
        let Tally { calls, ok, failed, retried, by_pid, first_failure } = load.stop().await;
        if let Some(cause) = first_failure {
            return Err(format!("{failed} of {calls} calls failed; the first: {cause}").into());
        }
        let shares: Vec<_> = by_pid.iter().map(|(pid, calls)| format!("{calls} by {pid}")).collect();
        self.tell.line(&format!(
            "{ok} calls were answered ({}), {retried} tried again, none failed",
            shares.join(", ")
        ))?;
        Ok(())
    }

    async fn stop_server(&self, name: &str, server: ServerProcess) -> Result<()> {
        let pid = server.pid();
        let status = server.terminate().await?;
        if !status.success() {
            return Err(format!("the {name} server (pid {pid}) ended with {status} after SIGTERM").into());
        }
        self.tell.line(&format!(
            "the {name} server was told to stop, finished what ran, and ended with status 0"
        ))?;
        Ok(())
    }

    async fn check_that_nothing_is_left(&mut self) -> Result<()> {
        self.view.wait("the last node to go", |view| view.pids().is_empty().then_some(())).await?;
        for pid in &self.pids {
            if kill(Pid::from_raw(i32::try_from(*pid)?), None) != Err(Errno::ESRCH) {
                return Err(format!("process {pid} is still there").into());
            }
        }
        for addr in &self.addrs {
            if TcpStream::connect(addr).await.is_ok() {
                return Err(format!("a process still listens on {addr}").into());
            }
        }
        self.tell.line("the registry is empty, the processes are gone, the ports are free")?;
        Ok(())
    }
}

/// Waits until each of these workers has answered a call.
async fn answered_by(load: &Load, workers: &BTreeSet<u32>) -> Result<()> {
    let all_have_answered = async {
        while !workers.iter().all(|pid| load.tally().by_pid.contains_key(pid)) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let missing = |_| format!("not all of the workers {} answer calls: {:?}", list(workers), load.tally());
    Ok(timeout(PATIENCE, all_have_answered).await.map_err(missing)?)
}

fn list(pids: &BTreeSet<u32>) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" and ")
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
