//! Requests: the table of operations, and the single way from a frame to its handler and to its reply.
//!
//! To add an operation, add its row to the op codes (`zk_wire::OpCode`), its record and a view in `zk-wire`, a row in the table
//! below, and the handler in the file of its group in this folder.

pub(crate) mod audited;
pub(crate) mod auth;
pub(crate) mod call;
mod faulty;
pub(crate) mod handshake;
pub(crate) mod listing;
pub(crate) mod multi;
pub(crate) mod multi_read;
pub(crate) mod read;
pub(crate) mod session;
pub(crate) mod watches;
pub(crate) mod write;

use zk_wire::{
    AddWatchView, AuthView, CreateView, ErrorCode, Fields, OpCode, OptionalPathView, PathView, ReplyHeader,
    RequestHeader, SaslView, SessionId, SetAclView, SetDataView, SetWatchesView, VersionedPathView,
    WatcherTypeView, Xid, Zxid,
};

use crate::core::Core;
use crate::core::access::requester::Requester;
use crate::core::message::{ConnId, Now};
use crate::core::requests::call::{Answer, Call, Failure, Reply};
use crate::core::requests::read::ReadView;
use crate::core::requests::session::SessionTimeoutView;

/// Class of operations with the same rules around their handlers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Class {
    /// Concerns the connection, not the session, and is no sign of life. The reply has the zxid 0, because it is
    /// outside of the order of transactions. An unreadable body closes the connection.
    Connection,
    /// Sign of life. The reply has an xid of its own.
    Ping,
    /// Changes only watches of the connection.
    Read,
    /// Changes nodes and takes a zxid, even if it is refused. Not allowed while the disk is lost.
    Write,
    /// Opens or closes a session. The connection is closed while the disk is lost.
    Session,
    /// Unknown op code. The reply has the zxid -1.
    Unknown,
}

/// Row of the table.
struct Operation {
    class: Class,
    handle: fn(&mut Core, &Call, Fields<'_>) -> Answer,
}

macro_rules! operations {
    (@handle $handler:ident) => {
        |core, call, _| core.$handler(call)
    };
    (@handle $handler:ident $view:ty) => {
        |core, call, body| core.$handler(call, &call.read::<$view>(body)?)
    };
    ($($op:ident: $class:ident, $handler:ident($($view:ty)?);)*) => {
        /// Returns the row of an op code.
        #[inline(always)]
        fn operation(op: OpCode) -> Operation {
            match op {
                $(OpCode::$op => Operation {
                    class: Class::$class,
                    handle: operations!(@handle $handler $($view)?),
                },)*
                _ => Operation { class: Class::Unknown, handle: |core, _, _| core.unknown() },
            }
        }
    };
}

operations! {
    // Op code: class, handler(view of the body).
    PING: Ping, ping();
    AUTH: Connection, auth(AuthView<'_>);
    SASL: Connection, sasl(SaslView<'_>);
    CREATE_SESSION: Session, create_session(SessionTimeoutView);
    CLOSE_SESSION: Session, close_session();

    EXISTS: Read, exists(ReadView<'_>);
    GET_DATA: Read, get_data(ReadView<'_>);
    GET_CHILDREN: Read, get_children(ReadView<'_>);
    GET_CHILDREN2: Read, get_children(ReadView<'_>);
    GET_ACL: Read, get_acl(PathView<'_>);
    GET_ALL_CHILDREN_NUMBER: Read, get_all_children_number(PathView<'_>);
    GET_EPHEMERALS: Read, get_ephemerals(OptionalPathView<'_>);
    SYNC: Read, sync(OptionalPathView<'_>);
    WHO_AM_I: Read, who_am_i();
    MULTI_READ: Read, multi_read(Fields<'_>);

    SET_WATCHES: Read, set_watches(SetWatchesView<'_>);
    SET_WATCHES2: Read, set_watches(SetWatchesView<'_>);
    ADD_WATCH: Read, add_watch(AddWatchView<'_>);
    CHECK_WATCHES: Read, check_watches(WatcherTypeView<'_>);
    REMOVE_WATCHES: Read, remove_watches(WatcherTypeView<'_>);

    CREATE: Write, create(CreateView<'_>);
    CREATE2: Write, create(CreateView<'_>);
    CREATE_CONTAINER: Write, create(CreateView<'_>);
    CREATE_TTL: Write, create(CreateView<'_>);
    DELETE: Write, delete(VersionedPathView<'_>);
    DELETE_CONTAINER: Write, delete_container();
    SET_DATA: Write, set_data(SetDataView<'_>);
    SET_ACL: Write, set_acl(SetAclView<'_>);
    MULTI: Write, multi(Fields<'_>);
    RECONFIG: Write, reconfig(Fields<'_>);
}

/// Returns the class of an operation.
pub(crate) fn class_of(op: OpCode) -> Class {
    operation(op).class
}

impl Core {
    /// Handles a frame of a connection that has a session.
    ///
    /// Every request comes this way. Before the handler, `admit` refreshes the session and may refuse the
    /// request; after it, only the reply remains to be sent.
    #[inline(always)]
    pub(crate) fn request(
        &mut self,
        now: Now,
        conn: ConnId,
        session: SessionId,
        frame: &[u8],
        is_delayed: bool,
    ) {
        let mut body = Fields::new(frame);
        let Ok(RequestHeader { xid, op }) = RequestHeader::read(&mut body) else {
            return self.close(conn);
        };
        let call = Call { now, conn, session, xid, op };
        if self.ensemble.is_some() {
            return self.request_at_server(&call, body, frame, is_delayed);
        }
        self.handle_request(&call, body, frame, is_delayed);
    }

    /// Handles a request with the state that is in place, in an ensemble.
    pub(crate) fn request_here(&mut self, call: &Call, body: Fields<'_>, frame: &[u8], is_delayed: bool) {
        self.handle_request(call, body, frame, is_delayed);
    }

    #[inline(always)]
    fn handle_request(&mut self, call: &Call, body: Fields<'_>, frame: &[u8], is_delayed: bool) {
        if !self.faults.is_empty()
            && !is_delayed
            && let Some(fired) = self.fault_of_request(call, body)
        {
            return self.request_with_fault(call, body, frame, fired);
        }
        let operation = operation(call.op);
        let answer = self.handle_call(call, &operation, body);
        self.answer(call, operation.class, answer);
    }

    #[inline(always)]
    fn handle_call(&mut self, call: &Call, operation: &Operation, body: Fields<'_>) -> Answer {
        let mut answer = self.admit(call, operation.class).and_then(|()| {
            if self.config.local_sessions {
                self.upgrade_if_needed(call, body);
            }
            (operation.handle)(self, call, body)
        });
        // Replaced in place: to move an answer costs as much as to look at it.
        if let Err(Failure::Unreadable) = answer {
            answer = self.unreadable(call, operation.class);
        }
        if self.history.is_on() {
            self.history.request(call, self.last_zxid, body, &answer);
        }
        answer
    }

    /// Refuses requests of a connection that must authenticate first, records the sign of life, and refuses requests that
    /// need the disk while it is lost.
    #[inline(always)]
    fn admit(&mut self, call: &Call, class: Class) -> Result<(), Failure> {
        if class == Class::Connection {
            return Ok(());
        }
        if !self.config.required_schemes.is_empty() {
            self.check_authentication(call)?;
        }
        if !self.touch(call.now, call.conn, call.session) {
            self.check_leaving(call.session)?;
        }
        match class {
            Class::Session if self.disk_lost => Err(Failure::Close),
            Class::Write if self.disk_lost => Err(ErrorCode::NOT_READ_ONLY.into()),
            _ => Ok(()),
        }
    }

    /// Records the sign of life of a session. Returns `false` if there is no such session.
    #[inline(always)]
    pub(crate) fn touch(&mut self, now: Now, conn: ConnId, session: SessionId) -> bool {
        self.sessions.touch(session, now.mono) || self.touch_local(now, conn, session)
    }

    /// Answers a request with an unreadable body, the same way for every error in it.
    fn unreadable(&mut self, call: &Call, class: Class) -> Answer {
        match class {
            Class::Connection => Err(Failure::Close),
            Class::Session => self.refuse(call, ErrorCode::MARSHALLING_ERROR),
            Class::Write if self.rules.unreadable_write_takes_zxid => {
                self.refuse(call, ErrorCode::MARSHALLING_ERROR)
            }
            _ => Err(ErrorCode::MARSHALLING_ERROR.into()),
        }
    }

    /// Sends the reply, and closes the connection if the answer says so.
    #[inline(always)]
    pub(crate) fn answer(&mut self, call: &Call, class: Class, answer: Answer) {
        let (err, body, is_last) = match answer {
            Ok(Reply::Header) => (ErrorCode::OK, None, false),
            Ok(Reply::Body(body)) => (ErrorCode::OK, Some(body), false),
            Ok(Reply::ErrorAndBody(code, body)) => (code, Some(body), false),
            Ok(Reply::LastErrorAndBody(code, body)) => (code, Some(body), true),
            Ok(Reply::Greeting(body)) => return self.outputs.greet(call.conn, body),
            Ok(Reply::Last) => (ErrorCode::OK, None, true),
            Err(Failure::Code(code)) => (code, None, false),
            Err(Failure::LastCode(code)) => (code, None, true),
            Err(Failure::Later) => return,
            Err(Failure::NotAuthenticated) => return self.demand_authentication(call),
            Err(Failure::Close | Failure::Unreadable) => return self.close(call.conn),
        };
        let xid = if class == Class::Ping { Xid::PING } else { call.xid };
        let zxid = match class {
            Class::Connection => Zxid(0),
            Class::Unknown => Zxid(-1),
            _ => self.last_zxid,
        };
        self.outputs.reply(call.conn, ReplyHeader { xid, zxid, err }, body);
        if is_last {
            self.close(call.conn);
        }
    }

    /// Returns the rights of the peer of a connection.
    pub(crate) fn requester(&self, conn: ConnId) -> Result<Requester<'_>, Failure> {
        let peer = self.peers.get(conn).ok_or(Failure::Close)?;
        Ok(peer.requester(&self.config, self.rules))
    }

    /// Answers an unknown operation.
    #[expect(clippy::unused_self, reason = "a handler as all others")]
    fn unknown(&self) -> Answer {
        Err(Failure::LastCode(ErrorCode::UNIMPLEMENTED))
    }
}
