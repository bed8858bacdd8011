//! One session over one connection.

use std::io::{self, Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::codec::{self, Frame};

/// A connected session.
pub struct Session {
    stream: TcpStream,
    /// Bytes received; those not handled yet are `input[seen..]`.
    input: Vec<u8>,
    seen: usize,
    /// Bytes encoded and not sent yet.
    pub output: Vec<u8>,
}

/// A frame that arrived.
pub struct Reply {
    pub xid: i32,
    pub err: i32,
}

impl Session {
    /// Connects and shakes hands.
    pub async fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let mut session = Self { stream, input: Vec::new(), seen: 0, output: Vec::new() };
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        Frame::bare(&mut session.output).int(0).long(0).int(timeout).long(0).bytes(&[0; 16]).bool(false);
        session.send().await?;
        session.next_body().await?;
        Ok(session)
    }

    /// Sends what has been encoded.
    pub async fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        Ok(())
    }

    /// Sends one request and waits for its reply; events meanwhile are ignored.
    pub async fn call(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        encode(&mut self.output);
        self.send().await?;
        loop {
            match self.next_reply().await? {
                Reply { xid: codec::EVENT, .. } => {}
                Reply { err: 0, .. } => return Ok(()),
                Reply { err, .. } => return Err(Error::other(format!("the server answered {err}"))),
            }
        }
    }

    /// Waits for the next reply or event.
    pub async fn next_reply(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.received()? {
                return Ok(reply);
            }
            self.receive().await?;
        }
    }

    /// Returns a reply or event that has arrived completely.
    pub fn received(&mut self) -> io::Result<Option<Reply>> {
        let rest = &self.input[self.seen..];
        let Some(len) = codec::whole_frame(rest) else { return Ok(None) };
        let (Some(xid), Some(err)) = (codec::int(rest, 4), codec::int(rest, 16)) else {
            return Err(Error::new(ErrorKind::InvalidData, "a reply without a header"));
        };
        self.seen += 4 + len;
        Ok(Some(Reply { xid, err }))
    }

    /// Waits until something arrives.
    pub async fn receive(&mut self) -> io::Result<()> {
        self.input.drain(..self.seen);
        self.seen = 0;
        self.input.reserve(64 * 1024);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn next_body(&mut self) -> io::Result<()> {
        loop {
            if let Some(len) = codec::whole_frame(&self.input[self.seen..]) {
                self.seen += 4 + len;
                return Ok(());
            }
            self.receive().await?;
        }
    }

    /// Closes the session, not only the connection.
    pub async fn close(mut self) -> io::Result<()> {
        self.call(|out| Frame::request(out, 0, codec::CLOSE).end()).await
    }
}
