//! A recorder between clients and a server: passes frames on and writes them down.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::frames;
use super::recording::{Expected, Line, Recording};
use crate::wait::{PATIENCE, poll};

/// Protocol of the frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    /// Requests of all connections are passed on one at a time, each after the reply to the one before, so that a replay has
    /// only one order. A client's pings are passed on without a line.
    ZooKeeper,
    /// Frames are passed on as they come; the client takes care of the order.
    Rpc,
}

/// A running recorder. Connections have numbers from 0 in the order in which they come.
pub(super) struct Recorder {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    protocol: Protocol,
    server: SocketAddr,
    /// `None` when the recording is over.
    lines: Mutex<Option<Vec<Line>>>,
    /// Held from a request to its reply.
    turn: Mutex<()>,
    /// Streams of all connections, to be shut down in the end.
    streams: Mutex<BTreeMap<usize, TcpStream>>,
}

impl Recorder {
    /// Listens on a free port of loopback.
    pub(super) fn start(protocol: Protocol, server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            protocol,
            server,
            lines: Mutex::new(Some(Vec::new())),
            turn: Mutex::default(),
            streams: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for (conn, client) in listener.incoming().flatten().enumerate() {
                if lock(&accepting.lines).is_none() {
                    break;
                }
                // A server that is gone closes the connection.
                drop(accepting.begin(conn, client));
            }
        });
        Ok(Self { addr, shared })
    }

    /// Address for the clients.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Writes an act of the test down.
    pub(super) fn act(&self, act: &str) {
        self.shared.write(Line::Act(act.into()));
    }

    /// Waits until a line is written.
    ///
    /// # Panics
    /// If it does not come.
    pub(super) fn wait_for(&self, what: &str, is_it: impl Fn(&Line) -> bool) {
        let found = poll(PATIENCE, || {
            lock(&self.shared.lines).as_ref().is_some_and(|lines| lines.iter().any(&is_it)).then_some(())
        });
        assert!(found.is_some(), "not recorded: {what}");
    }

    /// Ends the recording and all of its connections.
    pub(super) fn finish(self) -> Recording {
        let lines = lock(&self.shared.lines).take().unwrap_or_default();
        for stream in lock(&self.shared.streams).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.addr);
        Recording { lines }
    }
}

impl Shared {
    fn write(&self, line: Line) {
        if let Some(lines) = &mut *lock(&self.lines) {
            lines.push(line);
        }
    }

    fn begin(self: &Arc<Self>, conn: usize, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(self.server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        lock(&self.streams).insert(conn, server.try_clone()?);
        let (to_client, to_server) = (client.try_clone()?, server.try_clone()?);
        let (answered, answers) = mpsc::channel();
        let pinged = Arc::new(AtomicBool::new(false));
        let (shared, pinging) = (Arc::clone(self), Arc::clone(&pinged));
        thread::spawn(move || shared.pass_to_server(conn, client, to_server, &pinging, &answers));
        let shared = Arc::clone(self);
        thread::spawn(move || shared.pass_to_client(conn, server, to_client, &pinged, &answered));
        Ok(())
    }

    fn pass_to_server(
        &self,
        conn: usize,
        mut client: TcpStream,
        mut server: TcpStream,
        pinging: &AtomicBool,
        answers: &Receiver<()>,
    ) {
        while let Ok(Some(frame)) = frames::read(&mut client) {
            let _turn = (self.protocol == Protocol::ZooKeeper).then(|| lock(&self.turn));
            let is_ping = self.is_ping(&frame);
            pinging.store(is_ping, Ordering::SeqCst);
            if !is_ping {
                self.write(Line::Sent(conn, frame.clone()));
            }
            if frames::write(&mut server, &frame).is_err() {
                return;
            }
            if self.protocol == Protocol::ZooKeeper {
                // It ends with the connection, too.
                let _ = answers.recv_timeout(PATIENCE);
            }
        }
        let _turn = lock(&self.turn);
        self.write(Line::Close(conn));
        let _ = server.shutdown(Shutdown::Write);
        if self.protocol == Protocol::ZooKeeper {
            let _ = answers.recv_timeout(PATIENCE);
        }
    }

    fn pass_to_client(
        &self,
        conn: usize,
        mut server: TcpStream,
        mut client: TcpStream,
        pinged: &AtomicBool,
        answered: &Sender<()>,
    ) {
        while let Ok(Some(frame)) = frames::read(&mut server) {
            if !(self.is_ping(&frame) && pinged.load(Ordering::SeqCst)) {
                self.write(Line::Received(conn, self.expected(&frame)));
            }
            // The client may be gone.
            let _ = frames::write(&mut client, &frame);
            if !is_event(&frame) {
                let _ = answered.send(());
            }
        }
        self.write(Line::Closed(conn));
        let _ = client.shutdown(Shutdown::Write);
    }

    fn is_ping(&self, frame: &[u8]) -> bool {
        self.protocol == Protocol::ZooKeeper && frame.starts_with(&(-2_i32).to_be_bytes())
    }

    fn expected(&self, frame: &[u8]) -> Expected {
        match self.protocol {
            Protocol::ZooKeeper => Expected::exactly(frame.to_vec()),
            Protocol::Rpc => super::rpc::expected(frame),
        }
    }
}

/// Returns whether a frame of ZooKeeper's server is a watch event, which answers nothing.
fn is_event(frame: &[u8]) -> bool {
    frame.starts_with(&(-1_i32).to_be_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
