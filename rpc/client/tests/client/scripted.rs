//! Servers that end each call as a test says, without sockets.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use rpc_client::session::next_frame;
use rpc_client::{Client, ClientBuilder, Code, Metadata, connect_fn};
use rpc_wire::{CallId, Frame, Hello, Message, Reply, VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::mpsc;
use tokio::time::sleep;

const MAX_FRAME: usize = 1 << 20;

/// End of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// The result 7, or a stream of one message of it.
    Answer,
    /// The same after a time.
    AnswerAfter(Duration),
    Fail(Code),
    FailAndClose(Code),
    NotRun(Code),
    Close,
    Hang,
}

/// Servers at some addresses, one of which speaks version 1 if it is called "old".
pub(crate) struct Scripted {
    pub(crate) client: ClientBuilder,
    /// Number of requests so far.
    pub(crate) requests: Arc<AtomicUsize>,
}

impl Scripted {
    /// Starts servers. `act` says how a call ends, by the address and the number of the request among all, from 0 on. Each
    /// address takes `connections`.
    pub(crate) fn new(
        addrs: impl IntoIterator<Item = &'static str>,
        connections: usize,
        act: impl Fn(&str, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::with(addrs, connections, true, act)
    }

    /// Starts servers that say hello without an identity.
    pub(crate) fn nameless(
        addrs: impl IntoIterator<Item = &'static str>,
        act: impl Fn(&str, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::with(addrs, usize::MAX, false, act)
    }

    fn with(
        addrs: impl IntoIterator<Item = &'static str>,
        connections: usize,
        is_named: bool,
        act: impl Fn(&str, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let (act, requests) = (Arc::new(act), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&requests);
        let taken = std::sync::Mutex::new(std::collections::BTreeMap::<String, usize>::new());
        let open = move |addr: String| {
            let mut taken = taken.lock().unwrap();
            let count = taken.entry(addr.clone()).or_default();
            *count += 1;
            let is_open = *count <= connections;
            let (act, counted) = (Arc::clone(&act), Arc::clone(&counted));
            async move {
                if !is_open {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                let (ours, theirs) = duplex(MAX_FRAME);
                tokio::spawn(async move {
                    let instance = if is_named { addr.as_str() } else { "" };
                    serve(theirs, &addr, instance, |addr| act(addr, counted.fetch_add(1, Ordering::SeqCst)))
                        .await
                });
                Ok(ours)
            }
        };
        let client = Client::direct("test", addrs).via(connect_fn(open)).seed(1);
        Self { client, requests }
    }
}

async fn serve(
    stream: DuplexStream,
    addr: &str,
    instance: &str,
    act: impl Fn(&str) -> Act,
) -> io::Result<()> {
    let (mut reader, mut writer) = split(stream);
    let (answers, mut answered) = mpsc::unbounded_channel::<Vec<u8>>();
    let mut input = BytesMut::new();
    // Calls whose messages end before the answer, with true if they take messages.
    let mut uploads = Vec::new();
    loop {
        let Some(body) = next_frame(&mut input, MAX_FRAME).unwrap() else {
            tokio::select! {
                read = reader.read_buf(&mut input) => if read? == 0 { return Ok(()) },
                Some(answer) = answered.recv() => writer.write_all(&answer).await?,
            }
            continue;
        };
        match Frame::decode(&body).unwrap() {
            Frame::Hello(hello) => {
                let version = if addr == "old" { 1 } else { VERSION };
                let hello = Hello { version, instance, ..hello };
                writer.write_all(&bytes(&[Frame::Hello(hello)])).await?;
            }
            Frame::End(id) => {
                for (id, stream) in uploads.extract_if(.., |(upload, _)| *upload == id) {
                    writer.write_all(&answer(id, stream)).await?;
                }
            }
            Frame::Ping(number) => writer.write_all(&bytes(&[Frame::Pong(number)])).await?,
            Frame::Request(request) => match act(addr) {
                Act::Answer if request.more => uploads.push((request.id, request.stream)),
                Act::Answer => writer.write_all(&answer(request.id, request.stream)).await?,
                Act::AnswerAfter(time) => {
                    let (answer, answers) = (answer(request.id, request.stream), answers.clone());
                    tokio::spawn(async move {
                        sleep(time).await;
                        let _ = answers.send(answer);
                    });
                }
                Act::Fail(code) => writer.write_all(&failure(request.id, code, false)).await?,
                Act::FailAndClose(code) => return writer.write_all(&failure(request.id, code, false)).await,
                Act::NotRun(code) => writer.write_all(&failure(request.id, code, true)).await?,
                Act::Close => return Ok(()),
                Act::Hang => {}
            },
            _ => {}
        }
    }
}

fn answer(id: CallId, stream: bool) -> Vec<u8> {
    match stream {
        true => bytes(&[Frame::Message(Message { id, payload: b"7" }), Frame::Reply(Reply::ok(id, b""))]),
        false => bytes(&[Frame::Reply(Reply::ok(id, b"7"))]),
    }
}

fn failure(id: CallId, code: Code, not_run: bool) -> Vec<u8> {
    let metadata = Metadata::new();
    let metadata = metadata.as_ref();
    bytes(&[Frame::Reply(Reply::Failed { id, code, message: "as told", details: "", metadata, not_run })])
}

fn bytes(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut out, MAX_FRAME).unwrap());
    out
}
