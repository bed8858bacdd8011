//! TLS: certificates of the server and its clients, and the handshake.

mod config;
mod handshake;

pub use config::{Tls, TlsConfig};
pub(crate) use handshake::{Handshakes, shake_hands};
