//! A simulated ensemble of zk-mini and a real one of Apache ZooKeeper give the same answers, byte by byte read without a
//! client: to sessions that move between servers, and to read-only clients of a server that has lost its majority.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::net::SocketAddr;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::four_letter;
use integration_tests::raw::{RawClient, frame, op};
use integration_tests::wait::{PATIENCE, eventually};
use zk_mini::{Role, ZkMini};

/// Three servers, one of which leads.
struct Servers {
    followers: [SocketAddr; 2],
    leader: SocketAddr,
}

/// Session as a handshake gives it: id and password.
#[derive(Clone)]
struct Granted {
    session: [u8; 8],
    password: Vec<u8>,
}

const CREATE: i32 = 1;
const SYNC: i32 = 9;
const CLOSE: i32 = -11;

fn string(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn create(path: &str, flags: i32) -> Vec<u8> {
    let acl = [&[0, 0, 0, 1, 0, 0, 0, 31][..], &string("world"), &string("anyone")].concat();
    [string(path), string("x"), acl, flags.to_be_bytes().into()].concat()
}

fn exists(path: &str) -> Vec<u8> {
    [string(path), vec![0]].concat()
}

fn set_data(path: &str) -> Vec<u8> {
    [string(path), string("y"), vec![0xff; 4]].concat()
}

/// Views of a client of one connection.
struct Eye {
    raw: RawClient,
    xid: i32,
    zxid: i64,
}

impl Eye {
    fn connect(at: SocketAddr) -> Self {
        Self { raw: RawClient::connect(at), xid: 0, zxid: 0 }
    }

    /// Shakes hands; `None` if the server closes the connection. The first part is the text for the transcript.
    fn greet(&mut self, granted: Option<&Granted>, read_only: bool) -> (String, Option<Granted>) {
        let mut hello = vec![0; 12];
        hello.extend(30_000_i32.to_be_bytes());
        hello.extend(granted.map_or([0; 8], |granted| granted.session));
        let password = granted.map_or_else(|| vec![0; 16], |granted| granted.password.clone());
        hello.extend(16_i32.to_be_bytes());
        hello.extend(password);
        hello.push(u8::from(read_only));
        self.raw.send(&frame(&hello));
        let Some(answer) = self.raw.receive() else { return ("closed".into(), None) };
        let session: [u8; 8] = answer[8..16].try_into().unwrap();
        let is_known = session != [0; 8];
        let same = granted.is_none_or(|granted| granted.session == session);
        let text = format!("session: {is_known}, as asked: {same}, read-only byte: {:?}", answer.last());
        (text, is_known.then(|| Granted { session, password: answer[20..36].into() }))
    }

    fn session(at: SocketAddr) -> (Self, Granted) {
        let mut eye = Self::connect(at);
        let granted = eye.greet(None, false).1.expect("a session");
        (eye, granted)
    }

    fn resumed(at: SocketAddr, granted: &Granted) -> Self {
        let mut eye = Self::connect(at);
        assert!(eye.greet(Some(granted), false).1.is_some());
        eye
    }

    /// Sends a request. Returns what comes: the code of the reply, how far the zxid has moved, or the end.
    fn ask(&mut self, op: i32, body: &[u8]) -> String {
        self.xid += 1;
        self.raw.request(self.xid, op, body);
        let Some(reply) = self.raw.receive() else { return "closed".into() };
        assert_eq!(reply[..4], self.xid.to_be_bytes());
        self.zxid = i64::from_be_bytes(reply[4..12].try_into().unwrap());
        format!("code {}", i32::from_be_bytes(reply[12..16].try_into().unwrap()))
    }
}

/// A session that moves from one server to another, and its earlier connection.
fn moves(from: SocketAddr, to: SocketAddr, name: &str, seen: &mut Vec<String>) {
    let (mut first, granted) = Eye::session(from);
    seen.push(format!("{name}: write: {}", first.ask(CREATE, &create(&format!("/{name}"), 1))));
    let mut second = Eye::resumed(to, &granted);
    seen.push(format!("{name}: sync at the next: {}", second.ask(SYNC, &string("/"))));
    let before = second.zxid;
    seen.push(format!("{name}: read at the earlier: {}", first.ask(op::EXISTS, &exists("/"))));
    seen.push(format!("{name}: write at the earlier: {}", first.ask(op::SET_DATA, &set_data("/"))));
    seen.push(format!(
        "{name}: write at the next: {}",
        second.ask(op::SET_DATA, &set_data(&format!("/{name}")))
    ));
    seen.push(format!("{name}: zxids since: {}", second.zxid - before));

    // It comes back to where it was.
    let mut third = Eye::resumed(from, &granted);
    seen.push(format!("{name}: read by the third: {}", third.ask(op::EXISTS, &exists("/"))));
    seen.push(format!(
        "{name}: write by the third: {}",
        third.ask(op::SET_DATA, &set_data(&format!("/{name}")))
    ));
    seen.push(format!(
        "{name}: write by the second: {}",
        second.ask(op::SET_DATA, &set_data(&format!("/{name}")))
    ));
    // Closing it is not asked about: it ends for all.
    let mut fourth = Eye::resumed(to, &granted);
    seen.push(format!("{name}: close by the third: {}", third.ask(CLOSE, &[])));
    seen.push(format!("{name}: then by the third: {}", third.ask(op::EXISTS, &exists("/"))));
    // Its server may not have heard of that yet; it has when the sync comes back.
    seen.push(format!("{name}: sync by the fourth: {}", fourth.ask(SYNC, &string("/"))));
    let mut late = Eye::connect(to);
    seen.push(format!("{name}: back after the end: {}", late.greet(Some(&granted), false).0));
}

fn session_moves(servers: &Servers) -> Vec<String> {
    let Servers { followers: [one, other], leader } = *servers;
    let mut seen = Vec::new();
    moves(one, other, "between-followers", &mut seen);
    moves(one, leader, "to-the-leader", &mut seen);
    moves(leader, one, "from-the-leader", &mut seen);

    // The same server ends the earlier connection; a wrong password does, too, and nothing elsewhere.
    let (mut first, granted) = Eye::session(one);
    let _second = Eye::resumed(one, &granted);
    seen.push(format!("same server: {}", first.ask(op::EXISTS, &exists("/"))));
    let (mut first, granted) = Eye::session(one);
    let wrong = Granted { password: vec![7; 16], ..granted };
    seen.push(format!("wrong password elsewhere: {}", Eye::connect(other).greet(Some(&wrong), false).0));
    seen.push(format!("and its owner: {}", first.ask(op::SET_DATA, &set_data("/"))));
    seen
}

/// Views of a server without a majority: of read-only clients, and of others. `global` is a session of before.
fn read_only(at: SocketAddr, global: &Granted) -> Vec<String> {
    let mut seen = Vec::new();
    seen.push(format!("mode: {:?}", four_letter::mode(at)));
    seen.push(format!("isro: {}", four_letter::ask(at, "isro").unwrap()));
    seen.push(format!("not read-only: {}", Eye::connect(at).greet(None, false).0));
    seen.push(format!("session of the ensemble: {}", Eye::connect(at).greet(Some(global), true).0));
    let mut eye = Eye::connect(at);
    let (text, granted) = eye.greet(None, true);
    let granted = granted.expect("a session");
    seen.push(format!("read-only: {text}"));
    for (what, op, body) in [
        ("read", op::EXISTS, exists("/kept")),
        ("ping", op::PING, vec![]),
        ("create", CREATE, create("/b", 0)),
        ("write", op::SET_DATA, set_data("/kept")),
        ("sync", SYNC, string("/")),
        ("empty multi", 14, vec![0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff]),
        ("read again", op::EXISTS, exists("/none")),
    ] {
        if op == op::PING {
            eye.raw.request(-2, op, &body);
            seen.push(format!("{what}: {}", eye.raw.receive().is_some()));
        } else {
            seen.push(format!("{what}: {}", eye.ask(op, &body)));
        }
    }
    let mut again = Eye::connect(at);
    seen.push(format!("again: {}", again.greet(Some(&granted), true).0));
    seen.push(format!("the earlier connection: {}", eye.ask(op::EXISTS, &exists("/"))));
    seen.push(format!("close: {}", again.ask(CLOSE, &[])));
    seen
}

fn real() -> RealZooKeeper {
    let builder = RealZooKeeper::builder().servers(3).jvm_option("-Dreadonlymode.enabled=true");
    builder
        .setting("localSessionsEnabled", true)
        .setting("localSessionsUpgradingEnabled", true)
        .start()
        .unwrap()
}

fn of_real(zk: &RealZooKeeper) -> Servers {
    let leader = zk.leader().expect("a leader");
    let followers: Vec<_> = (0..3).filter(|at| *at != leader).map(|at| zk.addr(at)).collect();
    Servers { followers: followers.try_into().unwrap(), leader: zk.addr(leader) }
}

fn of_simulated(zk: &ZkMini) -> Servers {
    let servers = zk.servers();
    let addrs = |role| {
        let of_role = servers.iter().filter(move |info| info.role == role);
        of_role.map(|info| zk.server(info.server).unwrap().addr().unwrap()).collect::<Vec<_>>()
    };
    Servers { followers: addrs(Role::Follower).try_into().unwrap(), leader: addrs(Role::Leader)[0] }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_move_between_simulated_servers_as_between_real_ones() {
    let zk = RealZooKeeper::ensemble().unwrap();
    let expected = session_moves(&of_real(&zk));
    let simulated = ZkMini::builder().servers(3).start().await.unwrap();
    assert_eq!(session_moves(&of_simulated(&simulated)), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_server_without_a_quorum_is_read_only_as_a_real_one() {
    let mut zk = real();
    let (mut eye, global) = Eye::session(zk.addr(2));
    // An ephemeral node makes it a session of the ensemble.
    assert_eq!(eye.ask(CREATE, &create("/mine", 1)), "code 0");
    assert_eq!(eye.ask(CREATE, &create("/kept", 0)), "code 0");
    zk.kill(0);
    zk.kill(1);
    let last = zk.addr(2);
    eventually("the last server is read-only", PATIENCE, || {
        four_letter::mode(last).as_deref() == Some("read-only")
    });
    let expected = read_only(last, &global);

    let simulated = ZkMini::builder().servers(3).start().await.unwrap();
    let server = simulated.server(3).unwrap();
    let (mut eye, global) = Eye::session(server.addr().unwrap());
    assert_eq!(eye.ask(CREATE, &create("/mine", 1)), "code 0");
    assert_eq!(eye.ask(CREATE, &create("/kept", 0)), "code 0");
    for number in [1, 2] {
        simulated.server(number).unwrap().stop().await;
    }
    assert_eq!(read_only(server.addr().unwrap(), &global), expected);
}
