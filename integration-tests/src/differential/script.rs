//! Scripts: requests of several connections, in order, as plain data. A step is a list of any fields, so that bad requests are
//! as easy to write as good ones.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use zk_wire::{Encode, OpCode, RequestHeader, SessionId, Xid, Zxid};

/// A list of steps.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Script {
    /// Steps in order.
    pub steps: Vec<Step>,
}

/// Step of one connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// Number of the connection in the script.
    pub conn: usize,
    /// Action of the connection.
    pub action: Action,
}

/// Action of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Opens the connection and sends the first frame. An open connection of that number is closed before.
    Connect(Vec<Field>),
    /// Sends a request and waits for its reply.
    Request {
        /// Number of the request; by default the connection counts.
        xid: Option<Xid>,
        /// Operation in the header.
        op: OpCode,
        /// Fields after the header.
        body: Vec<Field>,
    },
    /// Sends a frame of these fields, without a header.
    Frame(Vec<Field>),
    /// Sends these fields without a frame.
    Bytes(Vec<Field>),
    /// Closes the connection; its session lives on.
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
    /// The path of a node below the script's parent node; empty for the parent itself.
    Path(String),
    /// The path of that node's quota, or of a node below it.
    Quota(String),
    /// A zxid: this many transactions after the beginning of the script.
    Zxid(i64),
    /// The id of the last session of the connection of this number.
    Session(usize),
    /// The password of that session.
    Password(usize),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// This number of zero bytes.
    Zeros(usize),
}

/// Values of the script's names on one server.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// Path of the script's parent node.
    pub base: String,
    /// Last transaction before the script.
    pub zxid: Zxid,
    /// Last session of each connection, with its password.
    pub sessions: BTreeMap<usize, (SessionId, Bytes)>,
}

impl Field {
    /// Appends the field in wire format.
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

/// Encodes fields in wire format.
pub(super) fn encode(fields: &[Field], bindings: &Bindings) -> BytesMut {
    let mut out = BytesMut::new();
    for field in fields {
        field.encode(bindings, &mut out);
    }
    out
}

/// Encodes a request: its header, then the fields.
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
