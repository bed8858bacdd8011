//! Requests and handshakes that a fault rule has hit.

use ::core::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use zk_wire::{Fields, SessionId};

use crate::core::Core;
use crate::core::faults::{FaultId, Fired, Then, after};
use crate::core::link::Link;
use crate::core::message::{ConnId, Now, Refusal};
use crate::core::requests::call::{Answer, Call};
use crate::core::requests::{Operation, operation};

impl Core {
    /// Handles a request that a rule has hit.
    #[cold]
    pub(super) fn request_with_fault(&mut self, call: &Call, body: Fields<'_>, frame: &[u8], fired: Fired) {
        if !self.waits_by_rule(call.now, call.conn, frame, fired) {
            self.answer_by_rule(call, body, fired);
        }
    }

    /// Answers a request that a rule has hit, and that does not wait by it.
    pub(crate) fn answer_by_rule(&mut self, call: &Call, body: Fields<'_>, fired: Fired) {
        let operation = operation(call.op);
        if let Some(answer) = self.answer_with_fault(call, &operation, body, fired) {
            self.answer(call, operation.class, answer);
        }
    }

    /// Returns the answer to a request that a rule has hit, if there is one to be sent.
    fn answer_with_fault(
        &mut self,
        call: &Call,
        operation: &Operation,
        body: Fields<'_>,
        fired: Fired,
    ) -> Option<Answer> {
        let answer = match fired.then {
            Then::Disconnect => {
                self.close(call.conn);
                return None;
            }
            Then::Silent => return None,
            Then::Fail(code) => self.admit(call, operation.class).and(Err(code.into())),
            _ => self.handle_call(call, operation, body),
        };
        match fired.then {
            // The reply is written and dropped. The events of the request went out before it.
            Then::LoseReply => self.close(call.conn),
            Then::SilentAfter => {
                if !self.is_alive_anywhere(call.session) {
                    self.mute(call.conn);
                }
            }
            Then::DelayReply(by) => {
                self.delay_output(call.now, call.conn, by);
                return Some(answer);
            }
            _ => return Some(answer),
        }
        None
    }

    /// Handles a handshake that names the session `named`.
    #[cold]
    pub(super) fn handshake_with_fault(
        &mut self,
        now: Now,
        conn: ConnId,
        frame: Bytes,
        (fired, named): (Fired, SessionId),
    ) {
        if self.waits_by_rule(now, conn, &frame, fired) {
            return;
        }
        match fired.then {
            Then::Fail(_) => self.answer_handshake(conn, Err(Refusal::NoSuchSession(named))),
            Then::Refuse if fired.of_reattach => {
                self.answer_handshake(conn, Err(Refusal::NoSuchSession(named)));
            }
            Then::Refuse | Then::Disconnect => self.close(conn),
            Then::LoseReply => {
                if let Ok(granted) = self.grant_session(now, conn, frame) {
                    self.note(granted.note);
                }
                self.close(conn);
            }
            Then::Silent => self.mute(conn),
            Then::SilentAfter => match self.grant_session(now, conn, frame) {
                Ok(granted) => self.note(granted.note),
                Err(_) => self.mute(conn),
            },
            Then::DelayReply(by) => {
                let granted = self.grant_session(now, conn, frame);
                self.delay_output(now, conn, by);
                self.answer_handshake(conn, granted);
            }
            Then::Delay(_) | Then::Slow { .. } | Then::DropEvent | Then::HoldEphemerals(_) => {
                let granted = self.grant_session(now, conn, frame);
                self.answer_handshake(conn, granted);
            }
        }
    }

    /// Holds a frame that a rule delays or that comes over a link that a rule makes slow. Returns `false` if it is to be
    /// handled now.
    pub(crate) fn waits_by_rule(&mut self, now: Now, conn: ConnId, frame: &[u8], fired: Fired) -> bool {
        let gates = &mut self.outputs.gates;
        match fired.then {
            Then::Delay(by) if !by.is_zero() => {
                gates.delay_frame(conn, frame, after(now, by));
                true
            }
            Then::Slow { latency, bytes_per_second } => {
                let present = gates.rule_of_link(conn);
                if present != Some(fired.id) {
                    let rate = bytes_per_second.and_then(NonZeroU64::new);
                    gates.slow_down(conn, Link::new(fired.id, after(Now::default(), latency), rate));
                }
                // A frame has come over the present link.
                present.is_none() && gates.carry_frame(conn, frame)
            }
            _ => false,
        }
    }

    /// Delays what is sent to a connection from now on.
    fn delay_output(&mut self, now: Now, conn: ConnId, by: Duration) {
        if !by.is_zero() {
            self.outputs.gates.delay_output(conn, after(now, by));
        }
    }

    /// Returns `true` if a rule wants what a connection sends to be ignored.
    pub(crate) fn is_muted(&self, conn: ConnId) -> bool {
        self.peers.get(conn).is_some_and(|peer| peer.is_muted)
    }

    /// Makes connections fast again that a rule has slowed down, and lets pass what only waits for that.
    pub(crate) fn end_links(&mut self, now: Now, id: FaultId) {
        if !self.outputs.gates.is_empty() {
            self.outputs.gates.set_now(now.mono);
            self.outputs.gates.end_links(id);
            self.let_pass(now, &mut { usize::MAX });
            self.perform_effects();
        }
    }

    /// Ignores what a connection sends from now on, without closing it.
    fn mute(&mut self, conn: ConnId) {
        self.watches.remove_conn(conn);
        if let Some(peer) = self.peers.get_mut(conn) {
            peer.is_muted = true;
        }
        self.peers.set_session(conn, None);
    }
}
