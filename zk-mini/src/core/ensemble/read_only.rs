//! Servers without a quorum: read-only clients are served from what each server has, with sessions of its own.

use zk_wire::{ErrorCode, Millis, OpCode, SessionId};

use super::Ensemble;
use super::requests::Asked;
use crate::core::Core;
use crate::core::message::{Note, Now};
use crate::core::requests::call::Reply;
use crate::core::requests::{Class, class_of};
use crate::core::session::Sessions;

impl Core {
    /// Handles a request while there is no quorum.
    pub(super) fn request_read_only(&mut self, asked: &Asked<'_>) {
        let Asked { server, call, body, .. } = *asked;
        let class = class_of(call.op);
        if class != Class::Connection
            && let Some(local) = self.local_sessions(server)
        {
            local.touch(call.session, call.now.mono);
        }
        let answer = match (class, call.op) {
            (_, OpCode::CLOSE_SESSION) => {
                if let Some(local) = self.local_sessions(server) {
                    local.remove(call.session);
                }
                self.note(Note::Closed { conn: call.conn, session: call.session });
                Ok(Reply::Last)
            }
            // What a server without a leader holds cannot be brought up to date.
            (Class::Write | Class::Session, _) | (_, OpCode::SYNC) => Err(ErrorCode::NOT_READ_ONLY.into()),
            _ => return self.as_server(server, |core| asked.here(core)),
        };
        self.as_server(server, |core| {
            if core.history.is_on() {
                core.history.request(call, core.last_zxid, body, &answer);
            }
            core.answer(call, class, answer);
        });
    }

    /// Opens a session of the present server alone. Returns its id.
    pub(crate) fn open_local(&mut self, now: Now, timeout: Millis) -> SessionId {
        let server = self.ensemble.as_ref().and_then(|ensemble| ensemble.current).unwrap_or_default();
        let id = self.sessions.take_id_of(self.number_of(server), now.wall);
        if let Some(local) = self.present_local() {
            local.create(id, timeout, now.mono);
        }
        id
    }

    /// Records a sign of life of a session of the present server. Returns `false` if there is no such session.
    pub(crate) fn resume_local(&mut self, now: Now, id: SessionId) -> bool {
        self.present_local().is_some_and(|local| local.touch(id, now.mono))
    }

    /// Returns the time of the next expiry of a session that only one server knows.
    pub(crate) fn next_local_expiry(&self) -> Option<Millis> {
        let servers = &self.ensemble.as_ref()?.servers;
        servers.iter().filter_map(|server| server.local.next_expiry()).min()
    }

    /// Lets sessions expire that only one server knows.
    pub(crate) fn expire_local(&mut self, now: Now, room: &mut usize) {
        let count = self.ensemble.as_ref().map_or(0, |ensemble| ensemble.servers.len());
        for server in 0..count {
            while *room > 0
                && let Some(local) = self.local_sessions(server)
                && let Some(id) = local.expired(now.mono)
            {
                *room -= 1;
                local.remove(id);
                self.outputs.expired(id);
                for conn in self.conns_at(server, id) {
                    self.close(conn);
                }
            }
        }
    }

    fn local_sessions(&mut self, server: usize) -> Option<&mut Sessions> {
        Some(&mut self.ensemble.as_mut()?.servers.get_mut(server)?.local)
    }

    fn present_local(&mut self) -> Option<&mut Sessions> {
        let Ensemble { current, servers, .. } = &mut **self.ensemble.as_mut()?;
        Some(&mut servers.get_mut((*current)?)?.local)
    }
}
