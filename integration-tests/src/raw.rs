//! ZooKeeper's protocol in bare bytes. It shares no code with our server and client, and so no mistake.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::wait::PATIENCE;

/// Op codes of the raw tests.
pub mod op {
    /// `exists`: a path and a watch flag.
    pub const EXISTS: i32 = 3;
    /// `getData`: a path and a watch flag.
    pub const GET_DATA: i32 = 4;
    /// `setData`: a path, data, a version.
    pub const SET_DATA: i32 = 5;
    /// `ping`: nothing.
    pub const PING: i32 = 11;
}

/// One TCP connection to a ZooKeeper server.
pub struct RawClient {
    stream: TcpStream,
}

/// A reply, with a decoded header.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// Number of the request.
    pub xid: i32,
    /// Newest transaction that the server has seen.
    pub zxid: i64,
    /// Error code; 0 for success.
    pub error: i32,
    /// Bytes after the header.
    pub body: Vec<u8>,
}

impl RawClient {
    /// Connects, and sends nothing.
    ///
    /// # Panics
    /// If no server listens there.
    #[track_caller]
    pub fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&server, PATIENCE).expect("a server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is set");
        Self { stream }
    }

    /// Connects and opens a session.
    ///
    /// # Panics
    /// If the server grants none.
    #[track_caller]
    pub fn with_session(server: SocketAddr) -> Self {
        let mut client = Self::connect(server);
        client.open_session(30_000);
        client
    }

    /// Opens a session and returns the granted timeout. Both timeouts are in milliseconds.
    ///
    /// # Panics
    /// If the server grants no session.
    #[track_caller]
    pub fn open_session(&mut self, timeout: i32) -> i32 {
        self.attach(0, &[0; 16], timeout).expect("the server gives a session id")
    }

    /// Takes over a session, or opens one for 0, and returns the granted timeout; `None` if the session does not exist or
    /// has another password.
    ///
    /// # Panics
    /// If the server does not answer.
    #[track_caller]
    pub fn attach(&mut self, session: i64, password: &[u8], timeout: i32) -> Option<i32> {
        let mut hello = Vec::new();
        hello.extend(0_i32.to_be_bytes()); // protocol version
        hello.extend(0_i64.to_be_bytes()); // last zxid seen
        hello.extend(timeout.to_be_bytes());
        hello.extend(session.to_be_bytes());
        hello.extend(buffer(password));
        hello.push(0); // read only
        self.send(&frame(&hello));
        let answer = self.receive().expect("the server answers the handshake");
        let granted = i32::from_be_bytes(answer[4..8].try_into().expect("four bytes"));
        (answer[8..16] != [0; 8]).then_some(granted)
    }

    /// Sends bytes as they are. A connection that the server has closed shows in `receive`.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a request: length, header, body.
    pub fn request(&mut self, xid: i32, op: i32, body: &[u8]) {
        self.send(&frame(&[&xid.to_be_bytes()[..], &op.to_be_bytes(), body].concat()));
    }

    /// Closes the sending half.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Returns the body of the next frame; `None` once the server has closed the connection.
    ///
    /// # Panics
    /// If nothing or half a frame arrives.
    #[track_caller]
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return None,
            Err(error) => panic!("neither an answer nor the end: {error}"),
        }
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body).expect("the whole frame comes");
        Some(body)
    }

    /// Returns the next reply; `None` once the server has closed the connection.
    ///
    /// # Panics
    /// If nothing arrives, or a frame that is no reply.
    #[track_caller]
    pub fn reply(&mut self) -> Option<Reply> {
        let frame = self.receive()?;
        let (Some(xid), Some(zxid), Some(error)) =
            (frame.first_chunk(), frame.get(4..).and_then(<[u8]>::first_chunk), frame.get(12..16))
        else {
            panic!("no reply header: {frame:?}")
        };
        Some(Reply {
            xid: i32::from_be_bytes(*xid),
            zxid: i64::from_be_bytes(*zxid),
            error: i32::from_be_bytes(error.try_into().expect("four bytes")),
            body: frame[16..].to_vec(),
        })
    }

    /// Checks that the connection works: "/" exists.
    ///
    /// # Panics
    /// If it does not work.
    #[track_caller]
    pub fn assert_works(&mut self) {
        self.request(4711, op::EXISTS, &path_and_watch("/"));
        let reply = self.reply().expect("the connection is open");
        assert_eq!((reply.xid, reply.error, reply.body.len()), (4711, 0, 68));
    }
}

/// Returns a body behind its length.
pub fn frame(body: &[u8]) -> Vec<u8> {
    buffer(body)
}

/// Returns a jute buffer (or string).
pub fn buffer(bytes: &[u8]) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).expect("tests send less than 2 GiB");
    [&length.to_be_bytes()[..], bytes].concat()
}

/// Returns the body of `exists` and similar requests, without a watch.
pub fn path_and_watch(path: &str) -> Vec<u8> {
    [&buffer(path.as_bytes())[..], &[0]].concat()
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}
