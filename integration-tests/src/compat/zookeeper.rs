//! A zk-mini that repeats itself to the byte, and the replay of recorded clients on it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use zk_mini::ZkMini;

use super::frames;
use super::recording::{Line, Recording};
use crate::wait::PATIENCE;

/// zk-mini with the settings of all recordings: one seed, a clock that only [`Server::advance`] moves.
pub struct Server {
    zk: ZkMini,
    runtime: Runtime,
}

impl Server {
    /// Starts it without a data directory.
    ///
    /// # Errors
    /// If it does not start.
    pub fn in_memory() -> io::Result<Self> {
        Self::start(|builder| builder)
    }

    /// Starts it on a data directory. It begins a new log after a few transactions.
    ///
    /// # Errors
    /// If it does not start, for example because the directory cannot be read.
    pub fn on(dir: &Path, private_sessions: bool) -> io::Result<Self> {
        let few = 12.try_into().map_err(io::Error::other)?;
        let small = 1024.try_into().map_err(io::Error::other)?;
        Self::start(|builder| {
            builder.data_dir(dir).private_sessions(private_sessions).snap_count(few).pre_alloc_size(small)
        })
    }

    fn start(configure: impl FnOnce(zk_mini::Builder) -> zk_mini::Builder) -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let builder = ZkMini::builder().seed(7).manual_clock().extended_types(true).max_client_connections(0);
        let zk = runtime.block_on(configure(builder).start()).map_err(io::Error::other)?;
        Ok(Self { zk, runtime })
    }

    /// Address of the server.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.zk.addr().ok_or_else(|| io::Error::other("zk-mini does not listen"))
    }

    /// The server itself.
    pub fn zk(&self) -> &ZkMini {
        &self.zk
    }

    /// The runtime for its asynchronous methods.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Moves the server's clock.
    pub fn advance(&self, by: Duration) {
        self.runtime.block_on(self.zk.advance(by));
    }

    /// Stops the server; its data directory can be opened again.
    pub fn stop(self) {
        self.runtime.block_on(self.zk.stop());
    }
}

/// Sends what the recorded clients sent, and compares each answer.
///
/// # Errors
/// The first line that a later server answers otherwise.
pub fn replay(recording: &Recording, server: &Server) -> Result<(), String> {
    let addr = server.addr().map_err(|error| error.to_string())?;
    let mut conns = BTreeMap::new();
    for (index, line) in recording.lines.iter().enumerate() {
        perform(line, server, addr, &mut conns).map_err(|error| format!("frame {index}, {line}: {error}"))?;
    }
    Ok(())
}

fn perform(
    line: &Line,
    server: &Server,
    addr: SocketAddr,
    conns: &mut BTreeMap<usize, TcpStream>,
) -> Result<(), String> {
    let shown = |error: io::Error| error.to_string();
    match line {
        Line::Sent(conn, frame) => {
            if !conns.contains_key(conn) {
                conns.insert(*conn, connect(addr).map_err(shown)?);
            }
            frames::write(&mut conns[conn].try_clone().map_err(shown)?, frame).map_err(shown)
        }
        Line::Received(conn, expected) => {
            let stream = conns.get_mut(conn).ok_or("no such connection")?;
            match frames::read(stream).map_err(shown)? {
                Some(frame) if expected.accepts(&frame) => Ok(()),
                Some(frame) => Err(format!("the server answers {}", crate::differential::hex(&frame))),
                None => Err("the server closed the connection".into()),
            }
        }
        Line::Close(conn) => {
            if let Some(stream) = conns.get(conn) {
                // The server may have closed it before.
                let _ = stream.shutdown(Shutdown::Write);
            }
            Ok(())
        }
        Line::Closed(conn) => {
            let stream = conns.get_mut(conn).ok_or("no such connection")?;
            match frames::read(stream).map_err(shown)? {
                Some(frame) => Err(format!("the server goes on: {}", crate::differential::hex(&frame))),
                None => Ok(()),
            }
        }
        Line::Act(act) => {
            let millis = act.strip_prefix("advance ").and_then(|millis| millis.parse().ok());
            server.advance(Duration::from_millis(millis.ok_or("no such act")?));
            Ok(())
        }
    }
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}
