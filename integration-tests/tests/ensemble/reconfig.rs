//! The members of a simulated ensemble of zk-mini and of a real one of Apache ZooKeeper change in the same way: the same answers
//! and errors, the same roles, and the same connections are closed. Byte by byte, without a client.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::net::{SocketAddr, TcpListener};

use integration_tests::ensemble::{RealZooKeeper, Release};
use integration_tests::four_letter;
use integration_tests::raw::{RawClient, buffer, op, path_and_watch};
use integration_tests::wait::{PATIENCE, eventually};
use zk_mini::{Compat, Role, ZkMini};

const NODE: &str = "/zookeeper/config";
const AUTH: i32 = 100;
const GET_ACL: i32 = 6;
const SYNC: i32 = 9;
const RECONFIG: i32 = 16;

/// Digest of the password `test`.
const SUPER: &str = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// Three servers by what they are at first: two followers and the leader.
struct Trio {
    addrs: [SocketAddr; 3],
    /// Number and text of each in the configuration.
    members: [(String, String); 3],
}

/// Request for another configuration. Servers are `A`, `B` and `C`, in the order of a [`Trio`].
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    joining: Option<&'static str>,
    leaving: Option<&'static str>,
    members: Option<&'static str>,
    /// Version that it is about, relative to that of the present one.
    from: Option<i64>,
}

/// Connection with a session, without any rights or with all.
struct Eye(RawClient, i32);

impl Eye {
    fn new(at: SocketAddr, is_super: bool) -> Self {
        let mut eye = Self(RawClient::with_session(at), 0);
        if is_super {
            let body = [vec![0; 4], buffer(b"digest"), buffer(b"super:test")].concat();
            assert_eq!(eye.ask(AUTH, &body).unwrap().1, 0);
        }
        eye
    }

    /// Returns zxid, code and body of the reply; `None` if the connection is closed.
    fn ask(&mut self, op: i32, body: &[u8]) -> Option<(i64, i32, Vec<u8>)> {
        self.1 = if op == AUTH { -4 } else { self.1.max(0) + 1 };
        self.0.request(self.1, op, body);
        let reply = self.0.reply()?;
        assert_eq!(reply.xid, self.1);
        Some((reply.zxid, reply.error, reply.body))
    }

    /// Returns the data of the configuration's node, and its `Stat`.
    fn config(&mut self) -> (String, Vec<u8>) {
        assert_eq!(self.ask(SYNC, &buffer(b"/")).unwrap().1, 0);
        let (_, code, body) = self.ask(op::GET_DATA, &path_and_watch(NODE)).unwrap();
        assert_eq!(code, 0);
        data_and_stat(&body)
    }
}

fn data_and_stat(body: &[u8]) -> (String, Vec<u8>) {
    let (data, stat) = body.split_at(body.len() - 68);
    (String::from_utf8(data[4..].into()).unwrap(), stat.into())
}

/// Returns the fields of a `Stat` that do not tell times, with the last change relative to a zxid.
fn fields(stat: &[u8], base: i64) -> String {
    let long = |at: usize| i64::from_be_bytes(stat[at..at + 8].try_into().unwrap());
    let int = |at: usize| i32::from_be_bytes(stat[at..at + 4].try_into().unwrap());
    let (czxid, mzxid, ctime) = (long(0), long(8) - base, long(16));
    let (version, cversion, aversion) = (int(32), int(36), int(40));
    format!("{czxid} {mzxid} {ctime} {version} {cversion} {aversion} {} {} {}", long(44), int(56), long(60))
}

impl Trio {
    /// Finds out which servers there are. `addrs` has those of the servers 1 to 3.
    fn new(addrs: [SocketAddr; 3]) -> Self {
        let mode = |addr: &SocketAddr| four_letter::mode(*addr).unwrap();
        let mut numbers = [1, 2, 3];
        numbers.sort_by_key(|number| (mode(&addrs[*number - 1]) == "leader", *number));
        let (config, _) = Eye::new(addrs[0], false).config();
        let text = |number: usize| {
            let name = format!("server.{number}=");
            let line = config.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
            (number.to_string(), line.to_owned())
        };
        Self { addrs: numbers.map(|number| addrs[number - 1]), members: numbers.map(text) }
    }

    /// Returns a text with the numbers and addresses of these servers for their letters: `A` is a participant, `A?` an
    /// observer, and `#A` a number.
    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (letter, (number, line)) in ["A", "B", "C"].into_iter().zip(&self.members) {
            text = text.replace(&format!("#{letter}"), number);
            let observer = line.replace(":participant", ":observer");
            text = text.replace(&format!("{letter}?"), &format!("server.{number}={observer}"));
            text = text.replace(letter, &format!("server.{number}={line}"));
        }
        text
    }

    /// Returns the reverse of [`filled`](Self::filled), in the order of the letters.
    fn named(&self, config: &str) -> Vec<String> {
        let name = |line: &str| {
            for (letter, (number, own)) in ["A", "B", "C"].into_iter().zip(&self.members) {
                let Some(member) = line.strip_prefix(&format!("server.{number}=")) else { continue };
                return letter.to_owned() + if member == own { "" } else { "?" };
            }
            line.to_owned()
        };
        let mut names: Vec<_> =
            config.lines().filter(|line| !line.starts_with("version=")).map(name).collect();
        names.sort();
        names
    }

    fn body(&self, change: Change, version: i64) -> Vec<u8> {
        let text = |text: Option<&str>| match text {
            Some(text) => buffer(self.filled(text).as_bytes()),
            None => vec![0xff; 4],
        };
        let Change { joining, leaving, members, from } = change;
        let from = from.map_or(-1, |offset| version + offset);
        [text(joining), text(leaving), text(members), from.to_be_bytes().into()].concat()
    }

    /// Asks for a change. Returns the answer, as far as it does not tell ports.
    fn ask(&self, eye: &mut Eye, change: Change) -> String {
        let version = version(&eye.config().0);
        let Some((_, code, body)) = eye.ask(RECONFIG, &self.body(change, version)) else {
            return "closed".into();
        };
        if code != 0 {
            return format!("code {code}, {} bytes", body.len());
        }
        let (config, stat) = data_and_stat(&body);
        format!("{:?}, {}", self.named(&config), fields(&stat, self::version(&config)))
    }

    fn modes(&self) -> Vec<Option<String>> {
        self.addrs.iter().map(|addr| four_letter::mode(*addr)).collect()
    }
}

fn version(config: &str) -> i64 {
    i64::from_str_radix(config.lines().last().unwrap().strip_prefix("version=").unwrap(), 16).unwrap()
}

fn real(release: Release) -> RealZooKeeper {
    RealZooKeeper::builder()
        .release(release)
        .servers(3)
        .reconfigurable()
        .jvm_option(format!("-Dzookeeper.DigestAuthenticationProvider.superDigest={SUPER}"))
        .start()
        .unwrap()
}

async fn simulated(compat: Compat) -> ZkMini {
    let builder = ZkMini::builder().servers(3).compat(compat).reconfig_enabled(true);
    builder.super_digest(SUPER).start().await.unwrap()
}

fn of_real(zk: &RealZooKeeper) -> Trio {
    Trio::new([0, 1, 2].map(|index| zk.addr(index)))
}

fn of_simulated(zk: &ZkMini) -> Trio {
    Trio::new([1, 2, 3].map(|number| zk.server(number).unwrap().addr().unwrap()))
}

/// Answers to what every client may ask for, and to what only few may.
fn questions(trio: &Trio) -> Vec<String> {
    let mut seen = Vec::new();
    for addr in trio.addrs {
        let mut eye = Eye::new(addr, false);
        let (config, stat) = eye.config();
        let version = version(&config);
        assert_eq!(version & 0xffff_ffff, 0, "that of the epoch: {config}");
        seen.push(format!("{:?}, {}", trio.named(&config), fields(&stat, version)));
        let (_, code, acl) = eye.ask(GET_ACL, &buffer(NODE.as_bytes())).unwrap();
        seen.push(format!("{code} {:?}", &acl[..acl.len() - 68]));
    }
    for (addr, (number, _)) in trio.addrs.iter().zip(&trio.members) {
        let conf = four_letter::ask(*addr, "conf").unwrap();
        assert!(conf.contains(&format!("clientPort={}\n", addr.port())), "{conf}");
        assert!(conf.contains(&format!("serverId={number}\n")), "{conf}");
        let (keys, members) = conf.split_once("membership: \n").unwrap();
        let keys: Vec<_> = keys.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key).collect();
        seen.push(format!("{keys:?} {:?}", trio.named(members)));
        let peer_type: Vec<_> = conf.lines().filter(|line| line.starts_with("peerType=")).collect();
        seen.push(format!("{peer_type:?}, ends with a line: {}", conf.ends_with('\n')));
        // The first byte of a session's id is the number of the server that gave it.
        let cons = {
            let _eye = Eye::new(*addr, false);
            four_letter::ask(*addr, "cons").unwrap()
        };
        let ids = cons.split("sid=0x").skip(1).map(|rest| rest.split(',').next().unwrap());
        assert!(
            ids.map(|id| i64::from_str_radix(id, 16).unwrap() >> 56).any(|byte| byte.to_string() == *number),
            "{cons}"
        );
    }
    let joining = |text| Change { joining: Some(text), ..Change::default() };
    let leaving = |text| Change { leaving: Some(text), ..Change::default() };
    let members = |text| Change { members: Some(text), ..Change::default() };
    let mut changes = vec![Change::default(), Change { from: Some(0), ..Change::default() }];
    changes.push(Change { from: Some(1), joining: Some("some thing"), ..Change::default() });
    changes.push(Change { leaving: Some("#C"), joining: Some("x"), ..Change::default() });
    changes.push(Change { members: Some("A,B"), joining: Some("x"), ..Change::default() });
    changes.extend(["", ",", "x", "77", " #A ", "#A,#B", "-1"].map(leaving));
    changes.extend(
        [
            "",
            "some thing",
            "A",
            "A?",
            "A,A",
            "server.9=zk9:1:2",
            "server.9=127.0.0.1:1:2;3;4",
            "server.9=127.0.0.1:1:1;3",
            "server.9=127.0.0.1:x:2;3",
            "server.9=127.0.0.1:1:2;x",
            "server.9=127.0.0.1:1:2:boss;3",
            "server.9=127.0.0.1:1:2:OBSERVER;3",
            "server.x=127.0.0.1:1:2;3",
            "9=127.0.0.1:1:2;3",
            "server.9=127.0.0.1:1:2;99999",
            "server.9=127.0.0.1:99999:2;3",
            "server.9=127.0.0.1:1:2|127.0.0.1:4:5;3",
            "server.-9=127.0.0.1:1:2;3",
            "server.9=127.0.0.1:1:2;127.0.0.1:3:4",
            "server.9=[::1]:1:2;[::1]:3",
            "server.9=[::1:1:2;3",
            "server.9=10.0.0.1:1:2;3,server.8=10.0.0.1:1:3;4",
            "server.9=127.0.0.1:1:2;3,server.8=127.0.0.1:1:2;3",
            "server.9=a=b",
            "=",
            "server.9=;",
            "server.9=127.0.0.1:1:2;:",
            "server.6=127.0.0.1:1:2;3,server.7=127.0.0.1:1:2;3,server.8=127.0.0.1:1:2;3",
        ]
        .map(joining),
    );
    changes.extend(
        [
            "",
            "A",
            "A,B",
            "A\nB\r\n# C",
            "A,B?",
            "A?,B?,C?",
            "A?",
            "A,B,C?",
            "A,B,x=y",
            "A,B,server.x=127.0.0.1:1:2",
            "A,B,version=z",
            "A,B,version=7",
            "A,server.8=127.0.0.1:1:2,server.9=127.0.0.1:1:2",
            "server.1=127.0.0.1:1:2,server.2=127.0.0.1:1:2",
            "A,B,clientPort=7",
        ]
        .map(members),
    );
    let mut eye = Eye::new(trio.addrs[0], false);
    for change in changes {
        let before = eye.ask(op::EXISTS, &path_and_watch("/")).unwrap().0;
        let answer = trio.ask(&mut eye, change);
        let after = eye.ask(op::EXISTS, &path_and_watch("/")).unwrap().0;
        seen.push(format!("{change:?}: {answer}, zxids: {}", after - before));
    }
    seen
}

/// Does the same to both. Both answer the same; then roles, and which connections are closed, become the same.
fn same_change(real: &Trio, simulated: &Trio, via: usize, change: Change, keeps_leader: bool) {
    let start = |trio: &Trio| trio.addrs.map(|addr| Eye::new(addr, false));
    let mut idle = [start(real), start(simulated)];
    for eye in idle.iter_mut().flatten() {
        let watch = [buffer(NODE.as_bytes()), vec![1]].concat();
        assert_eq!(eye.ask(op::GET_DATA, &watch).unwrap().1, 0);
    }
    let ask = |trio: &Trio| trio.ask(&mut Eye::new(trio.addrs[via], true), change);
    let answers = [ask(real), ask(simulated)];
    // A real leader that must go, and a server that begins again, may close the connection before they answer.
    if answers[0] != "closed" {
        assert_eq!(answers[0], answers[1], "{change:?}");
    }
    let modes = simulated.modes();
    eventually("the real servers have the same roles", PATIENCE, || real.modes() == modes);
    let mut ends = |eyes: usize| {
        // A server that goes on has sent the event; one that does not, has sent it or not.
        let end = |eye: &mut Eye| {
            let mut events = 0;
            eye.0.request(99, SYNC, &buffer(b"/"));
            loop {
                match eye.0.receive() {
                    None => return "closed".to_owned(),
                    Some(frame) if frame[..4] == [0xff; 4] => events += 1,
                    Some(_) => return format!("open, {events} events"),
                }
            }
        };
        idle[eyes].iter_mut().map(end).collect::<Vec<_>>()
    };
    assert_eq!(ends(0), ends(1), "{change:?}");
    assert_eq!(
        keeps_leader,
        modes.iter().any(|mode| mode.as_deref() == Some("leader")) && ends(1)[0] != "closed"
    );
    let shown = |trio: &Trio| {
        trio.addrs.map(|addr| {
            let (config, stat) = Eye::new(addr, false).config();
            (trio.named(&config), fields(&stat, version(&config)))
        })
    };
    assert_eq!(shown(real), shown(simulated), "{change:?}");
}

async fn behaves_as(release: Release, compat: Compat) {
    let (zk, mini) = (real(release), simulated(compat).await);
    let (real, simulated) = (of_real(&zk), of_simulated(&mini));
    let (expected, ours) = (questions(&real), questions(&simulated));
    for (expected, ours) in expected.iter().zip(&ours) {
        assert_eq!(ours, expected);
    }
    assert_eq!(ours.len(), expected.len());

    let joining = |text| Change { joining: Some(text), ..Change::default() };
    let leaving = |text| Change { leaving: Some(text), ..Change::default() };
    let members = |text| Change { members: Some(text), ..Change::default() };
    let same = |via, change, keeps| same_change(&real, &simulated, via, change, keeps);
    same(2, Change { from: Some(0), ..Change::default() }, true);
    same(2, leaving("#B"), true);
    same(2, joining("B"), true);
    same(2, joining("B?"), true);
    // Nothing listens for others there, as on a real machine where no server runs yet.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let observer: &'static str = format!("server.100=127.0.0.1:1:2:observer;127.0.0.1:{port}").leak();
    same(0, joining(observer), true);
    same(0, leaving("100"), true);
    same(2, leaving("#B"), true);
    same(2, members("A,C,B?"), true);
    same(0, joining("B"), true);
    // The leader goes, and comes back without its lead.
    same(0, leaving("#C"), false);
    same(0, joining("C"), true);
    same(0, joining("C?"), true);
    assert_eq!(mini.servers().iter().filter(|info| info.role == Role::Leader).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_change_as_in_apache_zookeeper_3_9() {
    behaves_as(Release::V3_9, Compat::V3_9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_change_as_in_apache_zookeeper_3_8() {
    behaves_as(Release::V3_8, Compat::V3_8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_reconfig_enabled_the_configuration_is_shown_and_stays() {
    let zk = RealZooKeeper::builder().servers(3).client_addresses().start().unwrap();
    let mini = ZkMini::builder().servers(3).start().await.unwrap();
    let seen = |trio: &Trio| {
        let mut eye = Eye::new(trio.addrs[1], false);
        let (config, stat) = eye.config();
        let asked = eye.ask(RECONFIG, &trio.body(Change::default(), 0)).unwrap().1;
        (trio.named(&config), version(&config), fields(&stat, 0), asked)
    };
    assert_eq!(seen(&of_simulated(&mini)), seen(&of_real(&zk)));
}
