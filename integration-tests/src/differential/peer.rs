//! A connection that knows frames and nothing of sessions, so that a test can send any mistake.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use zk_wire::{Decode, ReplyHeader, Xid, next_frame};

/// Maximum time for an answer. Only a failing test waits for so long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of a reply, which may be larger than that of a request.
const MAX_REPLY: usize = 64 << 20;

/// A blocking connection to a ZooKeeper server.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    buffer: BytesMut,
    is_closed: bool,
}

/// Next arrival on a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// A frame, without its length.
    Frame(Bytes),
    /// The end: the server has closed or reset the connection.
    Closed,
    /// No frame for a long time.
    Silence,
}

impl Arrival {
    /// Returns true for a watch event.
    pub fn is_event(&self) -> bool {
        let Self::Frame(frame) = self else { return false };
        ReplyHeader::decode(&mut frame.clone(), "header").is_ok_and(|header| header.xid == Xid::NOTIFICATION)
    }
}

impl Peer {
    /// Connects; sends nothing.
    ///
    /// # Errors
    /// The error of the system.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&server, ANSWER_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { stream, buffer: BytesMut::new(), is_closed: false })
    }

    /// Returns true once the end of the connection has been seen.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Sends one frame. A connection that the server has closed shows in [`Self::receive`].
    pub fn send(&mut self, body: &[u8]) {
        let mut frame = BytesMut::with_capacity(4 + body.len());
        frame.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        frame.put_slice(body);
        self.send_bytes(&frame);
    }

    /// Sends bytes without a length.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Waits for the next arrival.
    ///
    /// # Errors
    /// An impossible frame, and errors of the system other than a closed connection or a timeout.
    pub fn receive(&mut self) -> io::Result<Arrival> {
        let mut chunk = [0; 16 << 10];
        loop {
            if self.is_closed {
                return Ok(Arrival::Closed);
            }
            let frame = next_frame(&mut self.buffer, MAX_REPLY);
            if let Some(frame) = frame.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))? {
                return Ok(Arrival::Frame(frame));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => self.is_closed = true,
                Ok(n) => self.buffer.put_slice(&chunk[..n]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(Arrival::Silence),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => self.is_closed = true,
                    ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Receives watch events until a reply, the end or silence, which is the last arrival.
    ///
    /// # Errors
    /// The errors of [`Self::receive`].
    pub fn receive_reply(&mut self) -> io::Result<Vec<Arrival>> {
        let mut arrivals = Vec::new();
        loop {
            let arrival = self.receive()?;
            let more = arrival.is_event();
            arrivals.push(arrival);
            if !more {
                return Ok(arrivals);
            }
        }
    }

    /// Closes the sending half, and receives until the end. A server closes its half only after it has forgotten the
    /// connection and its watches.
    ///
    /// # Errors
    /// The errors of [`Self::receive`].
    pub fn finish(&mut self) -> io::Result<Vec<Arrival>> {
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut arrivals = Vec::new();
        while let frame @ Arrival::Frame(_) = self.receive()? {
            arrivals.push(frame);
        }
        Ok(arrivals)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Peer, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
        (peer, listener.accept().unwrap().0)
    }

    /// A reply header: xid, zxid 0, no error.
    fn frame(xid: i32) -> Vec<u8> {
        [&[0, 0, 0, 16][..], &xid.to_be_bytes(), &[0; 12]].concat()
    }

    #[test]
    fn events_are_collected_until_the_reply_has_come() {
        let (mut peer, mut server) = pair();
        for xid in [-1, -1, 7, -1] {
            server.write_all(&frame(xid)).unwrap();
        }
        assert_eq!(peer.receive_reply().unwrap().len(), 3);
        drop(server);
        let rest = peer.receive_reply().unwrap();
        assert!(rest[0].is_event());
        assert_eq!(rest[1], Arrival::Closed);
        assert!(peer.is_closed());
    }

    #[test]
    fn a_frame_is_sent_with_its_length() {
        let (mut peer, mut server) = pair();
        peer.send(b"abc");
        let mut received = [0; 7];
        server.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"\0\0\0\x03abc");
    }
}
