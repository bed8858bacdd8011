//! Requests: what each frame after the handshake asks for, and the replies to writes.

pub(crate) mod auth;
pub(crate) mod handshake;
pub(crate) mod listing;
pub(crate) mod multi_read;
pub(crate) mod read;
pub(crate) mod watches;

use bytes::Bytes;
use zk_wire::{
    AddWatchResponse, Create2Response, CreateResponse, Decode, DecodeError, ErrorCode, Fields, Millis,
    MultiHeader, MultiResponse, MultiResult, OpCode, Reconfig, ReplyHeader, RequestHeader, SessionId,
    StatResponse, Xid, Zxid,
};

use crate::core::apply::Applied;
use crate::core::prepare::{
    CreateRequest, Item, Prepare, SetAclRequest, SetDataRequest, Unreadable, VersionedRequest,
};
use crate::core::txn::Change;
use crate::core::{ConnId, Core, Note, Now, size};

/// A request that is being handled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) now: Now,
    pub(crate) conn: ConnId,
    pub(crate) session: SessionId,
    pub(crate) xid: Xid,
    pub(crate) op: OpCode,
}

pub(crate) fn decode<T: Decode>(body: &mut Bytes) -> Result<T, ErrorCode> {
    readable_body(T::decode(body, "request"))
}

/// Bodies that cannot be read are answered with one code, whatever is wrong with them.
pub(crate) fn readable_body<T>(read: Result<T, DecodeError>) -> Result<T, ErrorCode> {
    read.map_err(|_| ErrorCode::MARSHALLING_ERROR)
}

impl Core {
    /// Answers a frame of a connection whose handshake is done.
    pub(crate) fn request(&mut self, now: Now, conn: ConnId, session: SessionId, mut body: Bytes) {
        let Ok(RequestHeader { xid, op }) = RequestHeader::decode(&mut body, "RequestHeader") else {
            return self.close(conn);
        };
        let call = Call { now, conn, session, xid, op };
        match op {
            OpCode::AUTH => return self.auth(call, body),
            OpCode::SASL => return self.sasl(call, body),
            _ => {}
        }
        self.sessions.touch(session, now.mono);
        if self.read_only {
            match op {
                OpCode::CREATE_SESSION | OpCode::CLOSE_SESSION => return self.close(conn),
                op if op == OpCode::MULTI || is_write(op) => {
                    return self.fail(call, ErrorCode::NOT_READ_ONLY);
                }
                _ => {}
            }
        }
        match op {
            OpCode::PING => self.outbox.header(conn, Xid::PING, self.last_zxid, ErrorCode::OK),
            OpCode::MULTI_READ => self.multi_read(call, Fields::new(&body)),
            OpCode::MULTI => self.multi(call, Fields::new(&body)),
            OpCode::CREATE_SESSION => self.create_session(call, body),
            OpCode::CLOSE_SESSION => self.close_session(call),
            op if is_read(op) => {
                if let Err(code) = self.read(call, Fields::new(&body)) {
                    self.fail(call, code);
                }
            }
            op if is_about_watches(op) => match self.watch_request(call, body) {
                Ok(()) if op == OpCode::ADD_WATCH => {
                    let response = AddWatchResponse { err: ErrorCode::OK };
                    self.outbox.reply(conn, xid, self.last_zxid, &response);
                }
                Ok(()) => self.fail(call, ErrorCode::OK),
                // Nobody looks at this answer: the client would wait for events that never come.
                Err(ErrorCode::QUOTA_EXCEEDED) if op != OpCode::ADD_WATCH => self.close(conn),
                Err(code) => self.fail(call, code),
            },
            OpCode::RECONFIG => self.reconfig(call, body),
            op if is_write(op) => self.write(call, Fields::new(&body)),
            _ => self.unimplemented(call),
        }
    }

    /// Replies with a header only.
    pub(crate) fn fail(&mut self, call: Call, code: ErrorCode) {
        self.outbox.header(call.conn, call.xid, self.last_zxid, code);
    }

    /// The rules, from the point of view of a call.
    fn prepare(&self, call: Call) -> Option<Prepare<'_>> {
        let requester = self.conns.get(&call.conn)?.requester(&self.config, self.rules);
        Some(Prepare::new(&self.tree, call.session, requester, &self.config))
    }

    /// Any write of one operation.
    fn write(&mut self, call: Call, mut body: Fields<'_>) {
        let Some(mut prepare) = self.prepare(call) else { return };
        let change = match prepare_one(&mut prepare, call.op, &mut body) {
            Ok(change) if size::fits(&change, &self.config) => change,
            Ok(_) => Change::Error(ErrorCode::MARSHALLING_ERROR),
            Err(WriteError::Refused(code)) => Change::Error(code),
            Err(WriteError::Unreadable) => {
                if !self.rules.unreadable_write_takes_zxid {
                    return self.fail(call, ErrorCode::MARSHALLING_ERROR);
                }
                Change::Error(ErrorCode::MARSHALLING_ERROR)
            }
        };
        self.commit(call.now, call.session, call.xid, change);
        let zxid = self.last_zxid;
        let Some(result) = self.results.pop() else { return };
        match (result, call.op) {
            (Applied::Created { path, .. }, OpCode::CREATE) => {
                self.outbox.reply(call.conn, call.xid, zxid, &CreateResponse { path });
            }
            (Applied::Created { path, stat }, _) => {
                self.outbox.reply(call.conn, call.xid, zxid, &Create2Response { path, stat });
            }
            (Applied::Set(stat), _) => {
                self.outbox.reply(call.conn, call.xid, zxid, &StatResponse { stat });
            }
            (Applied::Done, _) => self.fail(call, ErrorCode::OK),
            (Applied::Refused(code), _) => self.fail(call, code),
        }
    }

    fn multi(&mut self, call: Call, body: Fields<'_>) {
        let Some(mut prepare) = self.prepare(call) else { return };
        let prepared = Item::read_all(body).and_then(|items| Ok((prepare.multi(&items)?, items)));
        match prepared {
            Ok((changes, items)) => {
                self.commit(call.now, call.session, call.xid, Change::Multi(changes));
                let zxid = self.last_zxid;
                let header = ReplyHeader { xid: call.xid, zxid, err: ErrorCode::OK };
                self.outbox.frame(call.conn, header, |frame| {
                    for (result, item) in self.results.drain(..).zip(&items) {
                        frame.put(&multi_result(result, item.op()));
                    }
                    frame.put(&MultiHeader::END);
                });
            }
            Err(null @ (Unreadable::NullPath | Unreadable::TakesNoZxid))
                if self.rules.null_in_multi_is_marked =>
            {
                self.skipped_zxids += i64::from(null == Unreadable::NullPath);
                let (zxid, err) = (self.last_zxid, ErrorCode::MARSHALLING_ERROR);
                let header = ReplyHeader { xid: call.xid, zxid, err };
                self.outbox.frame(call.conn, header, |frame| frame.put(&MultiResponse::default()));
            }
            Err(Unreadable::TakesNoZxid) => self.fail(call, ErrorCode::MARSHALLING_ERROR),
            Err(Unreadable::TakesZxid | Unreadable::NullPath) => {
                let change = Change::Error(ErrorCode::MARSHALLING_ERROR);
                self.commit(call.now, call.session, call.xid, change);
                self.fail(call, ErrorCode::MARSHALLING_ERROR);
            }
        }
    }

    /// Refused, as there is one server and no other; one that can be read takes a number, as all that is refused.
    fn reconfig(&mut self, call: Call, mut body: Bytes) {
        let code = match decode::<Reconfig>(&mut body) {
            Ok(_) if self.config.reconfig_enabled => ErrorCode::UNIMPLEMENTED,
            Ok(_) => ErrorCode::RECONFIG_DISABLED,
            Err(code) => return self.fail(call, code),
        };
        self.commit(call.now, call.session, call.xid, Change::Error(code));
        self.fail(call, code);
    }

    /// Sent again on an established connection: from a restart on the session has the timeout that the body asks for,
    /// within the bounds, and the answer is that of a handshake.
    fn create_session(&mut self, call: Call, mut body: Bytes) {
        let Ok(timeout) = decode::<i32>(&mut body) else {
            let change = Change::Error(ErrorCode::MARSHALLING_ERROR);
            self.commit(call.now, call.session, call.xid, change);
            return self.fail(call, ErrorCode::MARSHALLING_ERROR);
        };
        let negotiated = self.sessions.get(call.session).map_or(Millis(0), |session| session.current_timeout);
        let timeout = self.negotiate(timeout);
        self.commit(call.now, call.session, call.xid, Change::CreateSession { timeout });
        if let Some(session) = self.sessions.get_mut(call.session) {
            session.current_timeout = negotiated;
        }
        self.sessions.touch(call.session, call.now.mono);
        self.welcome(call.conn, call.session, negotiated);
    }

    fn close_session(&mut self, call: Call) {
        self.end_session(call.now, call.session, call.xid);
        self.outbox.note(Note::Closed { conn: call.conn, session: call.session });
        self.fail(call, ErrorCode::OK);
        self.close(call.conn);
    }

    /// Ends a session, and its ephemeral nodes with it.
    pub(crate) fn end_session(&mut self, now: Now, session: SessionId, xid: Xid) {
        let change = Change::CloseSession { ephemerals: Some(self.tree.ephemerals(session)) };
        // It has to end, however many nodes there are.
        let listed = size::fits(&change, &self.config);
        let change = if listed { change } else { Change::CloseSession { ephemerals: None } };
        self.commit(now, session, xid, change);
    }

    fn unimplemented(&mut self, call: Call) {
        self.outbox.header(call.conn, call.xid, Zxid(-1), ErrorCode::UNIMPLEMENTED);
        self.close(call.conn);
    }
}

fn is_read(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::EXISTS
            | OpCode::GET_DATA
            | OpCode::GET_CHILDREN
            | OpCode::GET_CHILDREN2
            | OpCode::GET_ACL
            | OpCode::GET_ALL_CHILDREN_NUMBER
            | OpCode::GET_EPHEMERALS
            | OpCode::SYNC
            | OpCode::WHO_AM_I
    )
}

fn is_about_watches(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::SET_WATCHES
            | OpCode::SET_WATCHES2
            | OpCode::CHECK_WATCHES
            | OpCode::REMOVE_WATCHES
            | OpCode::ADD_WATCH
    )
}

fn is_write(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::CREATE
            | OpCode::CREATE2
            | OpCode::CREATE_CONTAINER
            | OpCode::CREATE_TTL
            | OpCode::DELETE
            | OpCode::DELETE_CONTAINER
            | OpCode::SET_DATA
            | OpCode::SET_ACL
            | OpCode::RECONFIG
    )
}

/// Why a write is not done.
enum WriteError {
    Refused(ErrorCode),
    Unreadable,
}

impl From<ErrorCode> for WriteError {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code)
    }
}

impl From<DecodeError> for WriteError {
    fn from(_: DecodeError) -> Self {
        Self::Unreadable
    }
}

fn prepare_one(prepare: &mut Prepare<'_>, op: OpCode, body: &mut Fields<'_>) -> Result<Change, WriteError> {
    Ok(match op {
        OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
            prepare.create(&CreateRequest::read(op, body)?, None)?
        }
        OpCode::DELETE => prepare.delete(&VersionedRequest::read(body)?)?,
        OpCode::SET_DATA => prepare.set_data(&SetDataRequest::read(body)?)?,
        OpCode::SET_ACL => prepare.set_acl(&SetAclRequest::read(body)?)?,
        // A container is deleted by the server itself: no ACL would be asked.
        _ => return Err(ErrorCode::BAD_ARGUMENTS.into()),
    })
}

fn multi_result(result: Applied, op: OpCode) -> MultiResult {
    match result {
        Applied::Created { path, .. } if op == OpCode::CREATE => MultiResult::Create(path),
        Applied::Created { path, stat } => MultiResult::Create2 { path, stat },
        Applied::Set(stat) => MultiResult::SetData(stat),
        Applied::Done if op == OpCode::CHECK => MultiResult::Check,
        Applied::Done => MultiResult::Delete,
        Applied::Refused(code) => MultiResult::Error(code),
    }
}
