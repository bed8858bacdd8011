//! The records of every operation. Names and fields are those of `zookeeper.jute`, in Rust's spelling.
//!
//! A string that a client may sensibly leave null is an `Option`; where it may not, the type says so, and decoding
//! refuses null. Apache's server reads every null, and refuses it only where it looks at it: a server that is
//! to do the same reads the fields of those requests itself.

mod auth;
mod connect;
mod multi;
mod node;
mod txn;
mod watch;

pub use auth::*;
pub use connect::*;
pub use multi::*;
pub use node::*;
pub use txn::*;
pub use watch::*;

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{Decode, DecodeError, Encode, decoded_records, records};
use crate::error_code::ErrorCode;
use crate::fields::Fields;
use crate::numbers::{Xid, Zxid};
use crate::op::OpCode;

/// A request names its op code and its response, so that no wrong reply is decoded.
pub trait Request: Encode + Decode {
    /// What stands in the request's header.
    const OP: OpCode;
    /// What follows the reply's header when the request succeeded.
    type Response: Encode + Decode;
}

records! {
    /// What stands before every request but the first of a connection.
    #[derive(Copy)]
    RequestHeader {
        /// The client's number for it.
        xid: Xid,
        /// What is asked.
        op: OpCode,
    }
}

impl RequestHeader {
    /// Reads the header at the front of a frame in place.
    ///
    /// # Errors
    /// [`DecodeError`] if the frame ends before.
    pub fn read(fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
        Ok(Self { xid: Xid(fields.int("RequestHeader.xid")?), op: OpCode(fields.int("RequestHeader.op")?) })
    }
}

decoded_records! {
    /// What stands before every reply, and before every notification.
    #[derive(Copy)]
    ReplyHeader {
        /// The request's number, or [`Xid::NOTIFICATION`].
        xid: Xid,
        /// The last transaction that the server has processed.
        zxid: Zxid,
        /// How it went; anything but `OK` is followed by nothing (a few multi replies aside).
        err: ErrorCode,
    }
}

impl ReplyHeader {
    /// Length on the wire, in bytes.
    pub const LEN: usize = 16;

    /// Returns the header as written, to be put before a body that is there already.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut rest = &mut bytes[..];
        rest.put_i32(self.xid.0);
        rest.put_i64(self.zxid.0);
        rest.put_i32(self.err.0);
        bytes
    }
}

impl Encode for ReplyHeader {
    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.to_bytes());
    }
}

/// No record at all: the response of the operations that answer with a header only.
impl Encode for () {
    fn encode(&self, _: &mut BytesMut) {}
}

impl Decode for () {
    fn decode(_: &mut Bytes, _: &'static str) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// Ties each request to its op code and its response.
macro_rules! requests {
    ($($request:ty: $op:ident => $response:ty;)*) => {$(
        impl Request for $request {
            const OP: OpCode = OpCode::$op;
            type Response = $response;
        }
    )*};
}

requests! {
    Create: CREATE => CreateResponse;
    Create2: CREATE2 => Create2Response;
    CreateContainer: CREATE_CONTAINER => Create2Response;
    CreateTtl: CREATE_TTL => Create2Response;
    Delete: DELETE => ();
    DeleteContainer: DELETE_CONTAINER => ();
    Exists: EXISTS => StatResponse;
    GetData: GET_DATA => GetDataResponse;
    SetData: SET_DATA => StatResponse;
    GetAcl: GET_ACL => GetAclResponse;
    SetAcl: SET_ACL => StatResponse;
    GetChildren: GET_CHILDREN => GetChildrenResponse;
    GetChildren2: GET_CHILDREN2 => GetChildren2Response;
    GetAllChildrenNumber: GET_ALL_CHILDREN_NUMBER => GetAllChildrenNumberResponse;
    GetEphemerals: GET_EPHEMERALS => GetEphemeralsResponse;
    Sync: SYNC => SyncResponse;
    Check: CHECK => ();
    Multi: MULTI => MultiResponse;
    MultiRead: MULTI_READ => MultiReadResponse;
    Reconfig: RECONFIG => GetDataResponse;
    SetWatches: SET_WATCHES => ();
    SetWatches2: SET_WATCHES2 => ();
    AddWatch: ADD_WATCH => AddWatchResponse;
    CheckWatches: CHECK_WATCHES => ();
    RemoveWatches: REMOVE_WATCHES => ();
    Auth: AUTH => ();
    Sasl: SASL => SaslResponse;
    WhoAmI: WHO_AM_I => WhoAmIResponse;
    Ping: PING => ();
    CloseSession: CLOSE_SESSION => ();
}
