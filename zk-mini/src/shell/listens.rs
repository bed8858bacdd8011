//! Addresses that are to be listened at.

use std::net::SocketAddr;

/// Server of an ensemble that is to listen at an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listens {
    pub(crate) server: usize,
    pub(crate) addr: SocketAddr,
    /// It has just joined, and starts when it listens.
    pub(crate) is_new: bool,
}
