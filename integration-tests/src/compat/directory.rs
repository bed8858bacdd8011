//! Data directories: one is written by a script of raw requests, left with live sessions, and opened by later builds.
//!
//! The script is one of [`differential`](crate::differential), with a few acts between its steps: `! advance MS` moves the
//! clock, `! restart` stops the server and starts it again. Paths are as they are, below the root.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use registry::{Instance, InstanceId, Registration, Registry};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::zookeeper::Server;
use crate::differential::{Action, Arrival, Bindings, Field, Peer, Script, Step, hex, unhex};
use crate::programs;

/// A session that was alive when the directory was left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveSession {
    /// Its id.
    pub id: i64,
    /// Its password.
    pub password: Vec<u8>,
}

impl LiveSession {
    /// Reads sessions, one a line: id and password in hexadecimal.
    ///
    /// # Errors
    /// A line that is not such a session.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let parse = |line: &str| {
            let (id, password) = line.split_once(' ').ok_or_else(|| format!("no session: {line:?}"))?;
            let id = u64::from_str_radix(id, 16).map_err(|error| format!("{line:?}: {error}"))?;
            Ok(Self { id: id.cast_signed(), password: unhex(password)? })
        };
        text.lines().map(parse).collect()
    }

    fn line(&self) -> String {
        format!("{:016x} {}\n", self.id, hex(&self.password))
    }
}

/// Connections that perform the steps of a script, and the sessions that they have.
#[derive(Default)]
pub struct Clients {
    peers: BTreeMap<usize, Peer>,
    bindings: Bindings,
}

impl Clients {
    /// Performs a script's steps and returns each reply.
    ///
    /// # Errors
    /// If a line is no step, or the connection to the server fails.
    pub fn perform(&mut self, server: SocketAddr, steps: &str) -> io::Result<Vec<Bytes>> {
        let script: Script = steps.parse().map_err(io::Error::other)?;
        let mut replies = Vec::new();
        for step in &script.steps {
            replies.extend(self.step(server, step)?);
        }
        Ok(replies)
    }

    fn step(&mut self, server: SocketAddr, step: &Step) -> io::Result<Option<Bytes>> {
        let (header, fields) = match &step.action {
            Action::Connect(fields) => {
                self.peers.insert(step.conn, Peer::connect(server)?);
                (None, fields)
            }
            Action::Request { xid, op, body } => {
                let xid = xid.map_or(1, |xid| xid.0);
                (Some([Field::Int(xid), Field::Int(op.0)]), body)
            }
            Action::Disconnect => {
                self.peers.remove(&step.conn);
                return Ok(None);
            }
            Action::Frame(_) | Action::Bytes(_) => return Err(io::Error::other(format!("not here: {step}"))),
        };
        let mut frame = BytesMut::new();
        for field in header.iter().flatten().chain(fields) {
            field.encode(&self.bindings, &mut frame);
        }
        let peer = self
            .peers
            .get_mut(&step.conn)
            .ok_or_else(|| io::Error::other(format!("no connection: {step}")))?;
        peer.send(&frame);
        let Some(Arrival::Frame(reply)) = peer.receive_reply()?.pop() else {
            return Err(io::Error::other(format!("no reply: {step}")));
        };
        if header.is_none() {
            self.bindings.sessions.insert(step.conn, granted(&reply)?);
        }
        Ok(Some(reply))
    }

    /// Closes all connections. The sessions go on.
    pub fn hang_up(&mut self) {
        self.peers.clear();
    }

    /// Sessions that the clients have had, by connection.
    pub fn sessions(&self) -> Vec<LiveSession> {
        let sessions = self.bindings.sessions.values();
        sessions.map(|(id, password)| LiveSession { id: id.0, password: password.to_vec() }).collect()
    }
}

/// Id and password in the answer to a connect request; the id is 0 if the session is refused.
fn granted(reply: &[u8]) -> io::Result<(zk_wire::SessionId, Bytes)> {
    // Version and timeout stand in front, 4 bytes each; the length of the password behind the id.
    let id = reply.get(8..).and_then(<[u8]>::first_chunk);
    let (Some(id), Some(password)) = (id, reply.get(20..36)) else {
        return Err(io::Error::other(format!("no answer to a connect request: {reply:?}")));
    };
    Ok((zk_wire::SessionId(i64::from_be_bytes(*id)), Bytes::copy_from_slice(password)))
}

/// Takes a session over and returns whether the server has it.
///
/// # Errors
/// If the server does not answer.
pub fn attach(server: &Server, session: &LiveSession) -> io::Result<Option<Peer>> {
    let mut frame = BytesMut::new();
    frame.put_i32(0); // protocol version
    frame.put_i64(0); // last zxid seen
    frame.put_i32(30_000);
    frame.put_i64(session.id);
    frame.put_u32(u32::try_from(session.password.len()).map_err(io::Error::other)?);
    frame.put_slice(&session.password);
    frame.put_u8(0); // not read-only
    let mut peer = Peer::connect(server.addr()?)?;
    peer.send(&frame);
    match peer.receive_reply()?.pop() {
        Some(Arrival::Frame(reply)) => Ok((granted(&reply)?.0.0 == session.id).then_some(peer)),
        other => Err(io::Error::other(format!("{other:?} in place of the answer to a connect request"))),
    }
}

/// Writes a directory by a script, and `sessions` beside it with the sessions that are alive at the end.
///
/// # Errors
/// If a line of the script cannot be performed.
pub fn write(script: &str, dir: &Path, private_sessions: bool) -> io::Result<Vec<LiveSession>> {
    let mut server = Server::on(dir, private_sessions)?;
    let mut clients = Clients::default();
    for line in script.lines() {
        if let Some(millis) = line.strip_prefix("! advance ") {
            server.advance(Duration::from_millis(millis.parse().map_err(io::Error::other)?));
        } else if line == "! restart" {
            clients.hang_up();
            server.stop();
            server = Server::on(dir, private_sessions)?;
        } else {
            clients.perform(server.addr()?, line)?;
        }
    }
    register_instances(&server)?;
    let alive = server.zk().sessions();
    let mut sessions = clients.sessions();
    sessions.retain(|session| alive.iter().any(|alive| alive.id.0 == session.id));
    clients.hang_up();
    server.stop();
    Ok(sessions)
}

/// Registers two instances as a service does whose process then dies.
fn register_instances(server: &Server) -> io::Result<()> {
    let runtime = Runtime::new()?;
    let registrations: io::Result<Vec<Registration>> = runtime.block_on(async {
        let registry = Registry::builder().embedded(server.zk()).root("services").connect();
        let registry = registry.await.map_err(io::Error::other)?;
        let first = Instance::new("127.0.0.1", 8080).with("pid", 4711).with("zone", "a\"b\\ü");
        let second = Instance::new("::1", 8081).with("instance", "4712-a1").with("tags", vec!["x", "y"]);
        let mut registrations = Vec::new();
        for instance in [first, second] {
            registrations.push(registry.register("echo", instance).await.map_err(io::Error::other)?);
        }
        Ok(registrations)
    });
    // First the runtime: a registration that is dropped withdraws.
    runtime.shutdown_background();
    registrations.map(drop)
}

/// Text for [`LiveSession::parse_all`].
pub fn sessions_text(sessions: &[LiveSession]) -> String {
    sessions.iter().map(LiveSession::line).collect()
}

/// Everything that `zk-mini dump --json` says of a directory.
///
/// # Panics
/// If the program cannot read it.
pub fn listing(dir: &Path) -> String {
    let output = programs::zk_mini().args(["dump", "--json"]).arg(dir).output();
    let output = output.unwrap_or_else(|error| panic!("zk-mini does not start: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Instances of the service in the directory, as today's registry finds them.
///
/// # Errors
/// If the registry cannot be asked.
pub fn instances(server: &Server) -> io::Result<String> {
    server.runtime().block_on(async {
        let registry = Registry::builder().embedded(server.zk()).root("services").connect();
        let registry = registry.await.map_err(io::Error::other)?;
        let members = registry.discover("echo").await.map_err(io::Error::other)?;
        let line = |(id, instance): (&InstanceId, &Arc<Instance>)| {
            let fields = instance.fields().map(|(key, value)| (key.to_owned(), value.clone()));
            format!("{id} {} {}\n", instance.addr(), Value::Object(fields.collect()))
        };
        Ok(members.instances.iter().map(line).collect())
    })
}

/// Copies a directory, so that a server may change it.
///
/// # Errors
/// If a file cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
