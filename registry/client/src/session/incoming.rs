//! What comes from the server.

use bytes::Bytes;
use zk_wire::{ConnectResponse, Decode, ErrorCode, Millis, ReplyHeader, SessionId, WatchedEvent, Xid};

use super::calls::What;
use super::outgoing::{CHECK, LEAVE};
use super::{Cause, CloseResult, Failure, Link, Output, Session, WatchKind};
use crate::state::{Credentials, State};

impl Session {
    pub(super) fn handle_frame(&mut self, now: Millis, mut body: Bytes) {
        let handled = match self.link {
            Link::Handshaking { probing, .. } => self.handle_connect_response(now, probing, body),
            Link::Checking { .. } => self.handle_check(now, body),
            Link::Leaving { .. } => match decode_header(&mut body) {
                Ok(header) if header.xid == LEAVE => Err(Cause::CaughtUp),
                Ok(_) => Err(UNASKED),
                Err(cause) => Err(cause),
            },
            Link::Live { wrote, .. } => {
                self.link = Link::Live { heard: now, wrote };
                self.handle_reply(body)
            }
            // Of a connection that is gone.
            Link::Idle(_) | Link::LookingUp { .. } | Link::Opening(_) | Link::Ended => Ok(()),
        };
        if let Err(cause) = handled {
            self.disconnect(now, cause);
        }
    }

    fn handle_connect_response(&mut self, now: Millis, probing: bool, mut body: Bytes) -> Result<(), Cause> {
        let response = ConnectResponse::decode(&mut body, "ConnectResponse")
            .map_err(|_| Cause::Protocol("the answer to the handshake cannot be read"))?;
        let timeout = Millis(u64::try_from(response.timeout).unwrap_or(0));
        if response.session_id == SessionId::NONE || timeout == Millis(0) {
            if self.credentials.is_none() || probing {
                return Err(Cause::Protocol("no session was given"));
            }
            self.expire(now);
            return Ok(());
        }
        let password = response.password.unwrap_or_default();
        let given = Credentials { id: response.session_id, password };
        if probing {
            self.probe = Some((given, timeout));
            self.send_check(now);
            self.link = Link::Checking { until: now + self.ping_interval() };
            return Ok(());
        }
        if self.credentials.as_ref().is_some_and(|own| own.id != given.id) {
            return Err(Cause::Protocol("the handshake was answered with another session"));
        }
        self.timeout = timeout;
        self.credentials = Some(given);
        self.go_live(now);
        Ok(())
    }

    /// The answer in a session that is a probe: its header shows how far the servers are. The beginning of that session
    /// is a transaction that came after all that we have seen, so if its number does not, the servers have lost what we
    /// have seen. Then our session is not what it was: it is over, whether it is still known there or not, and nobody
    /// renews it. Otherwise they may have our session: it goes on, over another connection.
    fn handle_check(&mut self, now: Millis, mut body: Bytes) -> Result<(), Cause> {
        let header = decode_header(&mut body)?;
        if header.xid != CHECK {
            return Err(UNASKED);
        }
        let has_lost = header.err == ErrorCode::OK && header.zxid <= self.seen && self.closing.is_none();
        match self.probe.take() {
            Some((credentials, timeout)) if has_lost => {
                self.end_session();
                (self.credentials, self.timeout, self.seen) = (Some(credentials), timeout, header.zxid);
                self.watched_since = self.seen;
                self.go_live(now);
            }
            _ => {
                self.refused = false;
                self.send_leave(now);
                self.link = Link::Leaving { until: now + self.ping_interval() };
            }
        }
        Ok(())
    }

    /// The session is ours, on this connection: say so, restore what belonged to the old connection, and send
    /// what has waited.
    fn go_live(&mut self, now: Millis) {
        let Some(&Credentials { id, .. }) = self.credentials.as_ref() else { return };
        self.link = Link::Live { heard: now, wrote: now };
        self.route.live(now);
        self.refused = false;
        if self.closing.is_some() {
            self.send_close(now);
            return;
        }
        self.publish(State::Connected(id));
        // Identities first: events of missed changes are kept back from who may not read the node.
        for body in self.auths.clone() {
            self.send_auth(now, None, body);
        }
        self.send_set_watches(now);
        for (id, request) in self.calls.take_waiting() {
            self.send_call(now, id, request);
        }
    }

    fn handle_reply(&mut self, mut body: Bytes) -> Result<(), Cause> {
        let header = decode_header(&mut body)?;
        match header.xid {
            Xid::NOTIFICATION => return self.handle_event(body),
            Xid::PING => {}
            Xid::AUTH => self.handle_auth_reply(header)?,
            Xid::SET_WATCHES => self.handle_set_watches_reply(header)?,
            _ => self.handle_answer(header, body)?,
        }
        self.route.proven();
        Ok(())
    }

    fn handle_event(&mut self, mut body: Bytes) -> Result<(), Cause> {
        let event = WatchedEvent::decode(&mut body, "WatchedEvent")
            .map_err(|_| Cause::Protocol("an event cannot be read"))?;
        for id in self.watches.fire(event.event, &event.path) {
            self.outputs.push_back(Output::Watch { id, outcome: Ok(event.clone()) });
        }
        Ok(())
    }

    fn handle_auth_reply(&mut self, header: ReplyHeader) -> Result<(), Cause> {
        let auth = self.calls.pop_answered_auth().ok_or(UNASKED)?;
        let result = header.err.into_result();
        if result.is_ok() && !self.auths.contains(&auth.body) {
            self.auths.push(auth.body);
        }
        if let Some(id) = auth.id {
            let result = result.map(|()| Bytes::new()).map_err(Failure::Server);
            self.outputs.push_back(Output::Complete { id, result, watching: false });
        }
        Ok(())
    }

    fn handle_set_watches_reply(&mut self, header: ReplyHeader) -> Result<(), Cause> {
        self.sent_set_watches = self.sent_set_watches.checked_sub(1).ok_or(UNASKED)?;
        if header.err != ErrorCode::OK {
            return Err(Cause::Protocol("the watches could not be set again"));
        }
        self.note_zxid(header);
        Ok(())
    }

    fn handle_answer(&mut self, header: ReplyHeader, body: Bytes) -> Result<(), Cause> {
        let what = self.calls.pop_answered(header.xid).ok_or(UNASKED)?;
        self.note_zxid(header);
        match what {
            What::Close => match header.err {
                ErrorCode::OK => self.finish(CloseResult::Closed),
                ErrorCode::SESSION_EXPIRED => self.finish(CloseResult::AlreadyGone),
                // Its owner has taken it to another server, perhaps: attach again, and ask again.
                _ => return Err(Cause::CloseRefused),
            },
            What::Call(id, place) => {
                let place = place.and_then(|(kind, path)| Some((kind_set(kind, header.err)?, path)));
                let watching = place.is_some();
                if let Some(place) = place {
                    self.watches.insert(id, place);
                }
                let result = header.err.into_result().map(|()| body).map_err(Failure::Server);
                self.outputs.push_back(Output::Complete { id, result, watching });
            }
        }
        Ok(())
    }

    /// As long as setWatches are unanswered, some watches are not set, and have missed what came since.
    fn note_zxid(&mut self, header: ReplyHeader) {
        self.seen = self.seen.max(header.zxid);
        if self.sent_set_watches == 0 {
            self.watched_since = self.seen;
        }
    }
}

const UNASKED: Cause = Cause::Protocol("an answer to no question, or not to the next one");

fn decode_header(body: &mut Bytes) -> Result<ReplyHeader, Cause> {
    ReplyHeader::decode(body, "ReplyHeader")
        .map_err(|_| Cause::Protocol("the header of an answer is cut off"))
}

/// Which watch the server has set when it answers so: exists watches a node that is not there, too.
fn kind_set(asked: WatchKind, err: ErrorCode) -> Option<WatchKind> {
    match (asked, err) {
        (WatchKind::Exist, ErrorCode::OK) => Some(WatchKind::Data),
        (WatchKind::Exist, ErrorCode::NO_NODE) => Some(WatchKind::Exist),
        (kind, ErrorCode::OK) => Some(kind),
        _ => None,
    }
}
