//! Requests and handshakes that a fault rule has hit.

use bytes::Bytes;
use zk_wire::{Fields, SessionId};

use crate::core::Core;
use crate::core::faults::{Fired, Then};
use crate::core::message::{ConnId, Now, Refusal};
use crate::core::requests::Operation;
use crate::core::requests::call::Call;

impl Core {
    #[cold]
    pub(super) fn request_with_fault(
        &mut self,
        call: &Call,
        operation: &Operation,
        body: Fields<'_>,
        then: Then,
    ) {
        match then {
            Then::Fail(code) => {
                let answer = self.admit(call, operation.class).and(Err(code.into()));
                self.answer(call, operation.class, answer);
            }
            Then::Disconnect => self.close(call.conn),
            Then::LoseReply => {
                // The reply is written and dropped. The events of the request went out before it.
                let _ = self.handle_call(call, operation, body);
                self.close(call.conn);
            }
            Then::Silent => {}
            Then::SilentAfter => {
                let _ = self.handle_call(call, operation, body);
                if self.sessions.get(call.session).is_none() {
                    self.mute(call.conn);
                }
            }
            // Effects of other moments.
            Then::Refuse | Then::DropEvent => {}
        }
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
            Then::DropEvent => {}
        }
    }

    /// Ignores a connection from now on, without closing it.
    fn mute(&mut self, conn: ConnId) {
        self.forget(conn);
    }
}
