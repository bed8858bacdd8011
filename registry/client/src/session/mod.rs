//! The session core: decides what to send to which server and when, as a state machine without a socket or a clock.
//!
//! After every [`Session::handle`] and [`Session::call`] drain [`Session::poll_output`], in order, before the next one; after one
//! or several of them write the bytes of [`Session::transmit`]; at [`Session::poll_deadline`] handle [`Input::Timeout`]. A call is
//! no input, because its body is borrowed: on a connection it is copied once. There is at most one connection, so inputs and
//! outputs do not name it.
//!
//! Time: the client pings after a third of the session timeout without a request. A server that sends nothing for two thirds
//! counts as lost; the last third is for finding another one. So does one that answers pings but not the request whose turn it
//! is: answers come in order, so nothing behind it can be trusted. Only a server can end a session: by its answer, or by
//! having lost data that this client has seen.

mod calls;
mod connecting;
mod incoming;
mod login;
mod outgoing;
mod read_only;
mod route;
mod types;
mod watches;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use common::Millis;
use common::digest_md5::Answer;
use zk_wire::Zxid;

use crate::session_state::WatchLost;
use crate::session_state::{CloseReason, Credentials, SessionState};
use calls::Calls;
pub use login::LoginError;
pub(crate) use login::SaslUser;
use read_only::Search;
use route::{Candidate, HEAD_START, Route};
pub(crate) use types::*;
use watches::Watches;

/// Capacity above which the empty buffer of bytes to write is freed, so that one burst does not hold memory for ever.
const KEPT: usize = 64 * 1024;

/// Capacity, in entries, above which an empty queue is freed.
const KEPT_ENTRIES: usize = 1024;

/// Logical connection to an ensemble, over successive sessions. `C` is the shell's way to a caller.
#[derive(Debug)]
pub(crate) struct Session<C> {
    config: SessionConfig,
    route: Route,
    link: LinkState,
    /// Attempts to open a connection, oldest first, each with its time limit. They race: the first one that is open is used.
    attempts: VecDeque<(AttemptId, Millis)>,
    last_attempt: u64,
    /// Last published state.
    state: SessionState,
    /// `None` until a server has given a session.
    credentials: Option<Credentials>,
    /// Negotiated session timeout; before that, the one to ask for.
    timeout: Millis,
    /// Newest transaction that any answer has shown.
    seen: Zxid,
    /// Newest transaction at the time when all watches were last known to be set.
    watched_since: Zxid,
    /// Number of setWatches requests without an answer.
    sent_set_watches: usize,
    calls: Calls<C>,
    watches: Watches,
    /// Watches of the connection that no handle has any more, and that are still to be withdrawn.
    unused: BTreeSet<WatchKey>,
    /// Number of withdrawals without an answer.
    sent_withdrawals: usize,
    /// Bodies of the auth packets to give on each connection: the configured ones, and those that a server has accepted.
    identities: Vec<Bytes>,
    /// The last server that was given identities has refused one.
    identity_refused: bool,
    /// Answer to the challenge of the login under way.
    login_answer: Option<Answer>,
    /// Numbers for logins.
    random: fastrand::Rng,
    /// True if the session was given by a read-only server, and is known to that one alone.
    is_local: bool,
    /// `None` unless the connected server is read-only.
    search: Option<Search>,
    /// True if a server has closed the connection instead of answering the handshake, since the last live connection.
    refused: bool,
    /// Probe session and its timeout; see `must_probe`.
    probe: Option<(Credentials, Millis)>,
    closing: Option<Closing>,
    /// Bytes for the connection; none without one.
    outgoing: BytesMut,
    outputs: VecDeque<Output<C>>,
}

/// Progress towards a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LinkState {
    /// No connection. At this time the next attempt begins; earlier ones may be under way.
    Idle(Millis),
    /// Looking up the addresses of a server, until this time.
    LookingUp { server: usize, until: Millis },
    /// Opening a connection; from this time on the next attempt may overtake this one.
    Opening { attempt: AttemptId, until: Millis },
    /// Waiting for the answer to the handshake, of our session or of a probe session.
    Handshaking { until: Millis, probing: bool },
    /// Waiting for the last transaction of the servers, in a probe session.
    Checking { until: Millis },
    /// Waiting for the end of a probe session. With `in_doubt` it shows if the servers have lost data; otherwise they have not.
    Leaving { until: Millis, in_doubt: bool },
    /// Waiting for the next token of the login, in our session or a probe session, until this time.
    LoggingIn { until: Millis, probing: bool },
    /// Waiting for the answers to the identities of the session, until this time.
    Identifying { until: Millis, accepted: usize },
    /// Working, with the times of the last frames received and sent, and the time since when the next answer is due.
    Live { heard: Millis, wrote: Millis, owed: Option<Millis> },
    /// Closed for ever.
    Ended,
}

/// Request to close the session.
#[derive(Clone, Copy, Debug)]
struct Closing {
    deadline: Millis,
    sent: bool,
}

impl<C> Session<C> {
    /// Creates a session that begins to connect at the first [`Input::Timeout`], which is due at once.
    pub(crate) fn new(config: SessionConfig) -> Self {
        Self {
            route: Route::new(config.servers, config.seed),
            link: LinkState::Idle(Millis(0)),
            attempts: VecDeque::new(),
            last_attempt: 0,
            state: SessionState::Connecting,
            credentials: config.attach.clone(),
            timeout: config.session_timeout,
            identities: config.identities.clone(),
            identity_refused: false,
            login_answer: None,
            random: fastrand::Rng::with_seed(!config.seed),
            config,
            seen: Zxid(0),
            watched_since: Zxid(0),
            sent_set_watches: 0,
            calls: Calls::new(),
            watches: Watches::default(),
            unused: BTreeSet::new(),
            sent_withdrawals: 0,
            is_local: false,
            search: None,
            refused: false,
            probe: None,
            closing: None,
            outgoing: BytesMut::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Handles an input, and all that is due by now.
    pub(crate) fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Forget(id) => {
                self.calls.forget(id);
                if let Some(key) = self.watches.forget(id) {
                    self.withdraw(now, key);
                }
            }
            Input::LookedUp(addresses) => self.handle_looked_up(now, addresses),
            Input::Connected => self.handle_connected(now),
            Input::NotConnected(attempt) => self.handle_not_connected(now, attempt),
            Input::ReadWrite { server } => self.handle_read_write(now, server),
            Input::Lost => self.handle_lost(now),
            Input::Frame(body) => self.handle_frame(now, body),
            Input::Close { deadline } => self.handle_close(now, deadline),
            Input::Timeout => {}
        }
        self.handle_due(now);
    }

    /// Makes a new call; without a connection it waits for one until `deadline`.
    pub(crate) fn call(&mut self, now: Millis, call: Call<C>, request: Outgoing<'_>, deadline: Millis) {
        if self.closing.is_some() || self.link == LinkState::Ended {
            self.fail(call, CallFailure::Closed);
        } else if call.session.is_some_and(|only| self.credentials.as_ref().is_none_or(|it| it.id != only)) {
            self.fail(call, CallFailure::SessionExpired);
        } else if self.calls.len() >= self.config.max_pending {
            self.fail(call, CallFailure::Overloaded);
        } else if let LinkState::Live { .. } = self.link {
            self.send_call(now, call, request);
        } else {
            self.calls.wait(call, request, deadline);
        }
    }

    /// Returns the next output; `None` until the next input.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output<C>> {
        pop(&mut self.outputs)
    }

    /// Appends the bytes to write to `out`.
    pub(crate) fn transmit(&mut self, out: &mut BytesMut) {
        if out.is_empty() {
            // Not copied, and both buffers are used again.
            std::mem::swap(out, &mut self.outgoing);
        } else {
            out.extend_from_slice(&self.outgoing);
        }
        self.outgoing.clear();
        if self.outgoing.capacity() > KEPT {
            self.outgoing = BytesMut::new();
        }
    }

    /// Returns the negotiated session timeout; before that, the one to ask for.
    #[must_use]
    pub(crate) fn timeout(&self) -> Millis {
        self.timeout
    }

    /// Returns the number of rounds through all servers and addresses that have failed since a connection last worked.
    #[must_use]
    pub(crate) fn failed_rounds(&self) -> u32 {
        self.route.rounds()
    }

    /// Returns true if the server has not answered the handshake yet.
    #[must_use]
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self.link, LinkState::Handshaking { .. })
    }

    /// Returns the time at which something is due.
    #[must_use]
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let link = match self.link {
            LinkState::Ended => return None,
            LinkState::Idle(at) => at,
            LinkState::LookingUp { until, .. }
            | LinkState::Opening { until, .. }
            | LinkState::Handshaking { until, .. }
            | LinkState::Checking { until }
            | LinkState::Leaving { until, .. }
            | LinkState::LoggingIn { until, .. }
            | LinkState::Identifying { until, .. } => until,
            LinkState::Live { heard, wrote, owed } => {
                let answer = owed.map_or(Millis(u64::MAX), |since| since + self.answer_timeout());
                (heard + self.silence()).min(wrote + self.ping_interval()).min(answer)
            }
        };
        let closing = self.closing.map(|closing| closing.deadline);
        let attempts = self.attempts.iter().map(|&(_, until)| until);
        let others = [closing, self.calls.next_deadline(), self.next_question()].into_iter().flatten();
        attempts.chain(others).fold(link, Millis::min).into()
    }

    fn handle_lost(&mut self, now: Millis) {
        if !self.has_connection() {
            return;
        }
        if let LinkState::Handshaking { .. } = self.link {
            self.refused = true;
        }
        self.lose_link(now);
    }

    fn handle_close(&mut self, now: Millis, deadline: Millis) {
        if self.link == LinkState::Ended {
            return;
        }
        if let Some(closing) = &mut self.closing {
            // The shortest limit of several callers counts.
            closing.deadline = closing.deadline.min(deadline);
            return;
        }
        self.closing = Some(Closing { deadline, sent: false });
        for waiting in self.calls.take_waiting() {
            self.fail(waiting.call, CallFailure::Closed);
        }
        if self.credentials.is_none() || self.is_local && !matches!(self.link, LinkState::Live { .. }) {
            self.finish(CloseResult::Closed);
        } else if let LinkState::Live { .. } = self.link {
            self.send_close(now);
        }
    }

    fn handle_due(&mut self, now: Millis) {
        while let Some(call) = self.calls.pop_overdue(now) {
            self.fail(call, CallFailure::ConnectionLost { sent: false });
        }
        if let Some(Closing { deadline, sent }) = self.closing
            && deadline <= now
        {
            self.finish(CloseResult::Unknown { sent });
        }
        self.give_up_overdue(now);
        self.ask_if_due(now);
        match self.link {
            LinkState::LookingUp { until, .. } if until <= now => {
                self.outputs.push_back(Output::LeaveLookUp);
                self.handle_looked_up(now, 0);
            }
            LinkState::Opening { until, .. } if until <= now => {
                self.link = LinkState::Idle(now + self.route.overtaken(now));
            }
            LinkState::Handshaking { until, .. }
            | LinkState::Checking { until }
            | LinkState::Leaving { until, .. }
            | LinkState::LoggingIn { until, .. }
            | LinkState::Identifying { until, .. }
                if until <= now =>
            {
                self.disconnect(now, DisconnectCause::NoHandshake);
            }
            LinkState::Live { heard, .. } if heard + self.silence() <= now => {
                self.disconnect(now, DisconnectCause::Silence);
            }
            LinkState::Live { owed: Some(since), .. } if since + self.answer_timeout() <= now => {
                self.disconnect(now, DisconnectCause::NoAnswer);
            }
            LinkState::Live { wrote, .. } if wrote + self.ping_interval() <= now => {
                self.send_ping(now);
            }
            _ => {}
        }
        while let LinkState::Idle(at) = self.link
            && at <= now
        {
            match self.route.take_next() {
                Candidate::Server(server) => {
                    // Where addresses are known, a slow resolver is not waited for.
                    let is_known = self.route.known(server) > 0;
                    let limit = if is_known { HEAD_START } else { self.attempt_time() };
                    self.link = LinkState::LookingUp { server, until: now + limit };
                    self.outputs.push_back(Output::LookUp { server });
                }
                Candidate::Address { server, address } => self.connect(now, server, address),
            }
        }
    }

    /// Drops the connection.
    fn disconnect(&mut self, now: Millis, cause: DisconnectCause) {
        self.outputs.push_back(Output::Disconnect(cause));
        self.lose_link(now);
    }

    /// Handles the loss of the connection: calls on it fail.
    fn lose_link(&mut self, now: Millis) {
        self.outgoing.clear();
        self.sent_set_watches = 0;
        self.search = None;
        self.unused.clear();
        self.sent_withdrawals = 0;
        self.probe = None;
        if let (LinkState::Live { .. }, Some(credentials)) = (self.link, &self.credentials) {
            self.publish(SessionState::Disconnected(credentials.id));
        }
        let in_doubt = matches!(self.link, LinkState::Leaving { in_doubt: true, .. });
        self.go_on(now);
        for call in self.calls.take_sent() {
            self.fail(call, CallFailure::ConnectionLost { sent: true });
        }
        if in_doubt && self.closing.is_none() {
            // The probe has made the servers' number larger than ours: none would refuse our session any more.
            self.end_session();
        }
    }

    /// Handles the server's answer that the session is gone: its calls and watches end, and a new session is opened.
    fn expire(&mut self, now: Millis) {
        if self.closing.is_some() {
            self.finish(CloseResult::AlreadyGone);
            return;
        }
        self.outputs.push_back(Output::Disconnect(DisconnectCause::Expired));
        // A server that knows that is well: the next session need not wait as after failures.
        self.route.proven();
        self.go_on(now);
        self.end_session();
    }

    /// Ends everything that belongs to the session; another session may begin.
    fn end_session(&mut self) {
        self.credentials = None;
        self.timeout = self.config.session_timeout;
        // Opening a session is a write: the server that answers it has all that we have seen.
        self.seen = Zxid(0);
        self.watched_since = Zxid(0);
        self.publish(SessionState::Connecting);
        for waiting in self.calls.take_waiting() {
            self.fail(waiting.call, CallFailure::SessionExpired);
        }
        self.lose_watches(WatchLost::SessionExpired);
    }

    /// Closes for ever.
    fn finish(&mut self, result: CloseResult) {
        if self.has_connection() {
            self.outputs.push_back(Output::Disconnect(DisconnectCause::Closed));
        }
        self.attempts.clear();
        self.link = LinkState::Ended;
        self.search = None;
        self.credentials = None;
        self.outgoing.clear();
        let reason = match result {
            CloseResult::Closed | CloseResult::AlreadyGone => CloseReason::Requested,
            CloseResult::Unknown { .. } => CloseReason::Unconfirmed,
        };
        self.publish(SessionState::Closed(reason));
        for call in self.calls.take_sent() {
            self.fail(call, CallFailure::ConnectionLost { sent: true });
        }
        self.lose_watches(WatchLost::Closed);
        self.outputs.push_back(Output::Closed(result));
    }

    fn has_connection(&self) -> bool {
        match self.link {
            LinkState::Idle(_)
            | LinkState::LookingUp { .. }
            | LinkState::Opening { .. }
            | LinkState::Ended => false,
            LinkState::Handshaking { .. }
            | LinkState::Checking { .. }
            | LinkState::Leaving { .. }
            | LinkState::LoggingIn { .. }
            | LinkState::Identifying { .. }
            | LinkState::Live { .. } => true,
        }
    }

    fn publish(&mut self, state: SessionState) {
        if self.state != state {
            self.state = state;
            self.outputs.push_back(Output::State(state, self.credentials.clone()));
        }
    }

    fn lose_watches(&mut self, lost: WatchLost) {
        for id in self.watches.take_one_shots() {
            self.outputs.push_back(Output::Watch { id, outcome: Err(lost) });
        }
    }

    /// Returns the time without a frame after which a server counts as lost.
    fn silence(&self) -> Millis {
        Millis(self.timeout.0 * 2 / 3)
    }

    /// Returns the time that the server has for the next answer.
    fn answer_timeout(&self) -> Millis {
        self.config.answer_timeout.unwrap_or(self.timeout).max(Millis(1))
    }

    fn ping_interval(&self) -> Millis {
        // A server that grants no time at all must not make us spin.
        Millis(self.timeout.0 / 3).max(Millis(1))
    }

    fn fail(&mut self, call: Call<C>, failure: CallFailure) {
        self.outputs.push_back(Output::Complete { call, result: Err(failure), watching: false });
    }
}

/// Takes out the first entry of a queue. An empty queue holds no memory of a burst.
fn pop<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let first = queue.pop_front();
    if queue.is_empty() && queue.capacity() > KEPT_ENTRIES {
        *queue = VecDeque::new();
    }
    first
}
