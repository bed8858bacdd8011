//! The stage: servers, their workers, the calls, and what has happened.

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use registry::Registry;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::page::{Answer, Wish, WishRequest};
use super::story::{Calls, Line, Shown, ShownServer, ShownWorker};
use super::victim::{self, Spared};
use crate::Result;
use crate::load::{Load, Tally};
use crate::narrator::Narrator;
use crate::process::ServerProcess;
use crate::registry_view::{Registered, RegistryView};

/// Number of workers of a server.
const WORKERS: usize = 2;

/// Maximum number of servers.
const MOST_SERVERS: usize = 4;

/// Time for which a worker that is gone is still shown.
const MOURNING: Duration = Duration::from_secs(8);

/// Time for which a worker is shown as new.
const NOVELTY: Duration = Duration::from_secs(3);

/// Number of lines that the page shows.
const LINES: usize = 14;

/// Parts of a stage.
pub(super) struct Parts {
    pub(super) tell: Narrator,
    /// The server of this process, if there is one: it knows why a node is gone.
    pub(super) zk: Option<zk_mini::Handle>,
    pub(super) hosts: String,
    pub(super) service: String,
    pub(super) registry: Registry,
    pub(super) view: RegistryView,
    pub(super) load: Load,
}

pub(super) struct Stage {
    parts: Parts,
    servers: Vec<Server>,
    starting: JoinSet<(u32, std::result::Result<ServerProcess, String>)>,
    stopping: JoinSet<(u32, std::result::Result<ExitStatus, String>)>,
    workers: BTreeMap<u32, Worker>,
    story: VecDeque<Line>,
    last_number: u32,
    counted: Tally,
    looked: Instant,
    per_second: u64,
}

struct Server {
    number: u32,
    pid: Option<u32>,
    addr: Option<String>,
    state: Phase,
}

enum Phase {
    Starting,
    Serving(Box<ServerProcess>),
    Stopping,
}

struct Worker {
    addr: String,
    /// Path of its node.
    node: String,
    seen: Instant,
    killed: Option<Instant>,
    gone: Option<Instant>,
    is_replaced: bool,
    per_second: u64,
}

impl Stage {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            servers: Vec::new(),
            starting: JoinSet::new(),
            stopping: JoinSet::new(),
            workers: BTreeMap::new(),
            story: VecDeque::new(),
            last_number: 0,
            counted: Tally::default(),
            looked: Instant::now(),
            per_second: 0,
        }
    }

    /// Returns true if the first server serves and all its workers are registered.
    pub(super) fn is_ready(&self) -> bool {
        self.workers.len() >= WORKERS
            && self.servers.first().is_some_and(|server| matches!(server.state, Phase::Serving(_)))
    }

    /// Prints a line, and shows it.
    pub(super) fn tell(&mut self, text: &str) -> Result<()> {
        self.tell_of("plain", text)
    }

    fn tell_of(&mut self, kind: &'static str, text: &str) -> Result<()> {
        let at = self.parts.tell.elapsed().as_secs_f64();
        self.story.push_front(Line { at, kind, text: text.to_owned() });
        self.story.truncate(LINES);
        self.parts.tell.line(text)
    }

    /// Waits for the next change of the registry or of a server.
    pub(super) async fn next(&mut self) -> Result<()> {
        tokio::select! {
            changed = self.parts.view.changed() => {
                changed?;
                self.follow_the_registry()
            }
            Some(started) = self.starting.join_next() => {
                let (number, process) = started?;
                match process {
                    Ok(process) => self.started(number, process),
                    Err(error) => self.not_started(number, error),
                }
            }
            Some(stopped) = self.stopping.join_next() => {
                let (number, status) = stopped?;
                self.stopped(number, status?)
            }
        }
    }

    /// Does what a person asks for.
    pub(super) fn answer(&mut self, request: WishRequest) -> Result<()> {
        let answer = match request.wish {
            Wish::KillWorker(pid) => self.kill_worker(pid)?,
            Wish::AddServer if !self.may_add() => {
                refuse(format!("there are {MOST_SERVERS} servers already, or one is starting"))
            }
            Wish::AddServer => Ok(self.add_server()?),
            Wish::StopServer(number) => self.stop_server(number)?,
        };
        // Who has gone meanwhile wants no answer.
        let _ = request.answer.send(answer);
        Ok(())
    }

    fn may_add(&self) -> bool {
        self.starting.is_empty() && self.servers.len() < MOST_SERVERS
    }

    /// Starts a server, unless it is one too many.
    pub(super) fn add_server(&mut self) -> Result<()> {
        self.last_number += 1;
        let number = self.last_number;
        self.servers.push(Server { number, pid: None, addr: None, state: Phase::Starting });
        let (hosts, service) = (self.parts.hosts.clone(), self.parts.service.clone());
        self.starting.spawn(async move {
            let process = ServerProcess::start(&hosts, &service, WORKERS).await;
            (number, process.map_err(|error| error.to_string()))
        });
        self.tell(&format!("server {number} is starting"))
    }

    fn started(&mut self, number: u32, process: ServerProcess) -> Result<()> {
        let (pid, addr) = (process.pid(), process.addr().to_owned());
        if let Some(server) = self.servers.iter_mut().find(|server| server.number == number) {
            (server.pid, server.addr) = (Some(pid), Some(addr.clone()));
            server.state = Phase::Serving(Box::new(process));
        }
        self.tell(&format!("server {number} is ready on {addr}: parent {pid}, {WORKERS} workers"))
    }

    /// Goes on without a server that has not started, unless it is the only one.
    fn not_started(&mut self, number: u32, error: String) -> Result<()> {
        self.servers.retain(|server| server.number != number);
        if self.servers.is_empty() {
            return Err(error.into());
        }
        self.tell(&format!("server {number} has not started: {error}"))
    }

    fn may_stop(&self) -> bool {
        self.servers.iter().filter(|server| matches!(server.state, Phase::Serving(_))).count() > 1
    }

    fn stop_server(&mut self, number: u32) -> Result<Answer> {
        if !self.may_stop() {
            return Ok(refuse("the last server stays: Ctrl-C ends the demonstration".into()));
        }
        let Some(server) = self.servers.iter_mut().find(|server| server.number == number) else {
            return Ok(Err((StatusCode::NOT_FOUND, format!("there is no server {number}"))));
        };
        if !server.stop(&mut self.stopping) {
            return Ok(refuse(format!("server {number} is starting or stopping")));
        }
        self.tell(&format!("server {number} is told to stop, by SIGTERM"))?;
        Ok(Ok(()))
    }

    fn stopped(&mut self, number: u32, status: ExitStatus) -> Result<()> {
        self.servers.retain(|server| server.number != number);
        self.tell(&format!("server {number} has finished what ran, and ended with {status}"))
    }

    fn kill_worker(&mut self, pid: u32) -> Result<Answer> {
        let missing = || Err((StatusCode::NOT_FOUND, format!("{pid} is no worker that is alive")));
        let Some(worker) = self.workers.get_mut(&pid).filter(|worker| worker.is_alive()) else {
            return Ok(missing());
        };
        let parent = self.servers.iter().find(|server| server.addr.as_deref() == Some(&worker.addr));
        let Some(Server { state: Phase::Serving(process), number, .. }) = parent else {
            return Ok(refuse("its server is stopping".into()));
        };
        match victim::kill(pid, process.pid()) {
            Ok(()) => {}
            Err(Spared::Gone) => return Ok(missing()),
            Err(Spared::Stranger) => {
                return Ok(refuse(format!("process {pid} is no child of server {number}; it is left alone")));
            }
            Err(Spared::Refused(errno)) => {
                return Ok(Err((StatusCode::INTERNAL_SERVER_ERROR, format!("cannot kill {pid}: {errno}"))));
            }
        }
        worker.killed = Some(Instant::now());
        self.tell_of("killed", &format!("killed worker {pid} with SIGKILL while calls run"))?;
        Ok(Ok(()))
    }

    /// Compares the registry with the workers that are shown.
    fn follow_the_registry(&mut self) -> Result<()> {
        let registered = self.parts.view.workers();
        let is_lost = |pid: &u32, worker: &Worker| worker.gone.is_none() && !registered.contains_key(pid);
        let gone = self.workers.iter().filter(|(pid, worker)| is_lost(pid, worker)).map(|(pid, _)| *pid);
        let gone: Vec<_> = gone.collect();
        for pid in gone {
            self.left(pid)?;
        }
        for (pid, Registered { addr, node }) in registered {
            if self.workers.get(&pid).is_none_or(|worker| worker.gone.is_some()) {
                let node = format!("/{}/{node}", self.parts.service);
                self.joined(pid, addr, node)?;
            }
        }
        Ok(())
    }

    fn joined(&mut self, pid: u32, addr: String, node: String) -> Result<()> {
        let dead =
            self.workers.iter_mut().find(|(_, worker)| worker.addr == addr && worker.is_to_be_replaced());
        let text = match dead {
            Some((dead, worker)) => {
                worker.is_replaced = true;
                let since = worker.killed.or(worker.gone).map_or(0.0, millis_since);
                format!("worker {pid} has taken the place of {dead}, {since:.0} ms after its death: {node}")
            }
            None => format!("worker {pid} has registered itself: {node}"),
        };
        let (seen, killed, gone) = (Instant::now(), None, None);
        self.workers
            .insert(pid, Worker { addr, node, seen, killed, gone, is_replaced: false, per_second: 0 });
        self.tell_of("new", &text)
    }

    fn left(&mut self, pid: u32) -> Result<()> {
        let Some(worker) = self.workers.get_mut(&pid) else { return Ok(()) };
        let gone = Instant::now();
        worker.gone = Some(gone);
        let reason = self.parts.zk.as_ref().and_then(|zk| zk.explain(&worker.node).changes.pop());
        let reason = reason.map(|change| format!(": {}", change.because)).unwrap_or_default();
        let is_serving = self.servers.iter().any(|server| {
            server.addr.as_deref() == Some(&worker.addr) && matches!(server.state, Phase::Serving(_))
        });
        // Nobody takes the place of a worker whose server stops.
        worker.is_replaced |= !is_serving;
        let text = match worker.killed {
            Some(killed) => {
                let after = millis(gone.saturating_duration_since(killed));
                format!("the node of {pid} is gone, {after:.0} ms after its death{reason}")
            }
            None if is_serving => format!("worker {pid} has died, and its node is gone{reason}"),
            None => format!("worker {pid} has left{reason}"),
        };
        self.tell_of("gone", &text)
    }

    /// Counts calls, notices servers that have ended, and forgets the dead.
    pub(super) fn look(&mut self) -> Result<()> {
        let (tally, elapsed) = (self.parts.load.tally(), self.looked.elapsed());
        self.looked = Instant::now();
        let rate = |now: u64, before: u64| {
            let seconds = elapsed.as_secs_f64().max(0.001);
            (now.saturating_sub(before) as f64 / seconds).round() as u64
        };
        self.per_second = rate(tally.ok, self.counted.ok);
        for (pid, worker) in &mut self.workers {
            let of = |tally: &Tally| tally.by_pid.get(pid).copied().unwrap_or_default();
            worker.per_second = rate(of(&tally), of(&self.counted));
        }
        self.counted = tally;
        self.workers.retain(|_, worker| worker.gone.is_none_or(|gone| gone.elapsed() < MOURNING));
        let mut ended = Vec::new();
        for server in &mut self.servers {
            if let Phase::Serving(process) = &mut server.state
                && let Some(status) = process.ended()?
            {
                ended.push((server.number, status));
            }
        }
        for (number, status) in ended {
            self.servers.retain(|server| server.number != number);
            self.tell(&format!("server {number} has ended by itself, with {status}"))?;
        }
        Ok(())
    }

    /// Returns the stage as JSON.
    pub(super) fn shown(&self) -> Result<Arc<str>> {
        let Parts { zk, hosts, service, .. } = &self.parts;
        let Tally { ok, retried, failed, .. } = self.counted;
        let shown = Shown {
            hosts,
            zk_page: zk.as_ref().map(|_| format!("http://{hosts}/")),
            service,
            calls: Calls { per_second: self.per_second, ok, retried, failed },
            servers: self.servers.iter().map(|server| self.shown_server(server)).collect(),
            story: self.story.iter().collect(),
            may_add: self.may_add(),
        };
        Ok(serde_json::to_string(&shown)?.into())
    }

    fn shown_server<'a>(&self, server: &'a Server) -> ShownServer<'a> {
        let is_serving = matches!(server.state, Phase::Serving(_));
        let mut workers: Vec<_> =
            self.workers.iter().filter(|(_, worker)| server.addr.as_ref() == Some(&worker.addr)).collect();
        workers.sort_by_key(|(_, worker)| worker.seen);
        let workers = workers.into_iter().map(|(pid, worker)| {
            let killed_and_gone = worker.killed.zip(worker.gone);
            ShownWorker {
                pid: *pid,
                node: worker.node.clone(),
                answered: self.counted.by_pid.get(pid).copied().unwrap_or_default(),
                per_second: worker.per_second,
                is_new: worker.is_alive() && worker.seen.elapsed() < NOVELTY,
                is_dead: !worker.is_alive(),
                gone_after_ms: killed_and_gone
                    .map(|(killed, gone)| millis(gone.saturating_duration_since(killed))),
                may_kill: is_serving && worker.is_alive(),
            }
        });
        ShownServer {
            number: server.number,
            addr: server.addr.as_deref(),
            parent: server.pid,
            state: match server.state {
                Phase::Starting => "starting",
                Phase::Serving(_) => "serving",
                Phase::Stopping => "stopping",
            },
            may_stop: is_serving && self.may_stop(),
            workers: workers.collect(),
        }
    }

    /// Ends all servers, and waits for their end.
    pub(super) async fn close(self) -> Result<()> {
        let Self { parts: Parts { registry, load, .. }, mut servers, mut starting, mut stopping, .. } = self;
        drop(load);
        // A server that is about to start is killed; its workers, if it has any, leave with it.
        starting.shutdown().await;
        for server in &mut servers {
            server.stop(&mut stopping);
        }
        while let Some(stopped) = stopping.join_next().await {
            let (_, status) = stopped?;
            status?;
        }
        registry.close().await?;
        Ok(())
    }
}

impl Server {
    /// Begins to stop it, if it serves.
    fn stop(&mut self, stopping: &mut JoinSet<(u32, std::result::Result<ExitStatus, String>)>) -> bool {
        if !matches!(self.state, Phase::Serving(_)) {
            return false;
        }
        let Phase::Serving(process) = std::mem::replace(&mut self.state, Phase::Stopping) else {
            return false;
        };
        let number = self.number;
        stopping.spawn(async move { (number, process.terminate().await.map_err(|error| error.to_string())) });
        true
    }
}

impl Worker {
    fn is_alive(&self) -> bool {
        self.killed.is_none() && self.gone.is_none()
    }

    fn is_to_be_replaced(&self) -> bool {
        !self.is_alive() && !self.is_replaced
    }
}

fn refuse(why: String) -> Answer {
    Err((StatusCode::CONFLICT, why))
}

fn millis_since(moment: Instant) -> f64 {
    millis(moment.elapsed())
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
