//! Ports for programs that cannot take port 0: free, and reserved among these tests until they are dropped.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// First port. All are below those that the system gives to outgoing connections, so a killed server finds its port free when
/// it returns.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A TCP port of 127.0.0.1 without a listener. While this value lives no other test gets it, in this run or another one.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// The UDP port of the same number, which no test uses, is the mark that all processes see.
    _mark: UdpSocket,
}

impl Port {
    /// Takes the next free port.
    ///
    /// # Errors
    /// If none of 12,000 ports is free.
    pub fn reserve() -> io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Tests that run at the same time are different processes. They begin at different ports.
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

    /// Returns its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_not_given_out_again() {
        let port = Port::reserve().unwrap();
        assert!(Port::take(port.number()).is_none(), "even without a listener");
        let number = port.number();
        drop(port);
        assert!(Port::take(number).is_some());
    }

    #[test]
    fn a_port_with_a_listener_is_not_reserved() {
        let port = Port::reserve().unwrap();
        let number = port.number();
        let _stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        drop(port);
        assert!(Port::take(number).is_none());
    }
}
