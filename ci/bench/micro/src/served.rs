//! Operations through a whole server in memory: pipe, tasks, lock and core.

use anyhow::ensure;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;
use zk_mini::{Builder, ZkMini};
use zk_wire::{CreateMode, Xid, next_frame};

use crate::{Operation, create, handshake, with_length};

/// Number of times that an operation is in flight.
pub const DEPTH: usize = 64;

/// A running server, and a connection with a session.
pub struct Served {
    runtime: Runtime,
    zk: ZkMini,
    stream: DuplexStream,
    received: BytesMut,
}

/// Requests to send at once, and the number of replies.
pub struct Batch {
    requests: Bytes,
    replies: usize,
}

impl Served {
    /// Starts a server on a runtime of its own, with the nodes of a small one.
    pub fn start(builder: Builder) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (zk, stream) = runtime.block_on(async {
            let zk = builder.start().await?;
            let stream = open_session(&zk).await?;
            anyhow::Ok((zk, stream))
        })?;
        let mut served = Self { runtime, zk, stream, received: BytesMut::new() };
        for path in ["/node", "/many"] {
            served.exchange(&Batch::of(&[create(path, CreateMode::Persistent)], 1));
        }
        for number in 0..1_000 {
            served
                .exchange(&Batch::of(&[create(&format!("/many/child-{number}"), CreateMode::Persistent)], 1));
        }
        Ok(served)
    }

    pub fn zk(&self) -> &ZkMini {
        &self.zk
    }

    /// Runs a future where the server runs.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Sends requests, and waits for the replies.
    #[inline(never)]
    pub fn run(&mut self, batch: &Batch) {
        self.exchange(batch);
    }

    fn exchange(&mut self, batch: &Batch) {
        let Self { runtime, stream, received, .. } = self;
        runtime.block_on(async {
            stream.write_all(&batch.requests).await.expect("a server that reads");
            let mut replies = 0;
            while replies < batch.replies {
                while let Some(frame) = next_frame(received, usize::MAX).expect("a frame") {
                    replies += usize::from(frame.starts_with(&XID.0.to_be_bytes()));
                }
                if replies < batch.replies {
                    stream.read_buf(received).await.expect("a reply");
                }
            }
        });
    }
}

/// Opens a connection with a session of its own.
pub async fn open_session(zk: &ZkMini) -> anyhow::Result<DuplexStream> {
    let mut stream = zk.connect();
    stream.write_all(&handshake()).await?;
    ensure!(stream.read_u32().await? == 37, "no session");
    stream.read_exact(&mut [0; 37]).await?;
    Ok(stream)
}

/// The xid of all requests; that of an event is another.
pub(crate) const XID: Xid = Xid(1);

impl Batch {
    /// Returns the requests of an operation, [`DEPTH`] times.
    pub fn of_operation(operation: &Operation) -> Self {
        Self::of(&operation.requests, DEPTH)
    }

    /// Returns the requests of an operation, once.
    pub fn once(operation: &Operation) -> Self {
        Self::of(&operation.requests, 1)
    }

    fn of(requests: &[Bytes], times: usize) -> Self {
        let mut bytes = BytesMut::new();
        for request in std::iter::repeat_n(requests, times).flatten() {
            with_length(request, &mut bytes);
        }
        Self { requests: bytes.freeze(), replies: times * requests.len() }
    }
}
