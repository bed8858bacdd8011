//! Frames from the server.

use bytes::Bytes;
use common::Millis;
use zk_wire::{ConnectResponse, Decode, ErrorCode, ReplyHeader, SessionId, WatchedEvent, Xid};

use super::calls::{Purpose, Waiting};
use super::outgoing::{CHECK, LEAVE};
use super::{CallFailure, CloseResult, DisconnectCause, LinkState, Outgoing, Output, Session, WatchKind};
use crate::session_state::{Credentials, SessionState};

impl<C> Session<C> {
    pub(super) fn handle_frame(&mut self, now: Millis, body: Bytes) {
        let handled = match self.link {
            LinkState::Handshaking { probing, .. } => self.handle_connect_response(now, probing, body),
            LinkState::Checking { .. } => self.handle_check(now, body),
            LinkState::Leaving { .. } => self.handle_left(body),
            LinkState::LoggingIn { probing, .. } => self.handle_login_reply(now, probing, body),
            LinkState::Identifying { until, accepted } => {
                self.handle_identity_reply(now, until, accepted, body)
            }
            LinkState::Live { wrote, owed, .. } => {
                self.link = LinkState::Live { heard: now, wrote, owed };
                self.handle_reply(now, body)
            }
            // A frame of a connection that is gone.
            LinkState::Idle(_)
            | LinkState::LookingUp { .. }
            | LinkState::Opening { .. }
            | LinkState::Ended => Ok(()),
        };
        if let Err(cause) = handled {
            self.disconnect(now, cause);
        }
    }

    fn handle_connect_response(
        &mut self,
        now: Millis,
        probing: bool,
        mut body: Bytes,
    ) -> Result<(), DisconnectCause> {
        let mut header = body.clone();
        let response =
            ConnectResponse::decode(&mut body, "ConnectResponse").map_err(|_| {
                match decode_header(&mut header) {
                    Ok(ReplyHeader { err: ErrorCode::NOT_READ_ONLY, .. }) => DisconnectCause::NoLocalSessions,
                    _ => DisconnectCause::Protocol("the answer to the handshake cannot be read"),
                }
            })?;
        let timeout = Millis(u64::try_from(response.timeout).unwrap_or(0));
        let is_read_only = response.read_only == Some(true);
        if response.session_id == SessionId::NONE || timeout == Millis(0) {
            if is_read_only {
                // The majority may know the session.
                return Err(DisconnectCause::UnknownToReadOnly);
            }
            if self.credentials.is_none() || probing {
                return Err(DisconnectCause::Protocol("no session was given"));
            }
            self.expire(now);
            return Ok(());
        }
        // Copied, so that it does not keep the read buffer in memory.
        let password = Bytes::copy_from_slice(&response.password.unwrap_or_default());
        let given = Credentials { id: response.session_id, password };
        if probing {
            self.probe = Some((given, timeout));
            if self.config.sasl.is_some() {
                self.log_in(now, probing);
            } else {
                self.check(now);
            }
            return Ok(());
        }
        if self.is_local {
            self.end_local_session();
        }
        if self.credentials.as_ref().is_some_and(|own| own.id != given.id) {
            return Err(DisconnectCause::Protocol("the handshake was answered with another session"));
        }
        self.timeout = timeout;
        self.is_local = is_read_only && self.credentials.is_none();
        self.credentials = Some(given);
        if is_read_only {
            self.begin_search(now);
        }
        if self.config.sasl.is_some() {
            self.log_in(now, probing);
        } else {
            self.identify(now);
        }
        Ok(())
    }

    /// Asks in a probe session for the last transaction of the servers.
    pub(super) fn check(&mut self, now: Millis) {
        self.send_check(now);
        self.link = LinkState::Checking { until: now + self.ping_interval() };
    }

    /// Handles the answer in a probe session: its header shows the last transaction of the servers. If its number is below that
    /// of what we have seen, the servers have lost that: our session is over, even if they still know it, and the probe takes
    /// its place. If it is above, our session goes on, over another connection.
    ///
    /// If it is the same, the transaction may be the one that we have seen, or the start of the probe session, which took the
    /// number of one that is lost. Only the first is possible where one server alone knows the probe session
    /// (`localSessionsEnabled`); its end decides, see `handle_left`.
    fn handle_check(&mut self, now: Millis, mut body: Bytes) -> Result<(), DisconnectCause> {
        let header = decode_header(&mut body)?;
        if header.xid != CHECK {
            return Err(UNASKED);
        }
        let counts = header.err == ErrorCode::OK && self.closing.is_none();
        match self.probe.take() {
            Some((credentials, timeout)) if counts && header.zxid < self.seen => {
                self.end_session();
                (self.credentials, self.timeout, self.seen) = (Some(credentials), timeout, header.zxid);
                self.watched_since = self.seen;
                self.identify(now);
            }
            _ => {
                self.refused = false;
                self.send_leave(now);
                let in_doubt = counts && header.zxid == self.seen;
                self.link = LinkState::Leaving { until: now + self.ping_interval(), in_doubt };
            }
        }
        Ok(())
    }

    /// Handles the end of a probe session. It is a transaction if its start was one. A session of one server alone takes none,
    /// at its start and at its end. A write of another client in this short time looks the same: then our session is given up,
    /// because to go on without what is lost is worse. So it is if the answer does not come: a doubt that is left when the
    /// connection ends is the end of our session, see `lose_link`.
    fn handle_left(&mut self, mut body: Bytes) -> Result<(), DisconnectCause> {
        let header = decode_header(&mut body)?;
        if header.xid != LEAVE {
            return Err(UNASKED);
        }
        let was_transaction = header.err == ErrorCode::OK && header.zxid > self.seen;
        if let LinkState::Leaving { in_doubt, .. } = &mut self.link {
            *in_doubt &= was_transaction && self.closing.is_none();
            if *in_doubt {
                self.route.proven();
                return Err(DisconnectCause::Expired);
            }
        }
        Err(DisconnectCause::CaughtUp)
    }

    /// Uses the connection for our session: first gives its identities and waits for the answers, because servers tell
    /// missed changes only to clients that may read the node, and because nothing may be done without them, not even a close.
    /// Those that were refused would only stand in the way of a close.
    pub(super) fn identify(&mut self, now: Millis) {
        if self.identities.is_empty() || (self.closing.is_some() && self.identity_refused) {
            self.go_live(now);
            return;
        }
        for body in self.identities.clone() {
            self.send_identity(now, &body);
        }
        self.link = LinkState::Identifying { until: now + self.ping_interval(), accepted: 0 };
    }

    fn handle_identity_reply(
        &mut self,
        now: Millis,
        until: Millis,
        accepted: usize,
        mut body: Bytes,
    ) -> Result<(), DisconnectCause> {
        let ReplyHeader { xid, err: code, .. } = decode_header(&mut body)?;
        if xid != Xid::AUTH {
            return Err(UNASKED);
        }
        if code != ErrorCode::OK {
            self.identity_refused = true;
            return Err(DisconnectCause::IdentityRefused { index: accepted, code });
        }
        let accepted = accepted + 1;
        if accepted < self.identities.len() {
            self.link = LinkState::Identifying { until, accepted };
        } else {
            self.identity_refused = false;
            self.go_live(now);
        }
        Ok(())
    }

    /// Publishes the session as connected, sets the watches of the old connection again, and sends the calls that have
    /// waited.
    fn go_live(&mut self, now: Millis) {
        let Some(&Credentials { id, .. }) = self.credentials.as_ref() else { return };
        self.link = LinkState::Live { heard: now, wrote: now, owed: None };
        self.route.live(now);
        self.refused = false;
        if self.closing.is_some() {
            self.send_close(now);
            return;
        }
        self.publish(match self.search {
            Some(_) => SessionState::ConnectedReadOnly(id),
            None => SessionState::Connected(id),
        });
        self.send_set_watches(now);
        for Waiting { call, op, body, watch, .. } in self.calls.take_waiting() {
            self.send_call(now, call, Outgoing { op, body: &body, watch });
        }
    }

    fn handle_reply(&mut self, now: Millis, mut body: Bytes) -> Result<(), DisconnectCause> {
        let header = decode_header(&mut body)?;
        match header.xid {
            Xid::NOTIFICATION => return self.handle_event(body),
            Xid::PING => {
                self.route.proven();
                return Ok(());
            }
            Xid::AUTH => self.handle_auth_reply(header)?,
            Xid::SET_WATCHES => self.handle_set_watches_reply(header)?,
            _ => self.handle_answer(now, header, body)?,
        }
        self.route.proven();
        let is_next_due = self.sent_set_watches > 0 || self.calls.is_any_sent();
        if let LinkState::Live { owed, .. } = &mut self.link {
            // From now on, not from its sending: a server that is busy with many requests is not silent.
            *owed = is_next_due.then_some(now);
        }
        Ok(())
    }

    fn handle_event(&mut self, mut body: Bytes) -> Result<(), DisconnectCause> {
        let event = WatchedEvent::decode(&mut body, "WatchedEvent")
            .map_err(|_| DisconnectCause::Protocol("an event cannot be read"))?;
        self.tell(&event);
        if let Some(implied) = self.watches.implied_by(&event) {
            self.tell(&implied);
        }
        Ok(())
    }

    fn tell(&mut self, event: &WatchedEvent) {
        for id in self.watches.fire(event) {
            self.outputs.push_back(Output::Watch { id, outcome: Ok(event.clone()) });
        }
        for id in self.watches.lasting_of(event) {
            self.outputs.push_back(Output::Event { id, event: event.clone() });
        }
    }

    fn handle_auth_reply(&mut self, header: ReplyHeader) -> Result<(), DisconnectCause> {
        let auth = self.calls.pop_answered_auth().ok_or(UNASKED)?;
        let result = header.err.into_result();
        if result.is_ok() && !self.identities.contains(&auth.body) {
            self.identities.push(auth.body);
        }
        let result = result.map(|()| Bytes::new()).map_err(CallFailure::Server);
        self.outputs.push_back(Output::Complete { call: auth.call, result, watching: false });
        Ok(())
    }

    fn handle_set_watches_reply(&mut self, header: ReplyHeader) -> Result<(), DisconnectCause> {
        self.sent_set_watches = self.sent_set_watches.checked_sub(1).ok_or(UNASKED)?;
        if header.err != ErrorCode::OK {
            return Err(NOT_SET_AGAIN);
        }
        self.note_zxid(header);
        if self.sent_set_watches == 0 {
            for id in self.watches.lasting() {
                self.outputs.push_back(Output::Missed { id });
            }
        }
        Ok(())
    }

    fn handle_answer(
        &mut self,
        now: Millis,
        header: ReplyHeader,
        body: Bytes,
    ) -> Result<(), DisconnectCause> {
        let purpose = self.calls.pop_answered(header.xid).ok_or(UNASKED)?;
        self.note_zxid(header);
        match purpose {
            Purpose::Close => match header.err {
                ErrorCode::OK => self.finish(CloseResult::Closed),
                ErrorCode::SESSION_EXPIRED => self.finish(CloseResult::AlreadyGone),
                // It goes with its server.
                ErrorCode::NOT_READ_ONLY if self.is_local => self.finish(CloseResult::Closed),
                // Perhaps its owner has moved it to another server: attach again and ask again.
                _ => return Err(DisconnectCause::CloseRefused),
            },
            Purpose::Rewatch { .. } | Purpose::Restore if header.err != ErrorCode::OK => {
                return Err(NOT_SET_AGAIN);
            }
            Purpose::Restore => {}
            Purpose::Rewatch { path, since } => {
                // Servers before 3.9 have told nothing of transactions in between.
                if header.zxid > since {
                    for id in self.watches.lasting_on(&path) {
                        self.outputs.push_back(Output::Missed { id });
                    }
                }
            }
            // Servers refuse to remove a watch that is gone, or of a kind that they do not know: nothing is left to do.
            Purpose::Unwatch => {
                self.sent_withdrawals = self.sent_withdrawals.saturating_sub(1);
                self.send_withdrawals(now);
            }
            Purpose::Call(call, key) => {
                let is_wanted = self.calls.take_wanted(call.id);
                let key = key.and_then(|(kind, path)| Some((kind_set(kind, header.err)?, path)));
                let watching = key.is_some() && is_wanted;
                if let Some(key) = key {
                    self.keep_lasting(now, &key);
                    if is_wanted {
                        self.watches.insert(call.id, key);
                    } else {
                        self.withdraw(now, key);
                    }
                }
                let result = header.err.into_result().map(|()| body).map_err(CallFailure::Server);
                self.outputs.push_back(Output::Complete { call, result, watching });
            }
        }
        Ok(())
    }

    /// Notes the last transaction of an answer. Watches have not heard of it while a setWatches is unanswered.
    fn note_zxid(&mut self, header: ReplyHeader) {
        self.seen = self.seen.max(header.zxid);
        if self.sent_set_watches == 0 {
            self.watched_since = self.seen;
        }
    }
}

pub(super) const UNASKED: DisconnectCause =
    DisconnectCause::Protocol("an answer to no request, or not to the next one");

const NOT_SET_AGAIN: DisconnectCause = DisconnectCause::Protocol("the watches could not be set again");

pub(super) fn decode_header(body: &mut Bytes) -> Result<ReplyHeader, DisconnectCause> {
    ReplyHeader::decode(body, "ReplyHeader")
        .map_err(|_| DisconnectCause::Protocol("the header of an answer is cut off"))
}

/// Returns the watch that the server has set with this answer. exists also watches a node that does not exist.
fn kind_set(asked: WatchKind, err: ErrorCode) -> Option<WatchKind> {
    match (asked, err) {
        (WatchKind::Exist, ErrorCode::OK) => Some(WatchKind::Data),
        (WatchKind::Exist, ErrorCode::NO_NODE) => Some(WatchKind::Exist),
        (kind, ErrorCode::OK) => Some(kind),
        _ => None,
    }
}
