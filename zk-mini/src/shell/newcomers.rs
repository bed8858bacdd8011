//! Addresses that servers of an ensemble get while it runs, by `reconfig`.

use std::net::SocketAddr;

use crate::core::Core;
use crate::shell::engine::Engine;
use crate::shell::listens::Listens;

impl Engine {
    /// Lets servers listen at addresses that a client has named. It can open no more to the network than the ensemble has:
    /// what is not a loopback address becomes that of the first server. A server that cannot have its port stays as it is; a new one
    /// is stopped then.
    pub(crate) fn listen_for(&self, listens: Vec<Listens>) {
        for Listens { server, addr, is_new } in listens {
            if is_new {
                // Of another server that had its place before a reset.
                self.turn(|state, _| state.connections.reset_stats(Some(server)));
            }
            if self.listens_at(server, addr) && is_new {
                self.change(|core: &mut Core, now| core.start_server(now, server));
            }
        }
    }

    fn listens_at(&self, server: usize, mut addr: SocketAddr) -> bool {
        // In memory there is nothing to listen at.
        let Some(listener) = &self.setup.listener else { return true };
        if !addr.ip().is_loopback()
            && let Some(first) = listener.addr_of(0)
        {
            addr.set_ip(first.ip());
        }
        if listener.addr_of(server).is_some_and(|present| present.port() == addr.port()) {
            return true;
        }
        match listener.move_server(server, addr, &self.runtime) {
            Ok(()) => true,
            Err(error) => {
                log!(WARN, %error, "a reconfig names an address that a server cannot have: it stays where it was, or stopped if it is new");
                false
            }
        }
    }
}
