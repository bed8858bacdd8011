//! Servers of a simulated ensemble: their number, and the addresses of each.

use std::collections::HashSet;
use std::net::SocketAddr;

use clap::Args;

use crate::number::number;

/// Option for the number of servers.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ServersArgs {
    /// Number of servers, up to 99: several are a simulated ensemble in this process
    ///
    /// They share one history, and there is no consensus: it is for tests that stop
    /// servers, delay them, and elect leaders, by POST /v1/servers/N/stop and so on.
    /// Each has a port, and a line that says that it is ready, in order.
    #[arg(long, value_name = "N", value_parser = number(1..=99), verbatim_doc_comment)]
    servers: Option<u16>,

    /// Number of observers beside the servers: they have no vote, and the last ports
    #[arg(long, value_name = "N", value_parser = number(0..=97), default_value_t = 0,
        requires = "servers", verbatim_doc_comment)]
    observers: u16,
}

/// Addresses that do not fit the number of servers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServersError {
    #[error(
        "{servers} servers take one {option}, after whose port the others get theirs, or {servers} of them; there are {given}"
    )]
    Addresses { servers: usize, option: &'static str, given: usize },
    #[error("{servers} servers need as many ports from {first} on: choose a lower port, or 0 for free ones")]
    NoPortsLeft { servers: usize, first: SocketAddr },
    #[error("{option} {addr} is given twice; leave one of the two out")]
    Twice { option: &'static str, addr: SocketAddr },
    #[error("--observers needs --servers 2 or more, which vote")]
    Observers,
}

impl ServersArgs {
    /// Returns the number of servers, with observers.
    pub(crate) fn count(self) -> usize {
        usize::from(self.servers.unwrap_or(1)) + self.observers()
    }

    /// Returns the number of observers, which are the last servers.
    pub(crate) fn observers(self) -> usize {
        self.observers.into()
    }

    /// Returns the addresses of each server. `listens` has those of each time that `option` was given. Without a number of
    /// servers all are those of one.
    pub(crate) fn spread(
        self,
        option: &'static str,
        listens: Vec<Vec<SocketAddr>>,
    ) -> Result<Vec<Vec<SocketAddr>>, ServersError> {
        let voters = usize::from(self.servers.unwrap_or(1));
        if voters < 2 && self.observers > 0 {
            return Err(ServersError::Observers);
        }
        let servers = self.count();
        check_once(option, &listens, servers)?;
        if servers == 1 {
            return Ok(vec![listens.into_iter().flatten().collect()]);
        }
        match &listens[..] {
            [] => Ok(vec![Vec::new(); servers]),
            [first] => {
                let of_server = |server: u16| {
                    let next = |addr: &SocketAddr| {
                        // Port 0 is a free one, for each server.
                        let port = if addr.port() == 0 { Some(0) } else { addr.port().checked_add(server) };
                        let port = port.ok_or(ServersError::NoPortsLeft { servers, first: *addr })?;
                        Ok(SocketAddr::new(addr.ip(), port))
                    };
                    first.iter().map(next).collect()
                };
                (0..).take(servers).map(of_server).collect()
            }
            all if all.len() == servers => Ok(listens),
            all => Err(ServersError::Addresses { servers, option, given: all.len() }),
        }
    }
}

/// Refuses an address that is given twice. Port 0 is a free one for each of several servers.
fn check_once(option: &'static str, listens: &[Vec<SocketAddr>], servers: usize) -> Result<(), ServersError> {
    let mut seen = HashSet::new();
    let mut fixed = listens.iter().flatten().filter(|addr| servers == 1 || addr.port() != 0);
    match fixed.find(|addr| !seen.insert(**addr)) {
        Some(addr) => Err(ServersError::Twice { option, addr: *addr }),
        None => Ok(()),
    }
}
