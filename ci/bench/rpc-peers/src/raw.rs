//! The limit: length-prefixed frames over tokio's TCP, and a plain `async fn call`. No deadline, no limit, no method, no
//! status.

use std::collections::HashMap;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::{Buf, BufMut, BytesMut};
use peer::{Echo, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

/// Encoding of an echo.
pub trait Codec: Send + Sync + 'static {
    fn encode(echo: &Echo, out: &mut BytesMut) -> anyhow::Result<()>;
    fn decode(bytes: &[u8]) -> anyhow::Result<Echo>;

    /// Answers a payload on the server's side.
    fn reply(payload: &[u8], out: &mut BytesMut) -> impl Future<Output = anyhow::Result<()>> + Send {
        async { Self::encode(&call(Self::decode(payload)?).await, out) }
    }
}

async fn call<T>(payload: T) -> T {
    payload
}

/// The bytes as they are.
pub struct Plain;

impl Codec for Plain {
    fn encode(echo: &Echo, out: &mut BytesMut) -> anyhow::Result<()> {
        out.put_u64(echo.id);
        out.put_slice(echo.body.as_bytes());
        Ok(())
    }

    fn decode(mut bytes: &[u8]) -> anyhow::Result<Echo> {
        let id = bytes.try_get_u64()?;
        Ok(Echo { id, body: String::from_utf8(bytes.to_vec())? })
    }

    async fn reply(payload: &[u8], out: &mut BytesMut) -> anyhow::Result<()> {
        out.put_slice(call(payload).await);
        Ok(())
    }
}

/// serde_json.
pub struct Json;

impl Codec for Json {
    fn encode(echo: &Echo, out: &mut BytesMut) -> anyhow::Result<()> {
        Ok(serde_json::to_writer(out.writer(), echo)?)
    }

    fn decode(bytes: &[u8]) -> anyhow::Result<Echo> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// bincode.
pub struct Bincode;

impl Codec for Bincode {
    fn encode(echo: &Echo, out: &mut BytesMut) -> anyhow::Result<()> {
        Ok(bincode::serialize_into(out.writer(), echo)?)
    }

    fn decode(bytes: &[u8]) -> anyhow::Result<Echo> {
        Ok(bincode::deserialize(bytes)?)
    }
}

/// Raw calls with a codec.
pub struct Raw<C>(PhantomData<C>);

/// Bytes that are read from the socket at a time.
const READ: usize = 16 << 10;

/// Length of the header: length of the rest, number of the call.
const HEADER: usize = 12;

fn put_frame(
    id: u64,
    out: &mut BytesMut,
    payload: impl FnOnce(&mut BytesMut) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let start = out.len();
    out.put_bytes(0, HEADER);
    payload(out)?;
    let len = u32::try_from(out.len() - start - 4)?;
    (&mut out[start..]).put_u32(len);
    (&mut out[start + 4..]).put_u64(id);
    Ok(())
}

/// Takes the next complete frame: its number and payload.
fn next_frame(input: &mut BytesMut) -> Option<(u64, BytesMut)> {
    let len = usize::try_from((&input[..]).try_get_u32().ok()?).ok()?;
    if input.len() < 4 + len {
        return None;
    }
    input.advance(4);
    let mut frame = input.split_to(len);
    Some((frame.try_get_u64().ok()?, frame))
}

async fn read(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<usize> {
    input.reserve(READ);
    stream.read_buf(input).await
}

async fn serve_one<C: Codec>(mut stream: TcpStream) -> anyhow::Result<()> {
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    while read(&mut stream, &mut input).await? > 0 {
        while let Some((id, payload)) = next_frame(&mut input) {
            let start = out.len();
            put_frame(id, &mut out, |_| Ok(()))?;
            C::reply(&payload, &mut out).await?;
            let len = u32::try_from(out.len() - start - 4)?;
            (&mut out[start..]).put_u32(len);
        }
        stream.write_all_buf(&mut out).await?;
    }
    Ok(())
}

type Waiting = HashMap<u64, oneshot::Sender<BytesMut>>;

#[derive(Default)]
struct Queue {
    out: BytesMut,
    waiting: Waiting,
    last: u64,
}

/// One connection, read and written by a task.
#[derive(Clone)]
pub struct Client {
    queue: Arc<(Mutex<Queue>, Notify)>,
}

impl Client {
    async fn drive(self, mut stream: TcpStream) -> anyhow::Result<()> {
        let (queue, filled) = &*self.queue;
        let mut input = BytesMut::new();
        loop {
            let mut out = std::mem::take(&mut queue.lock().unwrap_or_else(PoisonError::into_inner).out);
            stream.write_all_buf(&mut out).await?;
            tokio::select! {
                read = read(&mut stream, &mut input) => if read? == 0 { return Ok(()) },
                () = filled.notified() => {}
            }
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some((id, payload)) = next_frame(&mut input) {
                if let Some(waiting) = queue.waiting.remove(&id) {
                    // No caller gives up waiting.
                    let _ = waiting.send(payload);
                }
            }
        }
    }
}

impl<C: Codec> Peer for Raw<C> {
    type Client = Client;

    async fn serve(listener: TcpListener) -> anyhow::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve_one::<C>(stream));
        }
    }

    async fn connect(addr: SocketAddr) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let client = Client { queue: Arc::default() };
        tokio::spawn(client.clone().drive(stream));
        Ok(client)
    }

    async fn call(client: &Client, echo: Echo) -> anyhow::Result<Echo> {
        let (queue, filled) = &*client.queue;
        let reply = {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.last += 1;
            let (id, (sender, reply)) = (queue.last, oneshot::channel());
            put_frame(id, &mut queue.out, |out| C::encode(&echo, out))?;
            queue.waiting.insert(id, sender);
            reply
        };
        filled.notify_one();
        C::decode(&reply.await.context("the connection is lost")?)
    }
}
