//! The task over transports that are no sockets.

use std::future::pending;
use std::net::{IpAddr, Ipv4Addr};

use common::TokioClock;
use rpc_wire::{Budget, CallId, Format, Frame, Hello, Reply, Request, VERSION, split_frame};
use tokio::io::{AsyncWriteExt, BufWriter, DuplexStream, ReadBuf, duplex};
use tokio::task::JoinHandle;
use tokio::task::coop::poll_proceed;
#[cfg(feature = "tls")]
use tokio::time::sleep;
use tokio::time::timeout;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
#[cfg(feature = "tls")]
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::*;
use crate::context::Context as CallContext;
use crate::limits::Limits;
use crate::peers::Peers;
use crate::service::{Service, tabulate};
use crate::session::SessionConfig;

const MAX: usize = 4096;

fn shared() -> Arc<Shared> {
    let echo = |text: String, _: CallContext| async move {
        yield_now().await;
        Ok::<_, rpc_wire::Status>(text)
    };
    let stuck = |(): (), _: CallContext| pending::<Result<(), rpc_wire::Status>>();
    let service = Service::builder("echo").method("echo", echo).method("stuck", stuck).build();
    let (methods, handlers) = tabulate(vec![service]);
    let limits = Limits::default();
    let (instance, metrics) = (String::new(), Arc::default());
    let session = Arc::new(SessionConfig { instance, limits, methods, quota: None, metrics });
    let (turns, clock) = (Arc::new(Semaphore::new(1)), TokioClock::start());
    let (expose_internal_errors, retirement, parent_hook) = (false, None, None);
    Arc::new(Shared { session, handlers, expose_internal_errors, retirement, parent_hook, turns, clock })
}

#[tokio::test]
async fn a_transport_in_memory_that_takes_seven_bytes_at_a_time_is_served() {
    let (client, transport) = duplex(7);
    call_and_drain(client, transport).await;
}

#[tokio::test]
async fn a_transport_that_buffers_is_flushed() {
    for pipe in [7, MAX] {
        let (client, transport) = duplex(pipe);
        call_and_drain(client, BufWriter::new(transport)).await;
    }
}

#[tokio::test]
async fn a_client_that_sends_without_a_pause_does_not_hold_up_a_deadline() {
    let peers = Arc::new(Peers::new(&Limits::default(), 1_024));
    let request = hello_and_request("stuck", Some(Duration::from_millis(20)), b"null");
    let mut task = connection(&peers, Flood { first: request, is_answered: false });
    assert_eq!(timeout(Duration::from_secs(30), task.run()).await, Ok(End::Lost));
}

#[cfg(feature = "tls")]
#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_what_tls_has_taken_and_not_sent() {
    let (mut client, transport) = tls_pair().await;
    let peers = Arc::new(Peers::new(&Limits::default(), 1_024));
    let task = serve(&peers, transport);
    let text = format!("{:?}", "x".repeat(3_000)).into_bytes();
    client.write_all(&hello_and_request("echo", None, &text)).await.unwrap();
    client.flush().await.unwrap();
    // In simulated time a sleep ends when nobody else can go on.
    sleep(Duration::from_millis(1)).await;
    peers.drain();
    sleep(2 * Limits::default().linger).await;

    let mut input = Vec::new();
    client.read_to_end(&mut input).await.unwrap();
    let (_hello, rest) = split_frame(&input, MAX).unwrap().unwrap();
    let (reply, rest) = split_frame(rest, MAX).unwrap().unwrap();
    assert_eq!(Frame::decode(reply), Ok(Frame::Reply(Reply::ok(CallId(1), &text))));
    let (goodbye, rest) = split_frame(rest, MAX).unwrap().unwrap();
    assert!(matches!(Frame::decode(goodbye), Ok(Frame::GoAway(_))) && rest.is_empty());
    drop(client);
    assert_eq!(task.await.unwrap(), End::Drained);
}

#[cfg(feature = "tls")]
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_a_reply_over_tls_is_disconnected() {
    let (mut client, transport) = tls_pair().await;
    let peers = Arc::new(Peers::new(&Limits::default(), 1_024));
    let task = serve(&peers, transport);
    let text = format!("{:?}", "x".repeat(3_000)).into_bytes();
    client.write_all(&hello_and_request("echo", None, &text)).await.unwrap();
    client.flush().await.unwrap();
    let ended = timeout(2 * Limits::default().write_timeout, task).await;
    assert_eq!(ended.map(Result::unwrap), Ok(End::Unread));
}

/// Returns both ends of a TLS connection through a pipe that holds a part of a reply.
#[cfg(feature = "tls")]
async fn tls_pair() -> (client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = issued.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der()).into();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let trusting = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let serving = ServerConfig::builder().with_no_client_auth();
    let mut serving = serving.with_single_cert(vec![certificate], key).unwrap();
    // They follow the handshake, and the pipe has no room for them.
    serving.send_tls13_tickets = 0;
    let (near, far) = duplex(100);
    let name = "localhost".try_into().unwrap();
    let connect = TlsConnector::from(Arc::new(trusting)).connect(name, near);
    tokio::try_join!(connect, TlsAcceptor::from(Arc::new(serving)).accept(far)).unwrap()
}

/// Client that sends pings until its call is answered with a failure, and then closes.
struct Flood {
    first: Vec<u8>,
    is_answered: bool,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A socket lets other tasks run, too.
        ready!(poll_proceed(cx)).made_progress();
        if !self.is_answered {
            Frame::Ping(1).encode(&mut self.first, MAX).unwrap();
            buf.put_slice(&mem::take(&mut self.first));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = bytes.len();
        while let Some((body, rest)) = split_frame(bytes, MAX).unwrap() {
            let frame = Frame::decode(body).unwrap();
            self.is_answered |= matches!(frame, Frame::Reply(Reply::Failed { .. }));
            bytes = rest;
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn connection<S: AsyncRead + AsyncWrite + Unpin>(peers: &Arc<Peers>, stream: S) -> ConnectionTask<S> {
    let seat = peers.seat(IpAddr::V4(Ipv4Addr::LOCALHOST), Millis(0)).unwrap();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    ConnectionTask::new(shared(), seat, stream, Accepted { peer, identity: None, at: clock::now() })
}

fn serve<S>(peers: &Arc<Peers>, stream: S) -> JoinHandle<End>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut task = connection(peers, stream);
    tokio::spawn(async move { task.run().await })
}

fn hello_and_request(method: &str, time_left: Option<Duration>, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let hello = Hello {
        version: VERSION,
        format: Format::JSON,
        max_frame: 4096,
        service: "",
        instance: "",
        budget: Some(Budget::default()),
    };
    Frame::Hello(hello).encode(&mut out, MAX).unwrap();
    let request = Request { method, time_left, payload, ..Request::new(CallId(1)) };
    Frame::Request(request).encode(&mut out, MAX).unwrap();
    out
}

async fn call_and_drain(
    mut client: DuplexStream,
    transport: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let peers = Arc::new(Peers::new(&Limits::default(), 1_024));
    let task = serve(&peers, transport);
    client.write_all(&hello_and_request("echo", None, b"\"hi\"")).await.unwrap();

    let mut input = Vec::new();
    let mut answers = Vec::new();
    while answers.len() < 2 {
        client.read_buf(&mut input).await.unwrap();
        while let Some((body, rest)) = split_frame(&input, MAX).unwrap() {
            if let Frame::Reply(reply) = Frame::decode(body).unwrap() {
                assert_eq!(reply, Reply::ok(CallId(1), b"\"hi\""));
            }
            answers.push(body.len());
            input = rest.to_vec();
        }
    }
    peers.drain();
    // The goodbye, and then the end of the stream.
    while client.read_buf(&mut input).await.unwrap() > 0 {}
    drop(client);
    assert_eq!(task.await.unwrap(), End::Drained);
}
