//! Descriptions of services, as `rpc.reflect` answers them.

use serde::{Deserialize, Serialize};

/// Description of a service.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServiceDescriptor {
    /// Name for clients.
    pub name: String,
    /// Purpose; may be empty.
    #[serde(default)]
    pub docs: String,
    /// Its methods, by name.
    pub methods: Vec<MethodDescriptor>,
}

/// Description of a method.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MethodDescriptor {
    /// Name for clients.
    pub name: String,
    /// Number of messages in each direction.
    pub kind: MethodKind,
    /// Type of the argument, or of the client's messages, as the server's language names it.
    pub argument: String,
    /// Type of the result, or of the server's messages.
    pub result: String,
    /// Effect; may be empty.
    #[serde(default)]
    pub docs: String,
}

/// Number of messages of a call in each direction.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// One argument, one result.
    Unary,
    /// One argument, any number of messages from the server.
    ServerStream,
    /// Any number of messages from the client, one result.
    ClientStream,
    /// Any number of messages in both directions.
    BidiStream,
}

impl MethodKind {
    /// Returns the kind with these streams.
    #[must_use]
    pub fn new(client_streams: bool, server_streams: bool) -> Self {
        match (client_streams, server_streams) {
            (false, false) => Self::Unary,
            (false, true) => Self::ServerStream,
            (true, false) => Self::ClientStream,
            (true, true) => Self::BidiStream,
        }
    }

    /// Returns true if the client sends any number of messages.
    #[must_use]
    pub fn client_streams(self) -> bool {
        matches!(self, Self::ClientStream | Self::BidiStream)
    }

    /// Returns true if the server sends any number of messages.
    #[must_use]
    pub fn server_streams(self) -> bool {
        matches!(self, Self::ServerStream | Self::BidiStream)
    }

    /// Returns the name of the kind: `unary`, `server_stream`, `client_stream` or `bidi_stream`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ServerStream => "server_stream",
            Self::ClientStream => "client_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}
