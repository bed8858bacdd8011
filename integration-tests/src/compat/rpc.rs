//! RPC: one conversation, recorded between today's client and server, then held by each with a recording of the other.
//!
//! Its acts are points where both sides wait for each other: `started` and `dropped` for a handler, `drain` for the beginning
//! of the server's end, `release` for the end of the call that is held until then.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

use rpc_client::{Client, Format};
use rpc_server::{Context, Server, Service, Status};
use serde_json::json;
use tokio::runtime::{self, Runtime};
use tokio::sync::{Notify, oneshot};

use super::frames;
use super::recording::{Expected, Line, Recording};
use crate::differential::hex;
use crate::wait::PATIENCE;

const HELLO: u8 = 0x01;
const GOAWAY: u8 = 0x02;
const PING: u8 = 0x03;
const PONG: u8 = 0x04;
const REQUEST: u8 = 0x10;
const REPLY: u8 = 0x12;

/// Bytes of kind, flags and id, in front of the fields.
const HEADER: usize = 10;

/// Place of the version in a hello, behind the magic. Format and maximum length, five bytes, follow.
const VERSION: Range<usize> = HEADER + 4..HEADER + 6;

/// Codes with which a server of ours tells of itself; its words are for people and may change.
const CODES_OF_THE_SERVER: [u8; 5] = [3, 4, 8, 12, 14];

/// Cuts off the words of the server itself.
pub(super) fn expected(frame: &[u8]) -> Expected {
    let code = frame.get(HEADER).copied().unwrap_or_default();
    match frame.first() {
        Some(&GOAWAY) => Expected::beginning_with(&frame[..=HEADER]),
        Some(&REPLY) if CODES_OF_THE_SERVER.contains(&code) => Expected::beginning_with(&frame[..=HEADER]),
        _ => Expected::exactly(frame.to_vec()),
    }
}

/// A running service with the methods of the conversation.
pub struct RunningService {
    addr: SocketAddr,
    drain: Option<oneshot::Sender<()>>,
    release: Arc<Notify>,
    seen: Receiver<&'static str>,
    server: Option<tokio::task::JoinHandle<()>>,
    runtime: Runtime,
}

impl RunningService {
    /// Starts it on a free port of loopback.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (tell, seen) = mpsc::channel();
        let release = Arc::new(Notify::new());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let addr = listener.local_addr()?;
        let (drain, drained) = oneshot::channel::<()>();
        let server = Server::new(service(tell, Arc::clone(&release))).instance("recorded");
        let server = runtime.spawn(async move {
            drop(server.serve(listener, async { drop(drained.await) }).await);
        });
        Ok(Self { addr, drain: Some(drain), release, seen, server: Some(server), runtime })
    }

    /// Address of the server.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Performs an act of the conversation.
    ///
    /// # Errors
    /// If it does not come to pass.
    pub fn act(&mut self, act: &str) -> Result<(), String> {
        match act {
            "drain" => drop(self.drain.take()),
            "release" => self.release.notify_one(),
            "ended" => {
                let server = self.server.take().ok_or("it ends once")?;
                self.runtime.block_on(server).map_err(|error| error.to_string())?;
            }
            _ => {
                let seen = self.seen.recv_timeout(PATIENCE).map_err(|_| format!("no handler has {act}"))?;
                if seen != act {
                    return Err(format!("a handler has {seen}, in place of {act}"));
                }
            }
        }
        Ok(())
    }
}

/// Tells when it is dropped.
struct Running(Sender<&'static str>, bool);

impl Drop for Running {
    fn drop(&mut self) {
        if !self.1 {
            let _ = self.0.send("dropped");
        }
    }
}

fn service(tell: Sender<&'static str>, release: Arc<Notify>) -> Service {
    let held = move |name: String, _: Context| {
        let (tell, release) = (tell.clone(), Arc::clone(&release));
        async move {
            let _ = tell.send("started");
            let mut running = Running(tell, false);
            release.notified().await;
            running.1 = true;
            Ok::<_, Status>(name)
        }
    };
    Service::builder("recorded")
        .method("echo", |order: Order, _: Context| async move { Ok::<_, Status>(order) })
        .method("refuse", |(): (), _: Context| async { Err::<(), _>(Status::not_found("no such order")) })
        .method("held", held)
        .build()
}

/// An argument with each kind of field.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Order {
    id: u64,
    change: i32,
    price: f64,
    rush: bool,
    note: Option<String>,
    parts: Vec<Part>,
    counts: BTreeMap<String, u8>,
}

#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
enum Part {
    Whole,
    Half(u16),
    Named { name: String },
}

fn order(id: u64) -> Order {
    Order {
        id,
        change: -3,
        price: 2.5,
        rush: true,
        note: (id > 300).then(|| "grün".into()),
        parts: vec![Part::Whole, Part::Half(77), Part::Named { name: "wheel".into() }],
        counts: [("a".into(), 1), ("b".into(), 255)].into(),
    }
}

/// Holds the conversation as a client. `act` performs an act, and returns when the other side has come to it.
///
/// # Errors
/// The first answer that is not as it should be.
pub fn converse(addr: SocketAddr, format: Format, mut act: impl FnMut(&str)) -> Result<(), String> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let client = Client::direct("recorded", [addr.to_string()]).format(format).keepalive(PATIENCE);
    let client = runtime.block_on(client.connect()).map_err(|error| error.to_string())?;
    for id in [1, 300, 70_000_000_000] {
        let answer = runtime.block_on(async { client.call::<_, Order>("echo", &order(id)).await });
        same("echo", &answer.map_err(|error| error.to_string()), &Ok(order(id)))?;
    }
    let refused = runtime.block_on(async { client.call::<_, ()>("refuse", &()).await });
    let refused = refused.map_err(|error| error.to_string());
    if !matches!(&refused, Err(error) if error.contains("no such order")) {
        return Err(format!("refuse: {refused:?}"));
    }
    let unknown = runtime.block_on(async { client.call::<_, ()>("nothing", &()).await });
    if unknown.is_ok() {
        return Err("a method that there is not answers".into());
    }

    // A call that is dropped is cancelled.
    let dropped = client.clone();
    let dropped = runtime.spawn(async move { dropped.call::<_, String>("held", "dropped").await });
    act("started");
    dropped.abort();
    act("dropped");

    // A call that runs when the server drains is answered.
    let kept = client.clone();
    let kept = runtime.spawn(async move { kept.call::<_, String>("held", "kept").await });
    act("started");
    act("drain");
    act("release");
    let answer = runtime.block_on(kept).map_err(|error| error.to_string())?;
    same("held", &answer.map_err(|error| error.to_string()), &Ok("kept".into()))?;
    act("ended");
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, expected {expected:?}")) }
}

/// Replays the client of a recording on a server.
///
/// # Errors
/// The first frame that the server answers otherwise.
pub fn replay(recording: &Recording, server: &mut RunningService) -> Result<(), String> {
    let mut conns: BTreeMap<usize, TcpStream> = BTreeMap::new();
    for (index, line) in recording.lines.iter().enumerate() {
        let failed = |error: String| format!("frame {index}, {line}: {error}");
        let done = match line {
            Line::Act(act) => server.act(act),
            Line::Sent(conn, frame) => {
                if !conns.contains_key(conn) {
                    conns.insert(*conn, connect(server.addr()).map_err(|error| failed(error.to_string()))?);
                }
                conns
                    .get_mut(conn)
                    .ok_or("no connection".into())
                    .and_then(|stream| frames::write(stream, frame).map_err(|error| error.to_string()))
            }
            Line::Received(conn, expected) => match conns.get_mut(conn).map(frames::read) {
                Some(Ok(Some(frame))) if expected.accepts(&frame) => Ok(()),
                Some(Ok(Some(frame))) => Err(format!("the server answers {}", hex(&frame))),
                other => Err(format!("no answer: {other:?}")),
            },
            Line::Close(conn) => {
                conns.get(conn).map(|stream| stream.shutdown(Shutdown::Write));
                Ok(())
            }
            Line::Closed(conn) => match conns.get_mut(conn).map(frames::read) {
                Some(Ok(Some(frame))) => Err(format!("the server goes on: {}", hex(&frame))),
                _ => Ok(()),
            },
        };
        done.map_err(failed)?;
    }
    Ok(())
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The server of a recording: answers a client as it did. Requests have to be the recorded ones, but for their ids and
/// the time that is left; pings are answered as they come.
pub struct RecordedServer {
    addr: SocketAddr,
    acts: SyncSender<String>,
    player: JoinHandle<Result<(), String>>,
}

impl RecordedServer {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(recording: Recording) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        // Without room: an act is over when the player has come to it.
        let (acts, act) = mpsc::sync_channel(0);
        let player = thread::spawn(move || {
            let (stream, _) = listener.accept().map_err(|error| error.to_string())?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
            play(&recording, stream, &act)
        });
        Ok(Self { addr, acts, player })
    }

    /// Address of the server.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Performs an act of the conversation, and returns when the recording has come to it.
    pub fn act(&self, act: &str) {
        // A player that has ended says why in `finish`.
        let _ = self.acts.send(act.into());
    }

    /// Returns when the recording has ended.
    ///
    /// # Errors
    /// The first frame of the client that is not the recorded one.
    pub fn finish(self) -> Result<(), String> {
        drop(self.acts);
        self.player.join().map_err(|_| "the player panicked".to_owned())?
    }
}

fn play(recording: &Recording, mut stream: TcpStream, acts: &Receiver<String>) -> Result<(), String> {
    // From recorded ids to those of this client.
    let mut ids: BTreeMap<[u8; 8], [u8; 8]> = BTreeMap::new();
    for (index, line) in recording.lines.iter().enumerate() {
        let failed = |error: String| format!("frame {index}, {line}: {error}");
        let io = |error: io::Error| failed(error.to_string());
        match line {
            Line::Sent(_, frame) if frame.first() == Some(&PING) => {}
            Line::Received(_, frame) if frame.bytes().first() == Some(&PONG) => {}
            Line::Sent(_, frame) => {
                let sent = next_frame(&mut stream).map_err(io)?;
                let sent = sent.ok_or_else(|| failed("the client closed the connection".into()))?;
                let (Some(recorded_id), Some(id)) = (id(frame), id(&sent)) else {
                    return Err(failed(format!("the client sends {}", hex(&sent))));
                };
                ids.entry(recorded_id).or_insert(id);
                if comparable(frame, ids[&recorded_id]) != comparable(&sent, id) {
                    return Err(failed(format!("the client sends {}", hex(&sent))));
                }
            }
            Line::Received(_, frame) => {
                let mut frame = frame.bytes().to_vec();
                if let Some(id) = id(&frame).and_then(|id| ids.get(&id)) {
                    frame[2..HEADER].copy_from_slice(id);
                }
                frames::write(&mut stream, &frame).map_err(io)?;
            }
            Line::Act(act) => {
                let came = acts.recv_timeout(PATIENCE).map_err(|error| failed(error.to_string()))?;
                if came != *act {
                    return Err(failed(format!("the client comes to {came}")));
                }
            }
            Line::Close(_) => {
                if let Some(sent) = next_frame(&mut stream).map_err(io)? {
                    return Err(failed(format!("the client goes on: {}", hex(&sent))));
                }
            }
            Line::Closed(_) => {
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
    }
    Ok(())
}

/// Returns the next frame that is no ping, and answers those before it.
fn next_frame(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    loop {
        match frames::read(stream)? {
            Some(mut ping) if ping.first() == Some(&PING) => {
                ping[0] = PONG;
                frames::write(stream, &ping)?;
            }
            frame => return Ok(frame),
        }
    }
}

fn id(frame: &[u8]) -> Option<[u8; 8]> {
    frame.get(2..HEADER)?.try_into().ok()
}

/// The frame with this id, and without the time that is left. A hello is without its version, which the other side chooses, and
/// without the fields that a later version adds at its end.
fn comparable(frame: &[u8], id: [u8; 8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[2..HEADER].copy_from_slice(&id);
    if frame.first() == Some(&HELLO)
        && let Some(end) = end_of_instance(&frame)
    {
        frame.truncate(end);
        frame[VERSION].fill(0);
    }
    if frame.first() == Some(&REQUEST) && frame.len() >= HEADER + 4 {
        frame[HEADER..HEADER + 4].fill(0);
    }
    frame
}

/// Returns the end of the fields that a hello has in every version.
fn end_of_instance(hello: &[u8]) -> Option<usize> {
    let service = VERSION.end + 5;
    let instance = service + 1 + usize::from(*hello.get(service)?);
    let end = instance + 1 + usize::from(*hello.get(instance)?);
    (end <= hello.len()).then_some(end)
}

/// An argument of `echo` for clients in other languages.
pub(super) fn order_as_json() -> String {
    json!(order(1)).to_string()
}

/// Frames of a client that says what ours says only in need: a ping, a cancel of an unknown call, kinds of later versions.
pub(super) fn uncommon_frames() -> Vec<Vec<u8>> {
    let frame = |kind: u8, id: u64, fields: &[u8]| [&[kind, 0][..], &id.to_be_bytes(), fields].concat();
    let echo = order_as_json();
    let hello = b"\x7fRPC\x00\x01\x01\x00\x40\x00\x00\x08recorded\x06client and more fields";
    vec![
        frame(HELLO, 0, hello),
        frame(PING, 4711, &[]),
        frame(0x13, 99, &[]),
        frame(0x80, 5, b"of a later version"),
        frame(PING, 4712, &[]),
        frame(REQUEST, 7, &[b"\xff\xff\xff\xff\x04echo", echo.as_bytes()].concat()),
        frame(REQUEST, 8, b"\x00\x00\x75\x30\x04echonot json"),
        frame(REQUEST, 9, b"\x00\x00\x75\x30\x06refusenull"),
        frame(PING, u64::MAX, &[]),
    ]
}

/// Returns whether a frame has an answer: not a cancel, nor a kind that the server skips.
pub(super) fn is_answered(frame: &[u8]) -> bool {
    matches!(frame.first(), Some(&(HELLO | PING | REQUEST)))
}

/// Returns whether a line is the go-away of a server.
pub(super) fn is_goaway(line: &Line) -> bool {
    matches!(line, Line::Received(_, frame) if frame.bytes().first() == Some(&GOAWAY))
}

/// Returns whether a line is the cancel of a client.
pub(super) fn is_cancel(line: &Line) -> bool {
    matches!(line, Line::Sent(_, frame) if frame.first() == Some(&0x13))
}
