//! A server process that is stopped for longer than its session timeouts: by a signal, a debugger, a paused machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{PATIENCE, Program};

const CREATE: i32 = 1;
const EXISTS: i32 = 3;
const PING: i32 = 11;
const CREATE_CONTAINER: i32 = 19;
const EPHEMERAL: i32 = 1;
const NO_NODE: i32 = -101;

/// Time of the first check of containers, from the start of the server.
const CHECK: Duration = Duration::from_secs(3);

/// A client of literal bytes.
struct Client {
    stream: TcpStream,
    /// Answer to the handshake.
    session: Vec<u8>,
}

impl Client {
    fn connect(address: &str, timeout: i32) -> Self {
        let mut request = vec![0; 12];
        request.extend(timeout.to_be_bytes());
        request.extend([0; 8]);
        request.extend([0, 0, 0, 16]);
        request.extend([0; 16]);
        let mut client = Self::send_first(address, &request);
        client.session = client.receive().expect("an answer to the handshake");
        client
    }

    /// Connects and asks for a session without waiting for the reply.
    fn send_first(address: &str, request: &[u8]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { stream, session: Vec::new() };
        client.write(request);
        client
    }

    fn resume(address: &str, session: &[u8]) -> Self {
        let request = [&[0; 12][..], &session[4..16], &session[16..36]].concat();
        Self::send_first(address, &request)
    }

    fn write(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        self.stream.write_all(&[&length[..], body].concat()).unwrap();
    }

    fn send(&mut self, xid: i32, op: i32, body: &[u8]) {
        self.write(&[&xid.to_be_bytes()[..], &op.to_be_bytes(), body].concat());
    }

    /// Receives a frame; `None` at the end.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body).unwrap();
        Some(body)
    }

    /// Receives a reply or event, and returns its xid and error code.
    fn heard(&mut self) -> (i32, i32) {
        let frame = self.receive().expect("a frame");
        let number = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        (number(0), number(12))
    }

    fn create(&mut self, op: i32, path: &str, flags: i32) {
        self.send(1, op, &create(path, flags));
        assert_eq!(self.heard(), (1, 0), "{path}");
    }

    fn exists(&mut self, path: &str, watch: bool) -> i32 {
        self.send(2, EXISTS, &[string(path), vec![u8::from(watch)]].concat());
        let (xid, err) = self.heard();
        assert_eq!(xid, 2);
        err
    }
}

#[expect(clippy::disallowed_methods, reason = "the other process has no other clock")]
fn now() -> Instant {
    Instant::now()
}

fn string(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn create(path: &str, flags: i32) -> Vec<u8> {
    let acl = [&[0, 0, 0, 1, 0, 0, 0, 31][..], &string("world"), &string("anyone")].concat();
    [string(path), string("x"), acl, flags.to_be_bytes().into()].concat()
}

fn queued_input_goes_first(more: &[&str]) {
    let check = format!("--container-check-interval-ms={}", CHECK.as_millis());
    let mut arguments =
        vec!["serve", "--listen=127.0.0.1:0", "--tick-ms=100", "--max-session-timeout-ms=60000", &check];
    arguments.extend(more);
    let zk = Program::start(&arguments);
    let address = zk.address();
    // The server had started before.
    let begun = now();
    let mut witness = Client::connect(&address, 60_000);
    for container in ["/emptied", "/kept"] {
        witness.create(CREATE_CONTAINER, container, 4);
    }
    let [mut pings, mut silent, mut comes_back] = [(); 3].map(|()| Client::connect(&address, 2_000));
    pings.create(CREATE, "/pings", EPHEMERAL);
    silent.create(CREATE, "/emptied/leader", EPHEMERAL);
    silent.create(CREATE, "/kept/leader", EPHEMERAL);
    comes_back.create(CREATE, "/comes-back", EPHEMERAL);
    assert_eq!(witness.exists("/emptied/leader", true), 0);
    comes_back.stream.shutdown(std::net::Shutdown::Both).unwrap();

    zk.stop();
    pings.send(-2, PING, &[]);
    let mut back = Client::resume(&address, &comes_back.session);
    let stopped = now();
    // Longer than the session timeouts, and past a check of containers.
    while begun.elapsed() < CHECK + Duration::from_millis(50)
        || stopped.elapsed() < Duration::from_millis(2_300)
    {
        thread::sleep(Duration::from_millis(10));
    }
    zk.signal(Signal::SIGCONT);

    assert_eq!(pings.heard(), (-2, 0));
    assert_eq!(back.receive(), Some(comes_back.session), "it has its session again");
    assert_eq!(silent.receive(), None);
    assert_eq!(witness.heard(), (-1, 0), "the leader has gone");
    assert_eq!(witness.exists("/emptied/leader", false), NO_NODE);
    // Its session is still there, so it can follow.
    witness.create(CREATE, "/emptied/next", 0);
    assert_eq!(pings.exists("/pings", false), 0);
    assert_eq!(back.exists("/comes-back", false), 0);
    // A container without children goes at the next check.
    let waiting = now();
    while witness.exists("/kept", false) == 0 {
        assert!(waiting.elapsed() < PATIENCE, "a container stays");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(witness.exists("/emptied/next", false), 0);
}

#[test]
fn after_a_stop_queued_input_comes_first_then_container_checks_then_expiry() {
    queued_input_goes_first(&[]);
}

#[test]
fn after_a_stop_the_order_is_the_same_with_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    queued_input_goes_first(&["--data-dir", dir.path().to_str().unwrap()]);
}
