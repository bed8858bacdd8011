//! Random stories of three servers and an observer that lag, stop, are cut off, elect leaders and get other members, and of
//! clients that move between them.
//!
//! Whatever happens, every client sees what ZooKeeper promises: each reply shows the state of exactly one moment, its zxid;
//! no client goes back in time, also when it moves; it sees its own writes; a watch fires once, for the first change behind
//! it, before any reply that knows of this change; after a `sync` it sees all that was there before. In the end, when
//! everything is healed, nothing is unanswered.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;
use zk_mini::core::{Config, ConnId, Core, Input, Lag, ServerSetup, Txn};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

/// The last one is an observer.
const SERVERS: usize = 4;
const CLIENTS: usize = 3;
const PATHS: [&str; 4] = ["/a", "/b", "/a/x", "/a/y"];

#[derive(Clone, Debug)]
enum Step {
    Request(usize, Ask),
    /// Leaves its server for another one, or for the same again.
    Move(usize, usize),
    /// Goes to another server without leaving its own.
    Slip(usize, usize),
    Lag(usize, Lag),
    Stop(usize),
    Start(usize),
    Partition(usize),
    Heal(usize),
    Freeze(usize),
    Thaw(usize),
    Lead(usize),
    Quorum(bool),
    Expire(usize),
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Create(usize, bool),
    Set(usize),
    Delete(usize),
    Exists(usize, bool),
    Children(usize, bool),
    Sync,
    /// Makes a server an observer, gives it a vote, or lets it leave. The last one is new.
    Reconfig(usize, Option<bool>),
}

fn ask() -> impl Strategy<Value = Ask> {
    let path = || 0..PATHS.len();
    prop_oneof![
        4 => (path(), any::<bool>()).prop_map(|(path, ephemeral)| Ask::Create(path, ephemeral)),
        2 => path().prop_map(Ask::Set),
        2 => path().prop_map(Ask::Delete),
        4 => (path(), any::<bool>()).prop_map(|(path, watch)| Ask::Exists(path, watch)),
        3 => (path(), any::<bool>()).prop_map(|(path, watch)| Ask::Children(path, watch)),
        1 => Just(Ask::Sync),
        1 => (1..SERVERS + 2, any::<Option<bool>>()).prop_map(|(number, votes)| Ask::Reconfig(number, votes)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let server = || 0..SERVERS;
    let lag = prop_oneof![
        1 => Just(Lag::None),
        2 => (0..4_u64).prop_map(Lag::Transactions),
        2 => (1..1_500_u64).prop_map(|millis| Lag::Time(Millis(millis))),
    ];
    prop_oneof![
        40 => (0..CLIENTS, ask()).prop_map(|(who, ask)| Step::Request(who, ask)),
        3 => (0..CLIENTS, server()).prop_map(|(who, server)| Step::Move(who, server)),
        2 => (0..CLIENTS, server()).prop_map(|(who, server)| Step::Slip(who, server)),
        5 => (server(), lag).prop_map(|(server, lag)| Step::Lag(server, lag)),
        1 => server().prop_map(Step::Stop),
        2 => server().prop_map(Step::Start),
        1 => server().prop_map(Step::Partition),
        2 => server().prop_map(Step::Heal),
        1 => server().prop_map(Step::Freeze),
        2 => server().prop_map(Step::Thaw),
        1 => server().prop_map(Step::Lead),
        1 => any::<bool>().prop_map(Step::Quorum),
        1 => (0..CLIENTS).prop_map(Step::Expire),
        6 => (0..800_u64).prop_map(Step::Pass),
    ]
}

/// Public state of a node.
type Seen = Option<(Stat, Vec<ByteString>)>;

/// The state after every transaction, from a single server that has replayed it.
struct Past {
    replayed: Core,
    states: BTreeMap<i64, BTreeMap<&'static str, Seen>>,
    taken: usize,
}

impl Past {
    fn new() -> Self {
        let replayed = Core::new(Config::default());
        let states = BTreeMap::from([(0, Self::state(&replayed))]);
        Self { replayed, states, taken: 0 }
    }

    fn state(core: &Core) -> BTreeMap<&'static str, Seen> {
        let seen = |path| Some((core.node(path)?.stat, core.children(path)?));
        PATHS.into_iter().map(|path| (path, seen(path))).collect()
    }

    fn learn(&mut self, t: &Driver) {
        for txn in &t.txns[self.taken..] {
            let txn: Txn = txn.clone();
            let zxid = txn.zxid.0;
            self.replayed.replay(t.now, txn);
            self.states.insert(zxid, Self::state(&self.replayed));
        }
        self.taken = t.txns.len();
    }

    fn at(&self, zxid: i64, path: &str) -> &Seen {
        &self.states.range(..=zxid).next_back().expect("a first state").1[path]
    }

    /// Returns the first change behind `after` that a watch is about.
    fn change(&self, after: i64, path: &str, of_children: bool) -> Option<i64> {
        let mark = |seen: &Seen| {
            let mark = |(stat, _): &(Stat, Vec<ByteString>)| {
                if of_children { (stat.czxid, stat.pzxid) } else { (stat.czxid, stat.mzxid) }
            };
            seen.as_ref().map(mark)
        };
        let mut now = mark(self.at(after, path));
        for (zxid, state) in self.states.range(after + 1..) {
            let next = mark(&state[path]);
            if next != now {
                return Some(*zxid);
            }
            now = next;
        }
        None
    }
}

struct Client {
    conn: ConnId,
    credentials: Option<Credentials>,
    /// Last transaction that it has heard of.
    seen: i64,
    /// Requests without an answer on this connection, with the last transaction of all when they were sent.
    asked: VecDeque<(Ask, i64)>,
    /// Watches of this connection: path, of children, and the moment behind which they fire.
    watches: Vec<(&'static str, bool, i64)>,
    /// Messages that were looked at.
    heard: usize,
}

struct World {
    t: Driver,
    past: Past,
    clients: Vec<Client>,
}

impl World {
    fn new() -> Self {
        let setup = |server| ServerSetup { is_observer: server == SERVERS - 1, ..ServerSetup::default() };
        let config = Config { reconfig_enabled: true, skip_acl: true, ..Config::default() };
        let t = Driver::ensemble_of(config, &(0..SERVERS).map(setup).collect::<Vec<_>>());
        let mut world = Self { t, past: Past::new(), clients: Vec::new() };
        for server in 0..CLIENTS {
            let conn = world.t.accept_at(Some(server % SERVERS));
            world.clients.push(Client {
                conn,
                credentials: None,
                seen: 0,
                asked: VecDeque::new(),
                watches: Vec::new(),
                heard: 0,
            });
            world.greet(server);
        }
        world.look();
        world
    }

    /// Sends the handshake of a new connection.
    fn greet(&mut self, who: usize) {
        let client = &mut self.clients[who];
        (client.heard, client.asked, client.watches) = (0, VecDeque::new(), Vec::new());
        let credentials = client.credentials.clone();
        let request = ConnectRequest {
            session_id: credentials.as_ref().map_or(SessionId::NONE, |own| own.id),
            password: credentials.and_then(|own| own.password),
            last_zxid_seen: Zxid(client.seen),
            ..connect_request(40_000)
        };
        let conn = client.conn;
        self.t.frame(conn, encode(&request));
    }

    fn take(&mut self, step: &Step) {
        let now = self.t.now;
        match *step {
            Step::Request(who, ask) => self.ask(who, ask),
            Step::Move(who, server) | Step::Slip(who, server) => {
                if self.t.core.is_server_stopped(server) {
                    return;
                }
                let conn = self.clients[who].conn;
                if matches!(step, Step::Move(..)) && !self.t.is_closed(conn) {
                    self.t.lose(conn);
                }
                self.clients[who].conn = self.t.accept_at(Some(server));
                self.greet(who);
            }
            Step::Lag(server, lag) => {
                // A leader refuses.
                let _ = self.t.core.lag_server(server, lag);
            }
            Step::Stop(server) => self.t.core.stop_server(now, server),
            Step::Start(server) => self.t.core.start_server(now, server),
            Step::Partition(server) => self.t.core.partition_server(now, server),
            Step::Heal(server) => self.t.core.heal_server(now, server),
            Step::Freeze(server) => self.t.core.freeze_server(server),
            Step::Thaw(server) => self.t.core.thaw_server(now, server),
            Step::Lead(server) => {
                // One that takes no part refuses.
                let _ = self.t.core.elect_server(now, server);
            }
            Step::Quorum(lost) => self.t.core.set_quorum_lost(now, lost),
            Step::Expire(who) => {
                if let Some(Credentials { id, .. }) = self.clients[who].credentials {
                    self.t.input(Input::Expire { session: id });
                }
            }
            Step::Pass(span) => self.t.advance(span),
        }
        self.t.drain();
        self.look();
    }

    fn ask(&mut self, who: usize, ask: Ask) {
        let client = &mut self.clients[who];
        let has_session = matches!(self.t.heard(client.conn).first(), Some(Heard::Handshake(_)));
        if !has_session || self.t.is_closed(client.conn) {
            return;
        }
        client.asked.push_back((ask, self.t.core.last_zxid().0));
        let (conn, data) = (client.conn, self.t.txns.len().to_string());
        match ask {
            Ask::Create(path, ephemeral) => {
                let mode = if ephemeral { CreateMode::Ephemeral } else { CreateMode::Persistent };
                self.t.send(conn, &create_with(PATHS[path], data.as_bytes(), mode));
            }
            Ask::Set(path) => self.t.send(conn, &set_data(PATHS[path], data.as_bytes(), -1)),
            Ask::Delete(path) => self.t.send(conn, &delete(PATHS[path])),
            Ask::Exists(path, watch) => self.t.send(conn, &exists(PATHS[path], watch)),
            Ask::Children(path, watch) => {
                self.t.send(conn, &GetChildren2 { path: PATHS[path].into(), watch });
            }
            Ask::Sync => self.t.send(conn, &Sync { path: Some("/".into()) }),
            Ask::Reconfig(number, votes) => {
                let role = votes.map(|votes| if votes { "participant" } else { "observer" });
                let (quorum, election) = (2887 + number, 3887 + number);
                let joins = |role| format!("server.{number}=127.0.0.1:{quorum}:{election}:{role};{number}");
                self.t.send(
                    conn,
                    &Reconfig {
                        joining_servers: role.map(|role| joins(role).into()),
                        leaving_servers: role.is_none().then(|| number.to_string().into()),
                        new_members: None,
                        current_config_id: Zxid(-1),
                    },
                );
            }
        }
    }

    /// Looks at everything that clients have heard since the last time.
    fn look(&mut self) {
        self.past.learn(&self.t);
        let Self { t, past, clients } = self;
        for client in clients {
            for heard in &t.heard(client.conn)[client.heard..] {
                client.hear(heard, past);
            }
            client.heard = t.heard(client.conn).len();
        }
    }

    /// Heals everything, and lets each client come back.
    fn end(&mut self) {
        self.t.core.heal_ensemble(self.t.now);
        self.t.drain();
        self.look();
        for who in 0..CLIENTS {
            let conn = self.clients[who].conn;
            if !self.t.is_closed(conn) {
                assert!(
                    self.clients[who].asked.is_empty(),
                    "client {who} waits for {:?}",
                    self.clients[who].asked
                );
            }
            self.clients[who].conn = self.t.accept_at(Some(who % SERVERS));
            self.greet(who);
            self.look();
            let conn = self.clients[who].conn;
            assert!(
                matches!(self.t.heard(conn).first(), Some(Heard::Handshake(_))),
                "client {who} is taken back"
            );
            if self.t.is_closed(conn) {
                continue;
            }
            self.ask(who, Ask::Exists(0, false));
            self.look();
            assert!(self.clients[who].asked.is_empty());
            assert_eq!(self.clients[who].seen, self.t.core.last_zxid().0, "and sees the present");
        }
        assert!(self.t.core.servers().iter().all(|info| info.last_zxid == self.t.core.last_zxid()));
        assert!(self.t.core.servers().iter().all(|info| info.behind == 0));
        let nodes = |core| {
            let mut nodes = invariants::nodes(core);
            // The configuration that an ensemble begins with is no transaction.
            nodes.remove("/zookeeper/config");
            nodes
        };
        assert_eq!(nodes(&self.t.core), nodes(&self.past.replayed), "one history");
    }
}

impl Client {
    fn hear(&mut self, heard: &Heard, past: &Past) {
        match heard {
            Heard::Handshake(response) if response.session_id == SessionId::NONE => {
                // Its session has ended: the next one begins anew, and knows what it has seen.
                self.credentials = None;
            }
            Heard::Handshake(response) => {
                let (id, password) = (response.session_id, response.password.clone());
                self.credentials = Some(Credentials { id, password });
            }
            Heard::Closed => {}
            Heard::Event { kind, path, zxid } => {
                let of_children = *kind == EventType::NODE_CHILDREN_CHANGED;
                let is_it = |(watched, children, after): &&(&str, bool, i64)| {
                    let kind_fits = *kind == EventType::NODE_DELETED || *children == of_children;
                    *watched == path && kind_fits && past.change(*after, watched, *children) == Some(*zxid)
                };
                assert!(self.watches.iter().any(|watch| is_it(&watch)), "{heard:?} is of {:?}", self.watches);
                assert!(*zxid > self.seen, "before any reply that knows of it");
                // A deletion ends both kinds.
                self.watches.retain(|watch| !is_it(&watch));
                self.seen = self.seen.max(*zxid - 1);
            }
            Heard::Reply { zxid, err, body, .. } => {
                let (ask, last) = self.asked.pop_front().expect("a question");
                self.reply(ask, last, *zxid, *err, body, past);
            }
        }
    }

    fn reply(&mut self, ask: Ask, last: i64, zxid: i64, err: ErrorCode, body: &Bytes, past: &Past) {
        assert!(zxid >= self.seen, "{ask:?} goes back from {} to {zxid}", self.seen);
        for (path, children, after) in &self.watches {
            let fires = past.change(*after, path, *children);
            assert!(
                fires.is_none_or(|at| at > zxid),
                "{ask:?} at {zxid} overtakes the event of {path} at {fires:?}"
            );
        }
        self.seen = zxid;
        match ask {
            Ask::Exists(path, watch) => {
                let state = past.at(zxid, PATHS[path]);
                match err {
                    ErrorCode::OK => {
                        let response: StatResponse = decode_all(body.clone()).unwrap();
                        assert_eq!(Some(response.stat), state.as_ref().map(|(stat, _)| *stat), "at {zxid}");
                    }
                    err => assert_eq!((err, state), (ErrorCode::NO_NODE, &None), "at {zxid}"),
                }
                self.watches.extend(watch.then_some((PATHS[path], false, zxid)));
            }
            Ask::Children(path, watch) => {
                let state = past.at(zxid, PATHS[path]);
                if err == ErrorCode::OK {
                    let response: GetChildren2Response = decode_all(body.clone()).unwrap();
                    assert_eq!(Some((response.stat, response.children)), *state, "at {zxid}");
                    self.watches.extend(watch.then_some((PATHS[path], true, zxid)));
                } else {
                    assert_eq!((err, state), (ErrorCode::NO_NODE, &None), "at {zxid}");
                }
            }
            Ask::Sync => assert!(zxid >= last, "all that was there before"),
            Ask::Create(path, _) if err == ErrorCode::OK => {
                assert_eq!(past.at(zxid, PATHS[path]).as_ref().map(|(stat, _)| stat.czxid.0), Some(zxid));
            }
            Ask::Set(path) if err == ErrorCode::OK => {
                assert_eq!(past.at(zxid, PATHS[path]).as_ref().map(|(stat, _)| stat.mzxid.0), Some(zxid));
            }
            Ask::Delete(path) if err == ErrorCode::OK => {
                assert!(past.at(zxid, PATHS[path]).is_none() && past.at(zxid - 1, PATHS[path]).is_some());
            }
            Ask::Reconfig(..) if err == ErrorCode::OK => {
                let response: GetDataResponse = decode_all(body.clone()).unwrap();
                assert_eq!(response.stat.mzxid.0, zxid);
                assert!(response.data.unwrap().ends_with(format!("version={zxid:x}").as_bytes()));
            }
            Ask::Create(..) | Ask::Set(_) | Ask::Delete(_) | Ask::Reconfig(..) => {
                assert!(zxid > last, "a refused write, too, is a transaction");
            }
        }
    }
}

fn tell(steps: &[Step]) -> World {
    let mut world = World::new();
    for step in steps {
        world.take(step);
    }
    world.end();
    world
}

proptest! {
    #[test]
    fn every_client_of_an_ensemble_sees_what_zookeeper_promises(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        tell(&steps);
    }

    #[test]
    fn the_same_story_of_an_ensemble_is_the_same_run(steps in proptest::collection::vec(step(), 1..80)) {
        let (one, other) = (tell(&steps), tell(&steps));
        prop_assert_eq!(&one.t.txns, &other.t.txns);
        for (one_of, other_of) in one.clients.iter().zip(&other.clients) {
            prop_assert_eq!(one.t.heard(one_of.conn), other.t.heard(other_of.conn));
        }
    }
}
