//! Servers without a quorum: read-only clients are served from what each server has, with sessions of its own.

use zk_wire::{ErrorCode, OpCode};

use super::requests::Asked;
use crate::core::Core;
use crate::core::message::Note;
use crate::core::requests::call::Reply;
use crate::core::requests::{Class, class_of};

impl Core {
    /// Handles a request while there is no quorum.
    pub(super) fn request_read_only(&mut self, asked: &Asked<'_>) {
        let Asked { server, call, body, .. } = *asked;
        let class = class_of(call.op);
        let answer = match (class, call.op) {
            (_, OpCode::CLOSE_SESSION) => {
                self.remove_local(server, call.session);
                self.note(Note::Closed { conn: call.conn, session: call.session });
                Ok(Reply::Last)
            }
            // What a server without a leader holds cannot be brought up to date.
            (Class::Write | Class::Session, _) | (_, OpCode::SYNC) => Err(ErrorCode::NOT_READ_ONLY.into()),
            _ => return self.as_server(server, |core| asked.here(core)),
        };
        self.touch_local(call.now, call.conn, call.session);
        self.as_server(server, |core| {
            if core.history.is_on() {
                core.history.request(call, core.last_zxid, body, &answer);
            }
            core.answer(call, class, answer);
        });
    }
}
