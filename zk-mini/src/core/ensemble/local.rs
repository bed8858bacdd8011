//! Sessions that one server alone knows: those of a server without a quorum, and with `localSessionsEnabled` all others, too.
//!
//! Such a session takes no transaction. The server forgets it when it joins a quorum or leaves it, and the others refuse it as
//! one that has expired. It has no ephemeral nodes: for those it has to become a session of all.

use zk_wire::{CreateMode, CreateView, ErrorCode, Fields, Millis, MultiOpView, OpCode, SessionId, Xid};

use super::Ensemble;
use crate::core::Core;
use crate::core::history::Cause;
use crate::core::message::{ConnId, Note, Now};
use crate::core::requests::call::{Answer, Call, Reply};
use crate::core::session::{Session, Sessions};
use crate::core::txn::Change;

impl Core {
    /// Opens a session of the present server alone. Returns its id.
    pub(crate) fn open_local(&mut self, now: Now, timeout: Millis) -> SessionId {
        let server = self.ensemble.as_ref().and_then(|ensemble| ensemble.current).unwrap_or_default();
        let id = self.sessions.take_id_of(self.number_of(server), now.wall);
        if let Some(local) = self.present_local() {
            local.create(id, timeout, now.mono);
        }
        id
    }

    /// Gives a session of the present server its timeout anew. Returns `false` if there is no such session.
    pub(crate) fn resume_local(&mut self, now: Now, id: SessionId, timeout: Millis) -> bool {
        self.present_local().is_some_and(|local| {
            if let Some(session) = local.get_mut(id) {
                session.current_timeout = timeout;
            }
            local.touch(id, now.mono)
        })
    }

    /// Returns `true` if a handshake with this session, or with none, is for the present server alone, although there is a
    /// quorum.
    pub(crate) fn is_for_local(&self, id: SessionId) -> bool {
        let present = self.ensemble.as_ref().and_then(|ensemble| ensemble.servers.get(ensemble.current?));
        let knows = |server: &super::Server| id == SessionId::NONE || server.local.get(id).is_some();
        self.config.local_sessions && present.is_some_and(knows)
    }

    /// Returns the server that alone knows the session of a request.
    fn local_server(&self, call: &Call) -> Option<usize> {
        let server = self.server_of(call.conn)?;
        let local = &self.ensemble.as_ref()?.servers.get(server)?.local;
        local.get(call.session).map(|_| server)
    }

    /// Returns `true` if a server alone knows the session of a request.
    pub(crate) fn is_local(&self, call: &Call) -> bool {
        self.local_server(call).is_some()
    }

    /// Returns `true` if a session is alive, be it one that a server alone knows.
    pub(crate) fn is_alive_anywhere(&self, id: SessionId) -> bool {
        self.any_session(id).is_some()
    }

    /// Returns the record of a session, be it one that a server alone knows.
    pub(crate) fn any_session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id).or_else(|| self.all_local().find_map(|local| local.get(id)))
    }

    /// Returns the sessions that each server alone knows.
    pub(crate) fn all_local(&self) -> impl Iterator<Item = &Sessions> {
        let servers = self.ensemble.iter().flat_map(|ensemble| &ensemble.servers);
        servers.map(|server| &server.local)
    }

    /// Records a sign of life of a session that the server of a connection alone knows. Returns `false` if it does not.
    #[cold]
    pub(crate) fn touch_local(&mut self, now: Now, conn: ConnId, session: SessionId) -> bool {
        let server = self.server_of(conn);
        let local = server.and_then(|server| self.local_sessions(server));
        local.is_some_and(|local| local.touch(session, now.mono))
    }

    /// Returns the answer to the end of a session, if one server alone knows it.
    pub(crate) fn close_local(&mut self, call: &Call) -> Option<Answer> {
        let server = self.local_server(call)?;
        self.remove_local(server, call.session);
        self.note(Note::Closed { conn: call.conn, session: call.session });
        Some(Ok(Reply::Last))
    }

    /// Returns the timeout of a session that one server alone knows.
    pub(crate) fn local_timeout(&self, call: &Call) -> Option<Millis> {
        let server = self.local_server(call)?;
        let local = &self.ensemble.as_ref()?.servers.get(server)?.local;
        local.get(call.session).map(|session| session.current_timeout)
    }

    /// Returns the code with which a request may create no ephemeral nodes. A follower lets the leader refuse those of a multi,
    /// and the leader does not know the session.
    pub(crate) fn refusal_of_ephemerals(&self, call: &Call) -> Option<ErrorCode> {
        let server = self.local_server(call)?;
        let is_told = call.op != OpCode::MULTI || self.is_leader(server);
        Some(if is_told { ErrorCode::EPHEMERAL_ON_LOCAL_SESSION } else { ErrorCode::SESSION_EXPIRED })
    }

    /// Makes the session of a request one of all servers, if it creates an ephemeral node and the settings allow it. This takes a
    /// transaction of its own, before that of the request.
    #[cold]
    pub(crate) fn upgrade_if_needed(&mut self, call: &Call, body: Fields<'_>) {
        if !self.config.local_session_upgrades || !creates_ephemeral(call, body) {
            return;
        }
        let Some(server) = self.local_server(call) else { return };
        let Some(session) = self.local_sessions(server).and_then(|local| local.remove(call.session)) else {
            return;
        };
        let change = Change::CreateSession { timeout: session.current_timeout };
        let cause = Cause::Request { conn: call.conn, op: OpCode::CREATE_SESSION };
        self.commit(call.now, call.session, Xid(0), cause, change);
        self.attach(call.conn, call.session, session.current_timeout);
    }

    /// Returns the number of sessions that the present server alone knows; for a whole ensemble, of all servers.
    #[must_use]
    pub fn local_session_count(&self) -> usize {
        let Some(ensemble) = &self.ensemble else { return 0 };
        let is_shown = |at: usize| ensemble.current.is_none_or(|current| current == at);
        let shown = ensemble.servers.iter().enumerate().filter(|(at, _)| is_shown(*at));
        shown.map(|(_, server)| server.local.len()).sum()
    }

    /// Lets a session expire that one server alone knows.
    pub(crate) fn expire_local_now(&mut self, id: SessionId) {
        for server in 0..self.server_count() {
            if self.local_sessions(server).is_some_and(|local| local.get(id).is_some()) {
                self.end_local(server, id);
            }
        }
    }

    /// Returns the time of the next expiry of a session that only one server knows.
    pub(crate) fn next_local_expiry(&self) -> Option<Millis> {
        let servers = &self.ensemble.as_ref()?.servers;
        servers.iter().filter_map(|server| server.local.next_expiry()).min()
    }

    /// Lets sessions expire that only one server knows.
    pub(crate) fn expire_local(&mut self, now: Now, room: &mut usize) {
        for server in 0..self.server_count() {
            while *room > 0
                && let Some(local) = self.local_sessions(server)
                && let Some(id) = local.expired(now.mono)
            {
                *room -= 1;
                self.end_local(server, id);
            }
        }
    }

    fn end_local(&mut self, server: usize, id: SessionId) {
        self.remove_local(server, id);
        self.outputs.expired(id);
        for conn in self.conns_at(server, id) {
            self.close(conn);
        }
    }

    pub(super) fn remove_local(&mut self, server: usize, id: SessionId) {
        if let Some(local) = self.local_sessions(server) {
            local.remove(id);
        }
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.owners.remove(&id);
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

/// Returns `true` if a request creates an ephemeral node, or one operation of it does.
fn creates_ephemeral(call: &Call, body: Fields<'_>) -> bool {
    let is_ephemeral = |request: &CreateView<'_>| {
        CreateMode::from_flags(request.flags).is_some_and(CreateMode::is_ephemeral)
    };
    match call.op {
        OpCode::CREATE | OpCode::CREATE2 => {
            call.read::<CreateView<'_>>(body).is_ok_and(|request| is_ephemeral(&request))
        }
        OpCode::MULTI => MultiOpView::read_all(body).is_ok_and(|ops| {
            ops.iter().any(|op| matches!(op, MultiOpView::Create(request) if is_ephemeral(request)))
        }),
        _ => false,
    }
}
