//! The handshake, and the session's other records without a body.

use bytes::{Bytes, BytesMut};

use crate::codec::{Decode, DecodeError, Encode, records};
use crate::numbers::{SessionId, Zxid};

/// The first frame of a connection. It has no header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectRequest {
    /// 0; not checked by the server.
    pub protocol_version: i32,
    /// The last transaction that the client has seen; a server that is behind refuses it.
    pub last_zxid_seen: Zxid,
    /// The session timeout that the client wants, in milliseconds; negotiated by the server.
    pub timeout: i32,
    /// The session to go on with, or [`SessionId::NONE`] for a new one.
    pub session_id: SessionId,
    /// The proof that it is the client's own.
    pub password: Option<Bytes>,
    /// Whether a read-only server will do. Clients before 3.4 do not send the byte.
    pub read_only: Option<bool>,
}

/// The answer to a [`ConnectRequest`]. It has no header either.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectResponse {
    /// 0.
    pub protocol_version: i32,
    /// The session timeout in milliseconds that holds; 0 if the session is gone.
    pub timeout: i32,
    /// The session, or [`SessionId::NONE`] if it is gone.
    pub session_id: SessionId,
    /// What the client has to send to go on with the session.
    pub password: Option<Bytes>,
    /// Whether the server is read-only; left out where the client left it out.
    pub read_only: Option<bool>,
}

impl Encode for ConnectRequest {
    fn encode(&self, out: &mut BytesMut) {
        self.protocol_version.encode(out);
        self.last_zxid_seen.encode(out);
        self.timeout.encode(out);
        self.session_id.encode(out);
        self.password.encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
        }
    }
}

impl Decode for ConnectRequest {
    fn decode(input: &mut Bytes, _: &'static str) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: i32::decode(input, "ConnectRequest.protocolVersion")?,
            last_zxid_seen: Zxid::decode(input, "ConnectRequest.lastZxidSeen")?,
            timeout: i32::decode(input, "ConnectRequest.timeOut")?,
            session_id: SessionId::decode(input, "ConnectRequest.sessionId")?,
            password: Option::decode(input, "ConnectRequest.passwd")?,
            read_only: decode_read_only(input)?,
        })
    }
}

impl Encode for ConnectResponse {
    fn encode(&self, out: &mut BytesMut) {
        self.protocol_version.encode(out);
        self.timeout.encode(out);
        self.session_id.encode(out);
        self.password.encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
        }
    }
}

impl Decode for ConnectResponse {
    fn decode(input: &mut Bytes, _: &'static str) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: i32::decode(input, "ConnectResponse.protocolVersion")?,
            timeout: i32::decode(input, "ConnectResponse.timeOut")?,
            session_id: SessionId::decode(input, "ConnectResponse.sessionId")?,
            password: Option::decode(input, "ConnectResponse.passwd")?,
            read_only: decode_read_only(input)?,
        })
    }
}

fn decode_read_only(input: &mut Bytes) -> Result<Option<bool>, DecodeError> {
    if input.is_empty() { Ok(None) } else { bool::decode(input, "readOnly").map(Some) }
}

records! {
    /// Keeps the session alive; its header carries [`Xid::PING`](crate::Xid::PING).
    #[derive(Copy)]
    Ping {}

    /// Ends the session: its ephemeral nodes go, then the connection.
    #[derive(Copy)]
    CloseSession {}
}
