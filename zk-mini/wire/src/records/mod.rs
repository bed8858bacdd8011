//! Records of every operation. Names and fields are those of `zookeeper.jute`, in Rust's spelling.
//!
//! A string is an `Option` if clients have a use for null; otherwise decoding refuses null. Apache's server reads
//! every null and refuses it only where it uses it. A server that must do the same reads requests by their
//! [views](crate::RequestView).

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

/// Request with its op code and its response, so that no reply is decoded as another record.
pub trait Request: Encode + Decode {
    /// Op code in the header of the request.
    const OP: OpCode;
    /// Record after the header of a successful reply.
    type Response: Encode + Decode;
}

records! {
    /// Header of every request except the first frame of a connection.
    #[derive(Copy)]
    RequestHeader {
        /// Number that the client gives to the request.
        xid: Xid,
        /// Operation.
        op: OpCode,
    }
}

impl RequestHeader {
    /// Reads the header in place, from the front of a frame.
    ///
    /// # Errors
    /// [`DecodeError`] if the frame ends too early.
    pub fn read(fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
        Ok(Self { xid: Xid(fields.int("RequestHeader.xid")?), op: OpCode(fields.int("RequestHeader.op")?) })
    }
}

decoded_records! {
    /// Header of every reply and every watch event.
    #[derive(Copy)]
    ReplyHeader {
        /// Number of the request, or [`Xid::NOTIFICATION`].
        xid: Xid,
        /// Last transaction that the server has processed.
        zxid: Zxid,
        /// Result. Unless it is `OK`, no body follows, except in a few replies to multis.
        err: ErrorCode,
    }
}

impl ReplyHeader {
    /// Length on the wire, in bytes.
    pub const LEN: usize = 16;

    /// Returns the header as written, for a frame whose body is written first.
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

/// Empty record: the response of operations that answer with a header only.
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
