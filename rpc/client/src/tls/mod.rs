//! TLS: certificates of the client, the name that it expects of a server, and the handshake.

mod config;
mod connector;
mod failure;
mod uri;

pub use config::{Tls, TlsConfig};
pub(crate) use connector::TlsConnect;
