//! The driver: one task that owns the session core and its link, and performs the outputs of the core.
//!
//! No rule of the protocol is here. The task ends when the core is closed.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use common::log::quietly;
use common::{Clock, Millis};
use tokio::sync::oneshot;
use zk_wire::WatchedEvent;

use crate::attempts::{AttemptEvent, Attempts, Target};
use crate::chroot::Chroot;
use crate::command::{Caller, Command, NewCall, Notify, Refusal, Shared};
use crate::connect::Connect;
use crate::feed::WatchUpdate;
use crate::intake::{Batch, Commands, Intake, intake};
use crate::link::Link;
use crate::session::{
    AttemptId, Call, CallId, CloseResult, DisconnectCause, Input, Outgoing, Output, Session, SessionConfig,
};
use crate::session_state::{CloseReason, SessionState};

/// Probable reason for the end of a connection during the handshake: the server does not tell.
const TURNED_AWAY: &str = " during the handshake; it may have reached its limit of connections from this address \
                           (maxClientCnxns), have no quorum, speak TLS only on this port, or fail to write to its disk: \
                           see its log";

const NO_CONNECTION: &str = "no connection in time";

/// State of the task.
pub(crate) struct Driver {
    /// The first, because fields are dropped in their order: whoever hears that the runtime has ended must find it closed.
    intake: Intake,
    session: Session<Caller>,
    clock: Clock,
    attempts: Attempts,
    link: Option<Link>,
    shared: Arc<Shared>,
    session_timeout: Millis,
    chroot: Chroot,
    connector: Arc<dyn Connect>,
    servers: Arc<[String]>,
    /// Addresses of each server, from its last lookup.
    addresses: Vec<Vec<String>>,
    /// Server and address of the link.
    target: Target,
    /// Handles of the watches that are set. No hash table, which would keep the memory of the most there have been.
    watches: BTreeMap<CallId, Notify>,
    closers: Vec<oneshot::Sender<CloseResult>>,
    /// Number that was noted last.
    failed_rounds: u32,
    ended: bool,
}

impl Driver {
    /// Creates a driver, and the channel and the state that its handles use.
    pub(crate) fn new(
        config: SessionConfig,
        servers: Vec<String>,
        connector: Arc<dyn Connect>,
        chroot: Chroot,
        clock: Clock,
    ) -> (Self, Commands, Arc<Shared>) {
        let (commands, intake) = intake();
        let shared = Arc::new(Shared::new(&servers, config.session_timeout));
        let driver = Self {
            intake,
            session_timeout: config.session_timeout,
            session: Session::new(config),
            clock,
            attempts: Attempts::default(),
            link: None,
            shared: Arc::clone(&shared),
            chroot,
            connector,
            addresses: vec![Vec::new(); servers.len()],
            servers: servers.into(),
            target: Target { server: 0, address: String::new() },
            watches: BTreeMap::new(),
            closers: Vec::new(),
            failed_rounds: 0,
            ended: false,
        };
        (driver, commands, shared)
    }

    /// Runs until the session is closed.
    pub(crate) async fn run(mut self) {
        let mut batch = Batch::default();
        let mut handles_left = true;
        let clock = self.clock.clone();
        let mut due = pin!(clock.sleep_until(None));
        let mut armed = None;
        self.handle(self.clock.now(), Input::Timeout);
        while !self.ended {
            if let Some(link) = &mut self.link {
                self.session.transmit(link.outgoing());
            }
            // All calls of a millisecond have the same: to set a timer takes longer than a call.
            let deadline = self.session.poll_deadline();
            if deadline != armed {
                due.set(clock.sleep_until(deadline));
                armed = deadline;
            }
            // Bytes that have arrived come before the clock: a busy task must not count the server as silent.
            tokio::select! {
                biased;
                read = read(&mut self.link) => self.handle_read(self.clock.now(), read),
                event = self.attempts.next() => self.handle_attempt(self.clock.now(), event),
                left = self.intake.take(&mut batch), if handles_left => {
                    handles_left = left;
                    // Once for all of them: reading the clock takes a while.
                    let now = self.clock.now();
                    self.handle_commands(now, &mut batch);
                    let close = Input::Close { deadline: now + self.session_timeout };
                    // What is due is done even if callers never stop.
                    self.handle(now, if handles_left { Input::Timeout } else { close });
                }
                () = &mut due, if armed.is_some() => {
                    armed = None;
                    self.handle(self.clock.now(), Input::Timeout);
                }
            }
        }
    }

    fn handle_attempt(&mut self, now: Millis, event: AttemptEvent) {
        match event {
            AttemptEvent::LookedUp(Target { server, .. }, Ok(addresses)) if !addresses.is_empty() => {
                self.shared.forget_others(server, &addresses);
                let count = addresses.len();
                self.addresses[server] = addresses;
                self.handle(now, Input::LookedUp(count));
            }
            AttemptEvent::LookedUp(target, failed) => {
                self.blame(
                    &target,
                    match failed {
                        Ok(_) => "the name has no address".to_owned(),
                        Err(error) => error.to_string(),
                    },
                );
                self.handle(now, Input::LookedUp(0));
            }
            AttemptEvent::Opened(_, target, Ok(stream)) => {
                self.attempts.connected();
                self.target = target;
                self.link = Some(Link::new(stream));
                self.handle(now, Input::Connected);
            }
            AttemptEvent::ReadWrite(server) => self.handle(now, Input::ReadWrite { server }),
            AttemptEvent::Opened(attempt, target, Err(error)) => {
                self.blame(&target, error.to_string());
                self.handle(now, Input::NotConnected(attempt));
            }
        }
    }

    fn handle_read(&mut self, now: Millis, read: io::Result<()>) {
        let Err(error) = read else { return self.handle_frames(now) };
        let cause = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the server ended the connection".to_owned(),
            _ => error.to_string(),
        };
        // An error of TLS has its own words.
        let is_silent = self.session.is_handshaking() && error.kind() != io::ErrorKind::InvalidData;
        let hint = if is_silent { TURNED_AWAY } else { "" };
        self.lose_link(now, cause + hint);
    }

    /// Handles all complete frames, as long as the core keeps the link.
    fn handle_frames(&mut self, now: Millis) {
        while let Some(link) = &mut self.link {
            match link.next_frame() {
                Ok(Some(body)) => self.handle(now, Input::Frame(body)),
                Ok(None) => return,
                Err(error) => self.lose_link(now, error.to_string()),
            }
        }
    }

    fn lose_link(&mut self, now: Millis, cause: String) {
        self.link = None;
        self.blame(&self.target, cause);
        self.handle(now, Input::Lost);
    }

    fn handle_commands(&mut self, now: Millis, batch: &mut Batch) {
        let mut bodies = &batch.bodies[..];
        for command in batch.commands.drain(..) {
            match command {
                Command::Call { id, len, call: NewCall { op, session, watch, wait, caller } } => {
                    let (body, rest) = bodies.split_at(len);
                    bodies = rest;
                    let (call, request) = (Call { id, session, caller }, Outgoing { op, body, watch });
                    self.session.call(now, call, request, now + Millis::from(wait));
                    self.perform_outputs();
                }
                Command::Forget(id) => {
                    self.watches.remove(&id);
                    self.handle(now, Input::Forget(id));
                }
                Command::Close { within, done } => {
                    self.closers.push(done);
                    // One more, because the clock rounds down and the attempt must not end early.
                    self.handle(now, Input::Close { deadline: now + Millis::from(within) + Millis(1) });
                }
            }
        }
        batch.clear();
    }

    fn handle(&mut self, now: Millis, input: Input) {
        self.session.handle(now, input);
        self.perform_outputs();
        let failed_rounds = self.session.failed_rounds();
        // Whoever waits for them is told behind a lock.
        if std::mem::replace(&mut self.failed_rounds, failed_rounds) != failed_rounds {
            self.shared.note_failed_rounds(failed_rounds);
        }
    }

    fn perform_outputs(&mut self) {
        while let Some(output) = self.session.poll_output() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output<Caller>) {
        match output {
            Output::LookUp { server } => self.look_up(server),
            Output::LeaveLookUp => {
                if let Some(target) = self.attempts.leave_look_up() {
                    self.blame(&target, "the name could not be looked up in time".to_owned());
                }
            }
            Output::Connect { attempt, server, address } => self.open(attempt, server, address),
            Output::GiveUp(attempt) => {
                if let Some(target) = self.attempts.give_up(attempt) {
                    self.blame(&target, NO_CONNECTION.to_owned());
                }
            }
            Output::AskMode { server } => {
                self.attempts.ask_mode(server, self.servers[server].clone(), Arc::clone(&self.connector));
            }
            Output::Disconnect(cause) => {
                self.link = None;
                let refusal = match cause {
                    DisconnectCause::IdentityRefused { index, code } => {
                        Some(Refusal::Identity { index, code })
                    }
                    DisconnectCause::Login(reason) => Some(Refusal::Login(reason)),
                    _ => None,
                };
                if let Some(refusal) = refusal {
                    // Whoever connects in the background hears of it only here.
                    quietly(|| tracing::warn!(server = %self.target.address, %cause, "identity refused"));
                    self.shared.note_refusal(refusal);
                }
                self.blame(&self.target, cause.to_string());
            }
            Output::Complete {
                call: Call { id, caller: Caller { reply, notify }, .. },
                result,
                watching,
            } => {
                if let (true, Some(notify)) = (watching, notify) {
                    self.watches.insert(id, notify);
                }
                // The caller may be gone; a forget then follows.
                let _ = reply.send(result);
            }
            Output::Watch { id, outcome } => {
                let Some(Notify::Once(notify)) = self.watches.remove(&id) else { return };
                let _ = notify.send(outcome.map(|event| self.strip(event)));
            }
            Output::Event { id, event } => {
                let Some(Notify::Each(feed)) = self.watches.get(&id) else { return };
                feed.push(WatchUpdate::Changed(self.strip(event)));
            }
            Output::Missed { id } => {
                let Some(Notify::Each(feed)) = self.watches.get(&id) else { return };
                feed.push(WatchUpdate::Missed);
            }
            Output::State(state, credentials) => {
                quietly(|| tracing::debug!(%state, server = %self.target.address, "session state"));
                self.shared.note_session_timeout(self.session.timeout());
                self.shared.publish(state, credentials);
            }
            Output::Closed(result) => {
                self.ended = true;
                for closer in self.closers.drain(..) {
                    let _ = closer.send(result);
                }
            }
        }
    }

    /// Turns the path of an event into the caller's path.
    fn strip(&self, mut event: WatchedEvent) -> WatchedEvent {
        event.path = self.chroot.strip(&event.path).into();
        event
    }

    fn look_up(&mut self, server: usize) {
        let target = Target { server, address: self.servers[server].clone() };
        let (connector, servers) = (Arc::clone(&self.connector), Arc::clone(&self.servers));
        let resolving = async move { connector.resolve(&servers[server]).await };
        self.attempts.look_up(self.clock.now(), target, || Box::pin(resolving));
    }

    fn open(&mut self, attempt: AttemptId, server: usize, address: usize) {
        let Some(address) = self.addresses[server].get(address).cloned() else { return };
        // Until there is another cause: the client may be given up while attempts are under way.
        self.shared.blame_first(server, &address, NO_CONNECTION);
        let target = Target { server, address: address.clone() };
        let (connector, servers) = (Arc::clone(&self.connector), Arc::clone(&self.servers));
        let connecting = async move { connector.connect(&servers[server], &address).await };
        self.attempts.open(attempt, target, Box::pin(connecting));
    }

    fn blame(&self, Target { server, address }: &Target, cause: String) {
        quietly(|| tracing::debug!(server = %address, %cause, "connection lost"));
        self.shared.blame(*server, address, cause);
    }
}

/// Waits for bytes of the link, for ever if there is none. Dropping the future loses nothing.
async fn read(link: &mut Option<Link>) -> io::Result<()> {
    match link {
        Some(link) => link.read().await,
        None => pending().await,
    }
}

/// Publishes the end if the runtime ends before the session.
impl Drop for Driver {
    fn drop(&mut self) {
        if !matches!(self.shared.state(), SessionState::Closed(_)) {
            self.shared.publish(SessionState::Closed(CloseReason::RuntimeEnded), None);
        }
    }
}
