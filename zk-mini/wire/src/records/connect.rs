//! Records of the handshake, and the requests of a session without a body.

use bytes::{Bytes, BytesMut};

use crate::codec::{Decode, DecodeError, Encode, records};
use crate::numbers::{SessionId, Zxid};

/// First frame of a connection. It has no header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectRequest {
    /// Always 0; not checked by the server.
    pub protocol_version: i32,
    /// Last transaction that the client has seen. A server that is behind refuses the client.
    pub last_zxid_seen: Zxid,
    /// Session timeout in milliseconds that the client asks for. The server decides.
    pub timeout: i32,
    /// Session to resume, or [`SessionId::NONE`] for a new one.
    pub session_id: SessionId,
    /// Password of the session.
    pub password: Option<Bytes>,
    /// `true` if the client accepts a read-only server. Clients before 3.4 do not send the byte.
    pub read_only: Option<bool>,
}

/// Answer to a [`ConnectRequest`]. It has no header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectResponse {
    /// Always 0.
    pub protocol_version: i32,
    /// Negotiated session timeout in milliseconds; 0 if the session has ended.
    pub timeout: i32,
    /// Session, or [`SessionId::NONE`] if it has ended.
    pub session_id: SessionId,
    /// Password that the client needs to resume the session.
    pub password: Option<Bytes>,
    /// `true` if the server is read-only; left out if the client left it out.
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
    // Clients before 3.4 end the record here.
    if input.is_empty() { Ok(None) } else { bool::decode(input, "readOnly").map(Some) }
}

records! {
    /// Keeps the session alive. Its header has [`Xid::PING`](crate::Xid::PING).
    #[derive(Copy)]
    Ping {}

    /// Ends the session. Its ephemeral nodes are deleted, then the connection is closed.
    #[derive(Copy)]
    CloseSession {}
}
