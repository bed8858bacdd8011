//! One connection: hello, then every complete frame of a read handled, all replies written at once.

use crate::{Limits, Service, calls::Calls, clock, quota::Quota};
use bytes::{Buf, BytesMut};
use rpc_wire::{Code, DecodeError, Format, Frame, Hello, Status, VERSION, split_frame};
use std::{
    future::poll_fn,
    io, mem,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::AtomicUsize},
    task::{Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) service: Service,
    pub(crate) instance: String,
    pub(crate) limits: Limits,
    pub(crate) in_flight: Arc<AtomicUsize>,
    pub(crate) quota: Option<Arc<Quota>>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The client closed it, or the network did.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// The client broke the protocol or asked for what there is not; it is told with a GOAWAY.
    #[error("refused: {0}")]
    Refused(Status),
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        Self::refused(Code::INVALID_ARGUMENT, &error)
    }
}

impl End {
    pub(crate) fn refused(code: Code, why: &(impl ToString + ?Sized)) -> Self {
        Self::Refused(Status::new(code, why.to_string()))
    }
}

/// A connection and the calls that run for it.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    stream: TcpStream,
    input: BytesMut,
    calls: Calls,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) -> Self {
        let calls = Calls::new(shared.clone(), peer);
        Self { shared, stream, input: BytesMut::new(), calls }
    }

    /// Serves until the client leaves, breaks the protocol, or the drain has ended.
    pub(crate) async fn run(mut self, mut drain: watch::Receiver<bool>) -> Result<(), End> {
        let ended = match timeout(self.shared.limits.hello_timeout, self.greet()).await {
            Ok(Ok(())) => self.serve(&mut drain).await,
            Ok(Err(end)) => Err(end),
            Err(_) => Err(End::refused(Code::DEADLINE_EXCEEDED, "no hello in time")),
        };
        if let Err(End::Refused(status)) = &ended {
            self.calls.go_away(status);
            self.flush().await?;
            self.linger().await;
        }
        ended
    }

    /// Reads the client's hello and answers it.
    async fn greet(&mut self) -> Result<(), End> {
        let (hello_len, format, client_max) = loop {
            let split = split_frame(&self.input, MAX_HELLO).map_err(|_| {
                End::refused(Code::INVALID_ARGUMENT, "the first frame is too long for a hello")
            })?;
            if let Some((body, rest)) = split {
                let Frame::Hello(hello) = Frame::decode(body)? else {
                    return Err(End::refused(Code::INVALID_ARGUMENT, "the first frame is not a hello"));
                };
                let (format, client_max) = self.shared.agree(&hello)?;
                break (self.input.len() - rest.len(), format, client_max);
            }
            self.read().await?;
        };
        self.input.advance(hello_len);
        let hello = Hello {
            version: VERSION,
            format,
            max_frame: u32::try_from(self.shared.limits.max_frame).unwrap_or(u32::MAX),
            service: self.shared.service.name(),
            instance: &self.shared.instance,
        };
        self.calls.greeted(&hello, client_max)?;
        self.flush().await
    }

    async fn serve(&mut self, drain: &mut watch::Receiver<bool>) -> Result<(), End> {
        let outbox = self.calls.outbox();
        loop {
            // Before the first read too: requests may come right behind the hello.
            while self.handle_frames().await? {
                self.flush().await?;
                tokio::task::yield_now().await;
            }
            self.calls.take_replies();
            self.flush().await?;
            if self.calls.drained() {
                self.linger().await;
                return Ok(());
            }
            let draining = self.calls.draining();
            tokio::select! {
                read = self.read() => read?,
                () = outbox.filled() => {}
                // A server that is gone drains too.
                _ = drain.wait_for(|&drain| drain), if !draining => self.calls.drain(),
            }
        }
    }

    /// Handles the frames that have arrived; true when it stopped for breath with some left.
    async fn handle_frames(&mut self) -> Result<bool, End> {
        let input = mem::take(&mut self.input);
        let mut rest = &input[..];
        let mut more = false;
        let max = self.shared.limits.max_frame;
        let arrived = clock::now();
        // Replies are often as long as their requests.
        self.calls.out.reserve(input.len());
        // The first poll of a handler wants a waker; this task's is as good as any.
        poll_fn(|cx| {
            while let Some((body, after)) = split_frame(rest, max)? {
                rest = after;
                let now = clock::now();
                self.calls.handle(Frame::decode(body)?, arrived, now, cx)?;
                if self.calls.out.len() > OUT_HIGH_WATER || now.duration_since(arrived) > BREATH {
                    more = true;
                    break;
                }
            }
            Poll::Ready(Ok::<_, End>(()))
        })
        .await?;
        let left = rest.len();
        if left > 0 {
            self.input = input;
            self.input.advance(self.input.len() - left);
        }
        Ok(more)
    }

    /// Waits for bytes and appends them to the input.
    async fn read(&mut self) -> Result<(), End> {
        let Self { stream, input, .. } = self;
        let read = poll_fn(|cx| {
            // The buffer is there only while there is something in it: an idle connection has none.
            ready!(stream.poll_read_ready(cx))?;
            input.reserve(READ_CHUNK);
            pin!(stream.read_buf(input)).poll(cx)
        });
        match read.await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }

    /// Writes what has been encoded; a client that does not read it is given up.
    async fn flush(&mut self) -> Result<(), End> {
        if self.calls.out.is_empty() {
            return Ok(());
        }
        let out = mem::take(&mut self.calls.out);
        let written = match self.stream.try_write(&out) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            written => written?,
        };
        if written < out.len() {
            let rest = timeout(self.shared.limits.write_timeout, self.stream.write_all(&out[written..]));
            rest.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
        Ok(())
    }

    /// Lets the client close first, for a bounded time: to close with its bytes unread would take back
    /// replies that are on their way.
    async fn linger(&mut self) {
        let patience = self.shared.limits.linger;
        let deaf = async {
            self.stream.shutdown().await?;
            loop {
                self.input.clear();
                self.read().await?;
            }
        };
        let _: Result<Result<(), End>, _> = timeout(patience, deaf).await;
    }
}

impl Shared {
    /// What a hello settles: the format, and the largest frame that the client takes.
    fn agree(&self, hello: &Hello<'_>) -> Result<(Format, usize), End> {
        let name = self.service.name();
        if hello.version < VERSION {
            let why = format!("this server speaks version {VERSION} of the protocol and no older one");
            return Err(End::refused(Code::FAILED_PRECONDITION, &why));
        }
        if !hello.format.is_known() {
            let why = format!("payload format {} is unknown here; use json or postcard", hello.format);
            return Err(End::refused(Code::FAILED_PRECONDITION, &why));
        }
        if !hello.service.is_empty() && hello.service != name {
            let why = format!("this is the service {name}, not {}", hello.service);
            return Err(End::refused(Code::NOT_FOUND, &why));
        }
        let client_max = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
        if client_max < MIN_FRAME {
            let why = format!("a client must accept frames of {MIN_FRAME} bytes at least");
            return Err(End::refused(Code::FAILED_PRECONDITION, &why));
        }
        Ok((hello.format, client_max))
    }
}

/// No client may ask for smaller frames: a hello and a short status must fit.
pub(crate) const MIN_FRAME: usize = 1024;

/// A stranger may not make us hold more.
const MAX_HELLO: usize = 4096;

/// What is asked of the socket at a time.
const READ_CHUNK: usize = 16 << 10;

/// Replies are written before more calls are handled once there are so many bytes of them.
const OUT_HIGH_WATER: usize = 1 << 20;

/// So long may the calls of one read take before other connections, timers and the registry get a turn.
const BREATH: Duration = Duration::from_millis(1);
