//! Scripts: what several connections send, in order, as plain data. A step is a list of fields that need not be the ones
//! that its operation wants, so hostile requests are as easily written as good ones.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use zk_wire::{Encode, OpCode, RequestHeader, SessionId, Xid, Zxid};

/// Steps, one after the other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Script {
    /// In order.
    pub steps: Vec<Step>,
}

/// What one connection does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The connection, by its number in the script.
    pub conn: usize,
    /// What it does.
    pub action: Action,
}

/// What a connection does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Opens the connection (closing the one that had its number, if it is open) and sends the first frame.
    Connect(Vec<Field>),
    /// Sends a request and waits for its reply.
    Request {
        /// Its number; the connection counts by itself where there is none.
        xid: Option<Xid>,
        /// What its header asks for.
        op: OpCode,
        /// What follows the header.
        body: Vec<Field>,
    },
    /// Sends a frame of these fields alone.
    Frame(Vec<Field>),
    /// Sends these fields without any framing.
    Bytes(Vec<Field>),
    /// Closes the connection; its session goes on.
    Disconnect,
}

/// A piece of a frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Field {
    /// An `int`, or the length of a vector.
    Int(i32),
    /// A `long`.
    Long(i64),
    /// A `boolean`.
    Byte(u8),
    /// A string or a buffer.
    Text(String),
    /// A null string, buffer or vector.
    Null,
    /// The path of a node below the script's own parent node; empty for the parent itself.
    Path(String),
    /// The path of the same node's quota, or of something below it.
    Quota(String),
    /// A zxid: this many transactions after the beginning of the script.
    Zxid(i64),
    /// The id of the session that the connection of this number had last.
    Session(usize),
    /// The password of that session.
    Password(usize),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// So many zeros.
    Zeros(usize),
}

/// What the script's own names stand for on one server.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// The path that all of the script's nodes are below.
    pub base: String,
    /// The last transaction before the script.
    pub zxid: Zxid,
    /// The session that each connection had last, with its password.
    pub sessions: BTreeMap<usize, (SessionId, Bytes)>,
}

impl Field {
    /// Appends the field as it is on the wire.
    pub fn encode(&self, bindings: &Bindings, out: &mut BytesMut) {
        let session = |conn| bindings.sessions.get(conn).cloned().unwrap_or_default();
        match self {
            Self::Int(value) => value.encode(out),
            Self::Long(value) => value.encode(out),
            Self::Byte(value) => out.put_u8(*value),
            Self::Text(text) => text.as_str().encode(out),
            Self::Null => (-1).encode(out),
            Self::Path(path) => format!("{}{path}", bindings.base).as_str().encode(out),
            Self::Quota(path) => format!("/zookeeper/quota{}{path}", bindings.base).as_str().encode(out),
            Self::Zxid(offset) => bindings.zxid.0.wrapping_add(*offset).encode(out),
            Self::Session(conn) => session(conn).0.encode(out),
            Self::Password(conn) => session(conn).1.encode(out),
            Self::Raw(bytes) => out.put_slice(bytes),
            Self::Zeros(len) => out.put_bytes(0, *len),
        }
    }
}

/// The fields as they are on the wire, one after the other.
pub(super) fn encode(fields: &[Field], bindings: &Bindings) -> BytesMut {
    let mut out = BytesMut::new();
    for field in fields {
        field.encode(bindings, &mut out);
    }
    out
}

/// A request: its header, then the fields.
pub(super) fn encode_request(xid: Xid, op: OpCode, body: &[Field], bindings: &Bindings) -> BytesMut {
    let mut out = BytesMut::new();
    RequestHeader { xid, op }.encode(&mut out);
    out.put(encode(body, bindings));
    out
}

#[cfg(test)]
mod tests {
    use zk_wire::{ConnectRequest, GetData, decode_all};

    use super::*;

    #[test]
    fn fields_make_records() {
        let bindings = Bindings {
            base: "/case".into(),
            zxid: Zxid(100),
            sessions: [(1, (SessionId(7), Bytes::from_static(b"secret")))].into(),
        };
        let body = encode(&[Field::Path("/a".into()), Field::Byte(1)], &bindings);
        assert_eq!(decode_all(body.freeze()), Ok(GetData { path: "/case/a".into(), watch: true }));

        let connect = [Field::Int(0), Field::Zxid(-1), Field::Int(5), Field::Session(1), Field::Password(1)];
        let expected = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(99),
            timeout: 5,
            session_id: SessionId(7),
            password: Some(Bytes::from_static(b"secret")),
            read_only: None,
        };
        assert_eq!(decode_all(encode(&connect, &bindings).freeze()), Ok(expected));
    }
}
