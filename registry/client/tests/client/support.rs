//! A cable between clients and a server in memory, which a test can unplug.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::task::AbortHandle;
use zk_client::{Builder, Client, Connect, Connecting, SessionState, Stream};
use zk_mini::{Connector, ZkMini};

/// Time limit for an expected event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a server in memory with a manual clock.
pub(crate) async fn server() -> ZkMini {
    ZkMini::builder().in_memory().seed(7).manual_clock().start().await.unwrap()
}

/// Configures a client of `zk`.
pub(crate) fn client_of(zk: &ZkMini) -> Builder {
    let connector = zk.connector();
    Client::builder().seed(7).via(zk_client::connect_fn(move || {
        let stream = connector.connect();
        async move { stream }
    }))
}

/// Waits with a time limit.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// Waits for a state of the client.
pub(crate) async fn until(client: &Client, wanted: impl FnMut(&SessionState) -> bool) -> SessionState {
    soon(client.states().wait_for(wanted)).await.unwrap()
}

/// Connects to a server over pipes that can be cut.
#[derive(Clone)]
pub(crate) struct Cable {
    connector: Connector,
    plugged: Arc<AtomicBool>,
    pipes: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Cable {
    pub(crate) fn new(zk: &ZkMini) -> Self {
        let plugged = Arc::new(AtomicBool::new(true));
        Self { connector: zk.connector(), plugged, pipes: Arc::default() }
    }

    /// Cuts all connections and refuses new ones.
    pub(crate) fn unplug(&self) {
        self.plugged.store(false, Ordering::SeqCst);
        for pipe in self.pipes.lock().unwrap().drain(..) {
            pipe.abort();
        }
    }

    pub(crate) fn plug(&self) {
        self.plugged.store(true, Ordering::SeqCst);
    }

    fn open(&self) -> io::Result<DuplexStream> {
        if !self.plugged.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the cable is unplugged"));
        }
        let mut server = self.connector.connect()?;
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let pipe = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut theirs, &mut server).await });
        self.pipes.lock().unwrap().push(pipe.abort_handle());
        Ok(ours)
    }
}

impl Connect for Cable {
    fn connect<'a>(&'a self, _server: &'a str, _address: &'a str) -> Connecting<'a> {
        Box::pin(async move { Ok(Box::new(self.open()?) as Box<dyn Stream>) })
    }
}
