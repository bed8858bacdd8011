//! Ports for programs that cannot be given port 0: free now, and nobody's else in these tests until they are dropped.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the system gives to outgoing connections, so that a killed server finds its own free when it comes back.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A TCP port of 127.0.0.1 that nobody listened on. While this lives no other test, of this run or another one, gets it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// The port of the same number for UDP, which nobody here uses, is the mark that all processes see.
    _mark: UdpSocket,
}

impl Port {
    /// Takes the next that is free.
    ///
    /// # Errors
    /// None of 12,000 ports is free.
    pub fn reserve() -> io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Tests that run at the same time are different processes: they begin in different places.
        let start = u16::try_from(std::process::id() % 1_000).unwrap_or_default() * 12;
        let next = || FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let none = || io::Error::new(io::ErrorKind::AddrInUse, "no free port in 20000..32000");
        (0..COUNT).find_map(|_| Self::take(next())).ok_or_else(none)
    }

    fn take(number: u16) -> Option<Self> {
        let mark = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _mark: mark })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_nobodys_else_while_it_is_reserved() {
        let port = Port::reserve().unwrap();
        assert!(Port::take(port.number()).is_none(), "also if nobody listens there yet");
        let number = port.number();
        drop(port);
        assert!(Port::take(number).is_some());
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_taken() {
        let port = Port::reserve().unwrap();
        let number = port.number();
        let _stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        drop(port);
        assert!(Port::take(number).is_none());
    }
}
