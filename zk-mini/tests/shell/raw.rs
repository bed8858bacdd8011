//! Client for tests that writes and reads raw bytes, so that it shares no mistake with the server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use zk_mini::ZkMini;

/// Maximum time for an operation that takes milliseconds, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CREATE: i32 = 1;
pub(crate) const DELETE: i32 = 2;
pub(crate) const GET_DATA: i32 = 4;
pub(crate) const SET_DATA: i32 = 5;
pub(crate) const PING: i32 = 11;
pub(crate) const MULTI: i32 = 14;
pub(crate) const MULTI_READ: i32 = 22;

pub(crate) const EPHEMERAL: i32 = 1;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection.
pub(crate) struct Raw {
    pub(crate) stream: Box<dyn Stream>,
}

/// A reply: its header and its body.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) err: i32,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) async fn at(addr: SocketAddr) -> Self {
        Self { stream: Box::new(within(TcpStream::connect(addr)).await.unwrap()) }
    }

    pub(crate) async fn tcp(zk: &ZkMini) -> Self {
        Self { stream: Box::new(TcpStream::connect(zk.addr().unwrap()).await.unwrap()) }
    }

    pub(crate) fn in_memory(zk: &ZkMini) -> Self {
        Self { stream: Box::new(zk.connect()) }
    }

    /// Opens a connection in memory with a session of this timeout.
    pub(crate) async fn with_session(zk: &ZkMini, timeout: i32) -> Self {
        let mut raw = Self::in_memory(zk);
        raw.open_session(timeout).await;
        raw
    }

    pub(crate) async fn open_session(&mut self, timeout: i32) -> Vec<u8> {
        self.send(&connect_request(timeout)).await;
        self.receive().await.expect("an answer to the handshake")
    }

    /// Opens a connection in memory with the session that a handshake has `answered`.
    pub(crate) async fn resumed(zk: &ZkMini, answered: &[u8]) -> Self {
        let mut raw = Self::in_memory(zk);
        raw.send(&resume_request(answered)).await;
        assert_eq!(raw.receive().await.expect("an answer to the handshake"), answered);
        raw
    }

    /// Sends bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, body: &[u8]) {
        self.write(&frame(body)).await;
    }

    /// Returns the next frame; `None` when the server has closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        match within(self.stream.read_exact(&mut length)).await {
            Ok(_) => {}
            Err(error) if is_closed(&error) => return None,
            Err(error) => panic!("{error}"),
        }
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        within(self.stream.read_exact(&mut body)).await.unwrap();
        Some(body)
    }

    pub(crate) async fn reply(&mut self) -> Reply {
        let frame = self.receive().await.expect("a reply");
        let (xid, rest) = frame.split_first_chunk().unwrap();
        let (zxid, rest) = rest.split_first_chunk().unwrap();
        let (err, body) = rest.split_first_chunk().unwrap();
        Reply {
            xid: i32::from_be_bytes(*xid),
            zxid: i64::from_be_bytes(*zxid),
            err: i32::from_be_bytes(*err),
            body: body.to_vec(),
        }
    }

    pub(crate) async fn request(&mut self, xid: i32, op: i32, body: &[u8]) -> Reply {
        self.send(&request(xid, op, body)).await;
        self.reply().await
    }

    pub(crate) async fn create(&mut self, path: &str, flags: i32) -> Reply {
        self.request(1, CREATE, &create(path, flags)).await
    }

    /// Returns all bytes until the server closes the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match within(self.stream.read_to_end(&mut rest)).await {
            Ok(_) => {}
            Err(error) if is_closed(&error) => {}
            Err(error) => panic!("{error}"),
        }
        rest
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

pub(crate) fn connect_request(timeout: i32) -> Vec<u8> {
    let mut body = vec![0; 12]; // protocol version, last zxid seen
    body.extend(timeout.to_be_bytes());
    body.extend([0; 8]); // session id
    body.extend([0, 0, 0, 16]); // password
    body.extend([0; 16]);
    body.push(0); // read-only
    body
}

/// Returns a handshake for the session that a handshake has `answered`.
pub(crate) fn resume_request(answered: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 12];
    body.extend(&answered[4..16]); // timeout, session id
    body.extend(&answered[16..36]); // password
    body.push(0);
    body
}

pub(crate) fn request(xid: i32, op: i32, body: &[u8]) -> Vec<u8> {
    [&xid.to_be_bytes()[..], &op.to_be_bytes(), body].concat()
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    frame(text.as_bytes())
}

/// Returns the body of a create with the data "x" and an open ACL.
pub(crate) fn create(path: &str, flags: i32) -> Vec<u8> {
    let acl = [&[0, 0, 0, 1, 0, 0, 0, 31][..], &string("world"), &string("anyone")].concat();
    [string(path), string("x"), acl, flags.to_be_bytes().into()].concat()
}

pub(crate) fn get_data(path: &str, watch: bool) -> Vec<u8> {
    [string(path), vec![u8::from(watch)]].concat()
}

pub(crate) fn set_data(path: &str, data: &[u8]) -> Vec<u8> {
    [string(path), frame(data), vec![0xff; 4]].concat()
}

/// Returns the body of a delete of any version.
pub(crate) fn delete(path: &str) -> Vec<u8> {
    [string(path), vec![0xff; 4]].concat()
}

/// Returns the body of a multi of these op codes and bodies.
pub(crate) fn multi(ops: &[(i32, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (op, op_body) in ops {
        body.extend([&op.to_be_bytes()[..], &[0], &[0xff; 4], op_body].concat());
    }
    body.extend([0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff]);
    body
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Waits for a condition while other tasks run.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
