//! A server in memory whose time is moved by hand, and a connection to it that tests can cut and observe.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry::{Connect, Connecting, Instance, Members, Registry, Stream, Subscription};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use zk_client::{Client, connect_fn};
use zk_mini::{Connector, ZkMini};
use zk_wire::OpCode;

/// Waits with a bound for a future that should take no time at all.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("done long ago")
}

pub(crate) fn at(port: u16) -> Instance {
    Instance::new("127.0.0.1", port)
}

pub(crate) async fn server() -> ZkMini {
    ZkMini::builder().in_memory().manual_clock().seed(7).start().await.unwrap()
}

pub(crate) async fn registry(zk: &ZkMini) -> Registry {
    soon(Registry::builder().embedded(zk).connect()).await.unwrap()
}

/// Connects a client that knows nothing of registries.
pub(crate) async fn stranger(zk: &ZkMini) -> Client {
    let connector = zk.connector();
    let via = connect_fn(move || {
        let stream = connector.connect();
        async move { stream }
    });
    soon(Client::builder().via(via).connect()).await.unwrap()
}

/// Waits for members that `wanted` accepts.
pub(crate) async fn members(
    subscription: &mut Subscription,
    wanted: impl Fn(&Members) -> bool,
) -> Arc<Members> {
    soon(async {
        let mut members = subscription.current();
        while !wanted(&members) {
            members = subscription.changed().await.expect("the subscription has ended");
        }
        members
    })
    .await
}

/// Returns the ports of the members, in order.
pub(crate) fn ports(members: &Members) -> Vec<u16> {
    let mut ports: Vec<_> = members.instances.values().map(|instance| instance.port()).collect();
    ports.sort_unstable();
    ports
}

/// A connection to a server that can be cut, can lose replies, and counts requests.
#[derive(Clone)]
pub(crate) struct Wire {
    connector: Connector,
    is_cut: watch::Sender<bool>,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
struct Faults {
    lose_reply_of: Option<OpCode>,
    requests: BTreeMap<OpCode, usize>,
}

impl Wire {
    pub(crate) fn to(zk: &ZkMini) -> Self {
        Self { connector: zk.connector(), is_cut: watch::channel(false).0, faults: Arc::default() }
    }

    pub(crate) async fn registry(&self) -> Registry {
        soon(Registry::builder().via(self.clone()).connect()).await.unwrap()
    }

    /// Breaks the connection and refuses others.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    pub(crate) fn mend(&self) {
        self.is_cut.send_replace(false);
    }

    /// Lets the server perform the next request of this kind, and breaks the connection before the reply.
    pub(crate) fn lose_reply_of(&self, op: OpCode) {
        self.faults.lock().unwrap().lose_reply_of = Some(op);
    }

    /// Returns true once the reply was lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.faults.lock().unwrap().lose_reply_of.is_none()
    }

    /// Returns the number of requests of this kind so far.
    pub(crate) fn requests(&self, op: OpCode) -> usize {
        self.faults.lock().unwrap().requests.get(&op).copied().unwrap_or(0)
    }

    async fn pump(self, mut client: DuplexStream, mut server: DuplexStream) -> io::Result<()> {
        let mut is_cut = self.is_cut.subscribe();
        let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut is_handshake = true;
        loop {
            tokio::select! {
                () = async { drop(is_cut.wait_for(|cut| *cut).await) } => return Ok(()),
                n = client.read(&mut up) => {
                    let bytes = &up[..n?];
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    server.write_all(bytes).await?;
                    let is_lost = !std::mem::take(&mut is_handshake) && self.note(bytes);
                    if is_lost {
                        // The reply shows that the server has performed it.
                        let _ = server.read(&mut down).await?;
                        self.faults.lock().unwrap().lose_reply_of = None;
                        return Ok(());
                    }
                }
                n = server.read(&mut down) => {
                    let bytes = &down[..n?];
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    client.write_all(bytes).await?;
                }
            }
        }
    }

    /// Counts the requests, and returns true if the reply to one must be lost. The pipe is wide enough for whole frames.
    fn note(&self, mut bytes: &[u8]) -> bool {
        let mut faults = self.faults.lock().unwrap();
        let mut is_lost = false;
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let (frame, after) = rest.split_at(rest.len().min(u32::from_be_bytes(*length) as usize));
            if let Some(op) = frame.get(4..8).and_then(|op| op.try_into().ok()).map(i32::from_be_bytes) {
                *faults.requests.entry(OpCode(op)).or_default() += 1;
                is_lost |= faults.lose_reply_of == Some(OpCode(op));
            }
            bytes = after;
        }
        is_lost
    }
}

impl Connect for Wire {
    fn connect<'a>(&'a self, _server: &'a str, _address: &'a str) -> Connecting<'a> {
        Box::pin(async {
            if *self.is_cut.borrow() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let server = self.connector.connect()?;
            let wire = self.clone();
            tokio::spawn(async move { wire.pump(theirs, server).await });
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}
