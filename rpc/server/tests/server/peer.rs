//! Client that speaks the protocol byte by byte, and a server for it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use rpc_server::{
    Code, Context, Drained, Format, Limits, Server, ServerMetrics, Service, ServiceBuilder, Status,
};
use rpc_wire::{Budget, CallId, Frame, Hello, Reply, Request, split_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Running server; stopped by `stop` or by dropping it.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) metrics: Arc<ServerMetrics>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Drained>,
    /// Events of the handlers of `wait`: "started", then "dropped".
    pub(crate) seen: mpsc::UnboundedReceiver<&'static str>,
}

impl Running {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::serve(limits, |tell| service(tell).build()).await
    }

    /// Serves another service.
    pub(crate) async fn serve(
        limits: Limits,
        service: impl FnOnce(mpsc::UnboundedSender<&'static str>) -> Service,
    ) -> Self {
        Self::run(|tell| Server::new(service(tell)).limits(limits)).await
    }

    /// Runs a server of the test's own.
    pub(crate) async fn run(server: impl FnOnce(mpsc::UnboundedSender<&'static str>) -> Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (tell, seen) = mpsc::unbounded_channel();
        let server = server(tell).instance("me");
        let metrics = server.metrics();
        let server =
            tokio::spawn(async { server.serve(listener, async { drop(stopped.await) }).await.unwrap() });
        Self { addr, metrics, stop, server, seen }
    }

    /// Waits for the next event of the handlers of `wait` and checks it.
    pub(crate) async fn sees(&mut self, what: &str) {
        assert_eq!(timeout(PATIENCE, self.seen.recv()).await.unwrap(), Some(what));
    }

    /// Begins the drain; the returned task completes with it.
    pub(crate) fn stop(self) -> JoinHandle<Drained> {
        drop(self.stop);
        self.server
    }
}

/// Handler that succeeds at once and panics when it is dropped.
struct PanicsWhenDropped;

impl Future for PanicsWhenDropped {
    type Output = Result<(), Status>;

    fn poll(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("on purpose, at the end");
    }
}

/// Tells when it is dropped.
pub(crate) struct Tell(pub(crate) mpsc::UnboundedSender<&'static str>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

pub(crate) fn service(tell: mpsc::UnboundedSender<&'static str>) -> ServiceBuilder {
    let wait = move |millis: Option<u64>, _: Context| {
        let _ = tell.send("started");
        let told = Tell(tell.clone());
        async move {
            match millis {
                Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                None => std::future::pending().await,
            }
            drop(told);
            Ok::<_, Status>("waited")
        }
    };
    let soft = |(): (), _: Context| async {
        tokio::task::yield_now().await;
        if true {
            panic!("on purpose, later");
        }
        Ok::<_, Status>(())
    };
    let hard =
        |(): (), _: Context| -> std::future::Ready<Result<(), Status>> { panic!("on purpose, at once") };
    Service::builder("test")
        .method("echo", |text: String, _: Context| async move { Ok::<_, Status>(text) })
        .method("fill", |len: usize, _: Context| async move { Ok::<_, Status>("x".repeat(len)) })
        .method("left", |(): (), cx: Context| async move {
            Ok::<_, Status>(cx.time_left().map(|left| left.as_millis() as u64))
        })
        .method(
            "missing",
            |(): (), _: Context| async move { Err::<(), _>(Status::not_found("no such thing")) },
        )
        .method("wait", wait)
        .method("panic_later", soft)
        .method("panic_at_once", hard)
        .method("panic_at_the_end", |(): (), _: Context| PanicsWhenDropped)
        .method("fill_later", |len: usize, _: Context| async move {
            tokio::task::yield_now().await;
            Ok::<_, Status>("x".repeat(len))
        })
}

/// Frame from the server.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Ok(CallId, Vec<u8>),
    Failed(CallId, Code, bool),
    GoAway(CallId, Code),
    Hello(String),
    Pong(u64),
    Message(CallId, Vec<u8>),
    Credit(CallId, u32),
    Closed,
}

pub(crate) struct RawClient {
    stream: TcpStream,
    input: Vec<u8>,
    pub(crate) out: Vec<u8>,
    pub(crate) format: Format,
}

pub(crate) const MAX: usize = 1 << 20;

impl RawClient {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::connect_from(Ipv4Addr::LOCALHOST, addr).await
    }

    /// Connects from another address, as another host would.
    pub(crate) async fn connect_from(from: Ipv4Addr, addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        let stream = socket.connect(addr).await.unwrap();
        Self { stream, input: Vec::new(), out: Vec::new(), format: Format::JSON }
    }

    /// Connects and exchanges hellos.
    pub(crate) async fn greeted(addr: SocketAddr, format: Format) -> Self {
        let mut client = Self { format, ..Self::connect(addr).await };
        client.hello(1, format, "test");
        client.send().await;
        assert_eq!(client.answer().await, Answer::Hello("me".into()));
        client
    }

    /// Connects as a client of version 2, with JSON, and exchanges hellos.
    pub(crate) async fn greeted_with(addr: SocketAddr, budget: Budget) -> Self {
        let mut client = Self::connect(addr).await;
        let hello = Hello {
            version: 2,
            format: Format::JSON,
            max_frame: MAX as u32,
            service: "test",
            instance: "",
            budget: Some(budget),
        };
        client.push(&Frame::Hello(hello));
        client.send().await;
        assert_eq!(client.answer().await, Answer::Hello("me".into()));
        client
    }

    /// Sends a hello and returns the answer.
    pub(crate) async fn greet(&mut self) -> Answer {
        self.hello(1, self.format, "");
        // After a refusal the server may have closed the connection already.
        let _ = self.try_send().await;
        self.answer().await
    }

    pub(crate) fn hello(&mut self, version: u16, format: Format, service: &str) {
        self.push(&Frame::Hello(Hello {
            version,
            format,
            max_frame: MAX as u32,
            service,
            instance: "",
            budget: Some(Budget::default()),
        }));
    }

    pub(crate) fn push(&mut self, frame: &Frame<'_>) {
        frame.encode(&mut self.out, 1 << 30).unwrap();
    }

    pub(crate) fn request<T: serde::Serialize>(&mut self, id: u64, method: &str, argument: &T) {
        self.request_within(id, method, argument, None);
    }

    pub(crate) fn request_within<T: serde::Serialize>(
        &mut self,
        id: u64,
        method: &str,
        argument: &T,
        time_left: Option<Duration>,
    ) {
        let mut payload = Vec::new();
        self.format.encode(argument, &mut payload).unwrap();
        let request = Request { method, time_left, payload: &payload, ..Request::new(CallId(id)) };
        self.push(&Frame::Request(request));
    }

    pub(crate) async fn send(&mut self) {
        self.try_send().await.unwrap();
    }

    /// Sends to a server that may have closed the connection.
    pub(crate) async fn try_send(&mut self) -> io::Result<()> {
        let sent = self.stream.write_all(&self.out).await;
        self.out.clear();
        sent
    }

    /// Sends the bytes again and again until the server closes the connection. Returns the number of sent bytes.
    pub(crate) async fn send_for_ever(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while let Ok(written) =
            timeout(PATIENCE, self.stream.write(&bytes[sent % bytes.len()..])).await.expect("an end")
        {
            sent += written;
        }
        sent
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        loop {
            if let Some((body, rest)) = split_frame(&self.input, 1 << 30).unwrap() {
                let answer = match Frame::decode(body).unwrap() {
                    Frame::Hello(hello) => Answer::Hello(hello.instance.into()),
                    Frame::GoAway(go) => Answer::GoAway(go.last, go.code),
                    Frame::Reply(Reply::Ok { id, payload, .. }) => Answer::Ok(id, payload.to_vec()),
                    Frame::Reply(Reply::Failed { id, code, not_run, .. }) => {
                        Answer::Failed(id, code, not_run)
                    }
                    Frame::Pong(number) => Answer::Pong(number),
                    Frame::Message(message) => Answer::Message(message.id, message.payload.to_vec()),
                    Frame::Credit(credit) => Answer::Credit(credit.id, credit.bytes),
                    other => panic!("a server does not send {other:?}"),
                };
                self.input = rest.to_vec();
                return answer;
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await.expect("an answer") {
                Ok(0) | Err(_) => return Answer::Closed,
                Ok(_) => {}
            }
        }
    }

    /// Sends one call and returns the next answer.
    pub(crate) async fn call<T: serde::Serialize>(&mut self, id: u64, method: &str, argument: &T) -> Answer {
        self.request(id, method, argument);
        self.send().await;
        self.answer().await
    }
}

pub(crate) fn ok(id: u64, payload: &[u8]) -> Answer {
    Answer::Ok(CallId(id), payload.to_vec())
}

pub(crate) fn failed(id: u64, code: Code) -> Answer {
    Answer::Failed(CallId(id), code, false)
}

pub(crate) fn refused(id: u64, code: Code) -> Answer {
    Answer::Failed(CallId(id), code, true)
}

/// Returns the peak memory of this process in bytes. Each test is a process of its own.
pub(crate) fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// Returns the default limits with a change.
pub(crate) fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}
