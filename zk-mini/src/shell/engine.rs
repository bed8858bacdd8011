//! Engine of a server: its state behind a mutex, and the signals between its tasks.
//!
//! The mutex is held to hand inputs to the core and to move its outputs into the outboxes; never across an `await`,
//! and never while a task is woken or a line is logged.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::task::{spawn_blocking, yield_now};
use zk_wire::Millis;

use crate::core::{ConnId, Core, Input, Output};
use crate::report::figures::Configuration;
use crate::report::four_letter::{DEFAULT_TRACE_MASK, Whitelist};
use crate::shell::accept_barrier::AcceptBarrier;
use crate::shell::came::Came;
use crate::shell::changes::Changes;
use crate::shell::clock::Clock;
use crate::shell::connections::{Connections, Port, Refused};
use crate::shell::http::HttpConnection;
use crate::shell::journal::{Batch, Journal};
use crate::shell::limits::Limits;
use crate::shell::listener::Listener;
use crate::shell::outbox::{Close, Outbox};
use crate::shell::panics::surviving;
use crate::shell::remote::Remote;
use crate::shell::runtime::Runtime;
use crate::shell::security::Security;
#[cfg(feature = "tls")]
use crate::shell::security::TlsSetup;
use crate::shell::state::{AuditSink, ServerState};
use crate::shell::turn::{Turn, Wakers};
use crate::shell::turn_log::{Line, TurnLog};
use crate::storage::Files;

/// Number of outputs performed in one turn, of those that waited for the disk.
const OUTPUTS_AT_ONCE: usize = 5_000;

/// A server, shared by its handle, its tasks and its connections.
#[derive(Debug)]
pub(crate) struct Engine {
    state: Mutex<ServerState>,
    /// Held while waiting for the state. A mutex alone is not fair.
    next: Mutex<()>,
    pub(crate) limits: Limits,
    pub(crate) setup: Setup,
    /// Runtime of the connections.
    pub(crate) runtime: Runtime,
    /// Notified when the next deadline is earlier than the one that the timer sleeps for.
    pub(crate) deadline_nearer: Notify,
    /// Notified when a connection has ended.
    pub(crate) connection_ended: Notify,
    /// Notified when there is a batch for the disk, or the server has stopped.
    pub(crate) journal_filled: Notify,
    /// Notified when outputs that waited for the disk have been performed or given up.
    pub(crate) settled: Notify,
    /// Notified when the core has something to tidy up.
    pub(crate) untidy: Notify,
    /// Notified when a fault rule has fired or was removed, or the server has stopped.
    pub(crate) fault_news: Notify,
    /// Barriers of the listeners.
    pub(crate) accept_barriers: Mutex<Vec<AcceptBarrier>>,
    /// Held while the keeper loses what is not durable: a second one who asks for that waits.
    pub(crate) loss: tokio::sync::Mutex<()>,
    /// Held while a clock is moved from deadline to deadline: a second one who moves it waits.
    pub(crate) moving: tokio::sync::Mutex<()>,
    /// Notified when the server has stopped.
    ended: Notify,
    pub(crate) changes: Changes,
    /// Number that tells the history from those of other servers.
    pub(crate) history_id: u32,
}

/// Properties of a server that do not change while it runs.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) configuration: Arc<Configuration>,
    /// Four-letter words that are answered.
    pub(crate) words: Whitelist,
    /// Listening sockets, if there are some.
    pub(crate) listener: Option<Arc<Listener>>,
    /// Function that serves HTTP, if there is one.
    pub(crate) http: Option<HttpHandler>,
    /// Function that takes audit records, if there is one.
    pub(crate) audit: Option<AuditSink>,
    /// TLS, if there is some.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsSetup>,
    /// The data directory, if there is one.
    pub(crate) files: Option<Arc<Files>>,
}

impl Setup {
    /// Returns the addresses that the server listens on.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.listener.as_ref().map_or_else(Vec::new, |listener| listener.addrs())
    }

    /// Returns the address of a listening socket.
    pub(crate) fn addr(&self, socket: usize) -> Option<SocketAddr> {
        self.listener.as_ref()?.addr(socket)
    }

    /// Returns true if a listening address is for TLS only.
    fn is_for_tls(&self, socket: usize) -> bool {
        self.listener.as_ref().is_some_and(|listener| listener.is_for_tls(socket))
    }

    /// Returns what a listening address takes; `None` is this process.
    #[cfg(feature = "tls")]
    pub(crate) fn security(&self, listener: Option<usize>) -> Security {
        match &self.tls {
            Some(_) if listener.is_some_and(|socket| self.is_for_tls(socket)) => Security::Tls,
            Some(setup) if setup.is_unified => Security::Either,
            _ => Security::Plain,
        }
    }

    /// Returns what a listening address takes.
    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    pub(crate) fn security(&self, _: Option<usize>) -> Security {
        Security::Plain
    }
}

/// Function that serves connections that begin with an HTTP request.
#[derive(Clone)]
pub(crate) struct HttpHandler(pub(crate) Arc<ServeHttp>);

type ServeHttp = dyn Fn(&Arc<Engine>, HttpConnection) + Send + Sync;

impl fmt::Debug for HttpHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpHandler")
    }
}

/// A connection that is counted and that the core knows. Dropping it removes the connection.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    pub(crate) engine: Arc<Engine>,
    pub(crate) id: ConnId,
    pub(crate) outbox: Arc<Outbox>,
    /// Address of the other end; `None` if it is in this process.
    pub(crate) remote: Option<SocketAddr>,
    /// Address that it was accepted at.
    pub(crate) listener: Option<SocketAddr>,
    /// Kinds of first bytes that it may send.
    pub(crate) security: Security,
    /// Server that it belongs to, if there are several.
    pub(crate) server: Option<usize>,
}

impl Engine {
    pub(crate) fn new(
        core: Core,
        journal: Option<Journal>,
        setup: Setup,
        clock: Clock,
        limits: Limits,
        runtime: Runtime,
    ) -> Self {
        let state = ServerState {
            core,
            clock,
            journal,
            connections: Connections::default(),
            trace_mask: DEFAULT_TRACE_MASK,
            armed: None,
            audit: setup.audit.clone(),
            log: TurnLog::default(),
            stopped: false,
            disk_failure: None,
            losing: None,
        };
        Self {
            state: Mutex::new(state),
            next: Mutex::default(),
            limits,
            setup,
            runtime,
            deadline_nearer: Notify::new(),
            connection_ended: Notify::new(),
            journal_filled: Notify::new(),
            settled: Notify::new(),
            untidy: Notify::new(),
            fault_news: Notify::new(),
            accept_barriers: Mutex::default(),
            loss: tokio::sync::Mutex::default(),
            moving: tokio::sync::Mutex::default(),
            ended: Notify::new(),
            changes: Changes::default(),
            history_id: fastrand::u32(..),
        }
    }

    /// Admits a connection from `remote`; `None` is this process. One that is too many is for the caller
    /// to [`reject`](Self::reject).
    pub(crate) fn admit(
        self: &Arc<Self>,
        remote: Option<SocketAddr>,
        came: Came,
    ) -> Result<ConnectionGuard, Refused> {
        self.turn(|state, turn| {
            if state.stopped {
                return Err(Refused::Stopped);
            }
            if state.core.is_down() {
                return Err(Refused::Down);
            }
            let listener = match came {
                Came::Anywhere => state.core.next_server(),
                Came::ToServer(server) => Some(server),
                // Several addresses of a server of an ensemble are one for the core.
                Came::ToSocket(socket) => match &self.setup.listener {
                    Some(listener) if state.core.server_count() > 0 => listener.server_of(socket),
                    _ => Some(socket),
                },
            };
            if listener.is_some_and(|server| state.core.is_server_stopped(server)) {
                return Err(Refused::Down);
            }
            let server = listener.filter(|_| state.core.server_count() > 0);
            let socket = if let Came::ToSocket(socket) = came { Some(socket) } else { None };
            let is_for_tls = socket.is_some_and(|socket| self.setup.is_for_tls(socket));
            let port = Port { server: server.unwrap_or_default(), is_for_tls };
            let (id, outbox) = state.connections.admit(remote, port, turn)?;
            state.handle(Input::Accepted { conn: id, peer: Remote(remote).peer(), listener }, turn);
            let security = self.setup.security(socket);
            let listener = socket.and_then(|socket| self.setup.addr(socket));
            Ok(ConnectionGuard { engine: Arc::clone(self), id, outbox, remote, listener, security, server })
        })
    }

    /// Counts and logs a connection that is one too many, for its address or for the server.
    pub(crate) fn reject(&self, remote: SocketAddr, refused: Refused, came: Came) {
        let line = match refused {
            Refused::Full => Line::Full(remote, self.limits.max_connections),
            _ => Line::TooMany(remote, self.limits.max_client_connections),
        };
        self.turn(|state, turn| {
            let server = match (came, &self.setup.listener) {
                (Came::ToSocket(socket), Some(listener)) if state.core.server_count() > 0 => {
                    listener.server_of(socket)
                }
                _ => None,
            };
            state.connections.stats_of(server.unwrap_or_default()).rejected += 1;
            state.log.push(turn.now.mono, line);
        });
    }

    /// Hands a connection to the function that serves HTTP.
    pub(crate) fn hand_over(self: &Arc<Self>, connection: HttpConnection) {
        if let Some(HttpHandler(handler)) = &self.setup.http {
            surviving(|| handler(self, connection));
        }
    }

    /// Counts a connection that its peer has ended.
    pub(crate) fn dropped(&self, guard: &ConnectionGuard) {
        self.turn(|state, _| state.connections.stats_of_conn(guard.id).dropped += 1);
    }

    /// Returns signals to await until everything that is queued now has been written.
    pub(crate) fn barriers(&self) -> Vec<oneshot::Receiver<()>> {
        self.turn(|state, turn| {
            let outboxes = state.connections.iter().map(|(_, entry)| &entry.outbox);
            outboxes.filter_map(|outbox| outbox.barrier(turn)).collect()
        })
    }

    /// Returns when no output waits for the disk any more.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.lock().journal.as_ref().is_none_or(Journal::is_idle) {
                return;
            }
            settled.await;
        }
    }

    /// Performs the outputs of a batch whose transactions are durable. Newer outputs wait behind them.
    pub(crate) async fn perform_durable(&self, batch: Batch) {
        let mut outputs = batch.outputs.into_iter();
        while self.turn(|state, turn| {
            for output in outputs.by_ref().take(OUTPUTS_AT_ONCE) {
                if let Output::Send { conn, frame } = &output {
                    state.connections.release(*conn, frame.len(), turn);
                }
                state.perform(output, turn);
            }
            if outputs.len() > 0 {
                return true;
            }
            for (conn, bytes) in &batch.charges {
                state.connections.release(*conn, *bytes, turn);
            }
            state.journal.as_mut().map(Journal::written);
            false
        }) {
            yield_now().await;
        }
        self.settled.notify_waiters();
    }

    /// Goes back to the durable state, and refuses writes for now. No client was told of a later change. All clients are
    /// disconnected, because the durable state has no watches.
    pub(crate) fn go_back(&self, durable: Core) {
        let given_up = self.turn(|state, turn| {
            if let Some(journal) = &mut state.journal {
                journal.lose();
            }
            // A server that is read-only loses nothing on demand.
            state.losing = None;
            state.connections.close_all_by_core(turn);
            state.core.go_back(durable)
        });
        // Dropping a million nodes takes a while.
        spawn_blocking(move || drop(given_up));
        self.settled.notify_waiters();
    }

    /// Admits no more connections and closes all.
    pub(crate) fn stop(&self) {
        let followers = self.turn(|state, turn| {
            state.stopped = true;
            // There is no later turn to log how many lines were left out.
            state.log.time_passes(Millis(u64::MAX));
            for (_, entry) in state.connections.iter() {
                entry.outbox.close(Close::Now, turn);
            }
            state.clock.part()
        });
        if let Some(followers) = followers {
            followers.wake_all();
        }
        self.journal_filled.notify_one();
        self.ended.notify_waiters();
        self.fault_news.notify_waiters();
    }

    /// Waits until the server has stopped.
    pub(crate) async fn ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.lock().stopped {
                return;
            }
            ended.await;
        }
    }

    /// Waits until the last connection of a stopped server has ended.
    pub(crate) async fn emptied(&self) {
        loop {
            let ended = self.connection_ended.notified();
            if self.lock().connections.len() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Reads the state.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&ServerState) -> T) -> T {
        look(&self.lock())
    }

    /// Returns the server of an ensemble that listens at an address.
    pub(crate) fn server_at(&self, addr: Option<SocketAddr>) -> Option<usize> {
        let listener = self.setup.listener.as_ref()?;
        let socket = listener.addrs().into_iter().position(|listens| Some(listens) == addr)?;
        listener.server_of(socket).filter(|_| self.look(|state| state.core.server_count() > 0))
    }

    /// Reads the state as a server of an ensemble has it.
    pub(crate) fn look_as<T>(&self, server: usize, look: impl FnOnce(&ServerState) -> T) -> T {
        let mut state = self.lock();
        let before = state.core.place(Some(server));
        let seen = look(&state);
        state.core.place(before);
        seen
    }

    /// Returns the settings, as a server of an ensemble has them.
    pub(crate) fn configuration_of(&self, server: Option<usize>, state: &ServerState) -> Arc<Configuration> {
        let Some(server) = server else { return Arc::clone(&self.setup.configuration) };
        let listener = self.setup.listener.as_ref();
        let (listens, listens_tls) = listener.map(|listener| listener.firsts_of(server)).unwrap_or_default();
        let server_id = state.core.number_of(server);
        Arc::new(Configuration { listens, listens_tls, server_id, ..(*self.setup.configuration).clone() })
    }

    /// Does work with the state in one turn. Tasks are woken and lines logged after the unlock.
    pub(crate) fn turn<T>(&self, work: impl FnOnce(&mut ServerState, &mut Turn<'_>) -> T) -> T {
        // Declared before the lock, so that a panic, too, frees the lock before it wakes tasks.
        let mut wakers = Wakers::default();
        let mut state = self.lock();
        let (now, began) = state.clock.read();
        let mut turn = Turn { now, began, limits: &self.limits, wakers: &mut wakers, listens: Vec::new() };
        let result = work(&mut state, &mut turn);
        let listens = turn.listens;
        let deadline = state.poll_deadline();
        // The timer sleeps while the clock is held.
        let deadline_nearer = !state.clock.is_held()
            && deadline.is_some_and(|deadline| state.armed.is_none_or(|armed| deadline < armed));
        if deadline_nearer {
            state.armed = deadline;
        }
        let journal_filled = state.journal.as_ref().is_some_and(Journal::has_work);
        let untidy = state.core.is_untidy();
        let fault_news = state.core.take_fault_news();
        let lines = state.log.take();
        drop(state);
        if fault_news {
            self.fault_news.notify_waiters();
        }
        if untidy {
            self.untidy.notify_one();
        }
        if journal_filled {
            self.journal_filled.notify_one();
        }
        if deadline_nearer {
            self.deadline_nearer.notify_one();
        }
        self.changes.tell();
        // Before those are woken who are told of it.
        if !listens.is_empty() {
            self.listen_for(listens);
        }
        drop(wakers);
        lines.iter().for_each(Line::log);
        result
    }

    /// Locks the state, fairly: a thread that has just freed it waits behind those that wait already.
    fn lock(&self) -> MutexGuard<'_, ServerState> {
        let _next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let engine = &self.engine;
        // A guard may be dropped by a panic, and a second panic would end the process.
        surviving(|| {
            engine.turn(|state, turn| {
                if state.connections.remove(self.id) {
                    state.handle(Input::Closed { conn: self.id }, turn);
                }
            });
        });
        self.outbox.release_all();
        engine.connection_ended.notify_waiters();
        log!(DEBUG, conn = self.id.0, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::ZkMini;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_turn_that_panics_wakes_its_tasks_and_frees_the_state() {
        let zk = ZkMini::builder().in_memory().start().await.unwrap();
        let woken = Arc::<Counting>::default();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            zk.engine.turn(|_, turn| {
                turn.wakers.add(Some(Arc::clone(&woken).into()));
                resume_unwind(Box::new("a defect"));
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(zk.engine.look(|state| state.connections.len()), 0, "and the state can be locked again");
    }
}
