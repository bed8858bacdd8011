//! Servers to call: real ones, and ones that misbehave on purpose.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rpc_client::{Client, ClientBuilder};
use rpc_server::{Context, Drained, Format, Server, Service, Status};
use rpc_wire::{Budget, CallId, Frame, GoAway, Hello, split_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A real server, which ends at once when dropped.
pub(crate) struct TestServer {
    pub(crate) addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Drained>,
    /// Events of the handlers of `hang`: "started", then "dropped".
    pub(crate) seen: mpsc::UnboundedReceiver<&'static str>,
}

impl TestServer {
    pub(crate) async fn start(name: &'static str) -> Self {
        Self::start_at(name, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(name: &'static str, addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (tell, seen) = mpsc::unbounded_channel();
        let server = Server::new(service(name, tell)).instance(name);
        let task =
            tokio::spawn(async { server.serve(listener, async { drop(stopped.await) }).await.unwrap() });
        Self { addr, stop: Some(stop), task, seen }
    }

    /// Drains the server, and returns when it has ended.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(PATIENCE, &mut self.task).await.unwrap().unwrap();
    }

    pub(crate) async fn sees(&mut self, what: &str) {
        assert_eq!(tokio::time::timeout(PATIENCE, self.seen.recv()).await.unwrap(), Some(what));
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Tell(mpsc::UnboundedSender<&'static str>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

fn service(name: &'static str, tell: mpsc::UnboundedSender<&'static str>) -> Service {
    let hang = move |(): (), _: Context| {
        let _ = tell.send("started");
        let told = Tell(tell.clone());
        async move {
            std::future::pending::<()>().await;
            drop(told);
            Ok::<_, Status>(())
        }
    };
    Service::builder("test")
        .method("echo", |text: String, _: Context| async move { Ok::<_, Status>(text) })
        .method("who", move |(): (), _: Context| async move { Ok::<_, Status>(name) })
        .method("slow_who", move |millis: u64, _: Context| async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok::<_, Status>(name)
        })
        .method("missing", |(): (), _: Context| async { Err::<(), _>(Status::not_found("no such thing")) })
        .method("unavailable", |(): (), _: Context| async { Err::<(), _>(Status::unavailable("not now")) })
        .method("upstream_late", |(): (), _: Context| async {
            Err::<(), _>(Status::deadline_exceeded("the database is slow"))
        })
        .method("hang", hang)
        .build()
}

pub(crate) fn client(addrs: impl IntoIterator<Item = SocketAddr>) -> ClientBuilder {
    Client::direct("test", addrs.into_iter().map(|addr| addr.to_string())).seed(1)
}

/// Behaviour of a misbehaving server, on each connection after the hellos and the first request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Misbehaviour {
    CloseAfterRequest,
    GoAwayWithoutRunning,
    NeverAnswer,
    NeverReadAgain,
    NeverRead,
    PingWithoutReading,
    Babble,
}

/// Starts a server that says hello as `name` and then misbehaves.
pub(crate) async fn misbehaving(name: &'static str, how: Misbehaviour) -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    // Bytes that it does not read stay with the client.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(misbehave(stream, name, how));
        }
    });
    addr
}

async fn misbehave(mut stream: TcpStream, name: &str, how: Misbehaviour) -> Option<()> {
    let mut input = Vec::new();
    let mut out = Vec::new();
    next_frame(&mut stream, &mut input).await?;
    let hello = Hello {
        version: 1,
        format: Format::JSON,
        max_frame: 4 << 20,
        service: "test",
        instance: name,
        budget: Some(Budget::default()),
    };
    Frame::Hello(hello).encode(&mut out, 1 << 20).unwrap();
    stream.write_all(&out).await.ok()?;
    out.clear();
    if !matches!(how, Misbehaviour::PingWithoutReading | Misbehaviour::NeverRead) {
        next_frame(&mut stream, &mut input).await?;
    }
    match how {
        Misbehaviour::CloseAfterRequest => return None,
        Misbehaviour::GoAwayWithoutRunning => {
            let go_away = GoAway { last: CallId(0), code: rpc_wire::Code::UNAVAILABLE, message: "leaving" };
            Frame::GoAway(go_away).encode(&mut out, 1 << 20).unwrap();
        }
        Misbehaviour::Babble => out.extend_from_slice(&[0xff; 32]),
        Misbehaviour::NeverAnswer => {}
        Misbehaviour::NeverReadAgain | Misbehaviour::NeverRead => std::future::pending().await,
        Misbehaviour::PingWithoutReading => {
            Frame::Ping(7).encode(&mut out, 1 << 20).unwrap();
            let out = out.repeat(1_000);
            loop {
                stream.write_all(&out).await.ok()?;
                tokio::task::yield_now().await;
            }
        }
    }
    stream.write_all(&out).await.ok()?;
    while next_frame(&mut stream, &mut input).await.is_some() {}
    None
}

async fn next_frame(stream: &mut TcpStream, input: &mut Vec<u8>) -> Option<()> {
    loop {
        if let Some((_, rest)) = split_frame(input, 1 << 20).unwrap() {
            *input = rest.to_vec();
            return Some(());
        }
        if stream.read_buf(input).await.ok()? == 0 {
            return None;
        }
    }
}

/// Repeats `step` until it returns true; fails after [`PATIENCE`].
pub(crate) async fn eventually(mut step: impl AsyncFnMut() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "a test's bound")]
    let begin = Instant::now();
    while !step().await {
        assert!(begin.elapsed() < PATIENCE, "this does not come true");
        tokio::task::yield_now().await;
    }
}
