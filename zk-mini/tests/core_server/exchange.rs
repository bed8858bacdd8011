//! Random histories with restarts, resets and restores: the state is that of the model, numbers never repeat, and no
//! client is stuck.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use zk_mini::core::{Config, ConnId, Core, Image, NewNode, NodeKind, Replacement};
use zk_wire::*;

use crate::driver::*;
use crate::invariants;

const CLIENTS: usize = 3;
const PATHS: [&str; 4] = ["/a", "/b", "/a/c", "/e"];

#[derive(Clone, Copy, Debug)]
enum Act {
    Create(usize, usize, bool),
    Set(usize, usize),
    Delete(usize, usize),
    Direct(usize),
    Watch(usize, usize),
    WatchChildren(usize, usize),
    Lose(usize),
    Reconnect(usize),
    Close(usize),
    Advance(u64),
    Restart,
    Down(u64),
    Reset,
    Snapshot,
    Restore(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let (client, path) = (0..CLIENTS, 0..PATHS.len());
    prop_oneof![
        4 => (client.clone(), path.clone(), any::<bool>()).prop_map(|(c, p, e)| Act::Create(c, p, e)),
        3 => (client.clone(), path.clone()).prop_map(|(c, p)| Act::Set(c, p)),
        2 => (client.clone(), path.clone()).prop_map(|(c, p)| Act::Delete(c, p)),
        2 => path.clone().prop_map(Act::Direct),
        4 => (client.clone(), path.clone()).prop_map(|(c, p)| Act::Watch(c, p)),
        3 => (client.clone(), path).prop_map(|(c, p)| Act::WatchChildren(c, p)),
        1 => client.clone().prop_map(Act::Lose),
        4 => client.clone().prop_map(Act::Reconnect),
        1 => client.prop_map(Act::Close),
        1 => (0..9_000_u64).prop_map(Act::Advance),
        1 => Just(Act::Restart),
        1 => (0..90_000_u64).prop_map(Act::Down),
        1 => Just(Act::Reset),
        2 => Just(Act::Snapshot),
        2 => (0..4_usize).prop_map(Act::Restore),
    ]
}

/// Knowledge of a client: what it has read, and will be told when that changes.
#[derive(Default)]
struct Client {
    conn: Option<ConnId>,
    credentials: Option<Credentials>,
    seen: i64,
    data: BTreeMap<&'static str, Option<Vec<u8>>>,
    children: BTreeMap<&'static str, Vec<String>>,
}

/// Nodes as the model has them: data and owner.
type Tree = BTreeMap<String, (Vec<u8>, SessionId)>;

struct World {
    t: Driver,
    clients: Vec<Client>,
    tree: Tree,
    snapshots: Vec<(Image, Tree)>,
    given: BTreeSet<SessionId>,
    last: Zxid,
    count: u32,
}

impl World {
    fn new() -> Self {
        let config = Config { seed: 7, tick: Millis(1_000), digests: true, ..Config::default() };
        Self {
            t: Driver::with(config),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            tree: Tree::new(),
            snapshots: Vec::new(),
            given: BTreeSet::new(),
            last: Zxid(0),
            count: 0,
        }
    }

    fn act(&mut self, act: Act) {
        self.count += 1;
        let data = format!("{}", self.count).into_bytes();
        match act {
            Act::Create(client, path, ephemeral) => {
                let Some(conn) = self.connected(client) else { return };
                let mode = if ephemeral { CreateMode::Ephemeral } else { CreateMode::Persistent };
                if self.request(client, conn, &create_with(PATHS[path], &data, mode)).is_ok() {
                    let id = self.clients[client].credentials.as_ref().unwrap().id;
                    let owner = if ephemeral { id } else { SessionId::NONE };
                    self.tree.insert(PATHS[path].into(), (data, owner));
                }
            }
            Act::Set(client, path) => {
                let Some(conn) = self.connected(client) else { return };
                let (path, version) = (PATHS[path], Expected::Any);
                let set = SetData { path: Some(path.into()), data: Some(data.clone().into()), version };
                if self.request(client, conn, &set).is_ok() {
                    self.tree.get_mut(path).unwrap().0 = data;
                }
            }
            Act::Delete(client, path) => {
                let Some(conn) = self.connected(client) else { return };
                let delete = Delete { path: PATHS[path].into(), version: Expected::Any };
                if self.request(client, conn, &delete).is_ok() {
                    self.tree.remove(PATHS[path]);
                }
            }
            Act::Direct(path) => {
                let (path, acl) = (PATHS[path], [Acl::open()]);
                let new = NewNode {
                    path,
                    data: Some(&data),
                    acl: &acl,
                    kind: NodeKind::Persistent,
                    sequential: false,
                    parents: true,
                };
                let parent = path::split(path).unwrap().0;
                if self.t.core.create_directly(self.t.now, &new).is_ok() {
                    if parent != "/" {
                        self.tree.entry(parent.into()).or_insert((Vec::new(), SessionId::NONE));
                    }
                    self.tree.insert(path.into(), (data, SessionId::NONE));
                } else if self.t.core.set_directly(self.t.now, path, Some(&data), Expected::Any).is_ok() {
                    self.tree.get_mut(path).unwrap().0 = data;
                }
                self.t.drain();
            }
            Act::Watch(client, path) => {
                let Some(conn) = self.connected(client) else { return };
                let path = PATHS[path];
                let read = self.request(client, conn, &GetData { path: path.into(), watch: true });
                let found = match read {
                    Ok(found) => Some(found.data.unwrap_or_default().to_vec()),
                    // Absence is watched by another request.
                    Err(_) => {
                        self.request(client, conn, &Exists { path: path.into(), watch: true }).unwrap_err();
                        None
                    }
                };
                self.clients[client].data.insert(path, found);
            }
            Act::WatchChildren(client, path) => {
                let Some(conn) = self.connected(client) else { return };
                let path = PATHS[path];
                if let Ok(found) = self.request(client, conn, &GetChildren { path: path.into(), watch: true })
                {
                    let names = found.children.iter().map(ToString::to_string).collect();
                    self.clients[client].children.insert(path, names);
                }
            }
            Act::Lose(client) => {
                if let Some(conn) = self.connected(client) {
                    self.t.lose(conn);
                    self.clients[client].conn = None;
                }
            }
            Act::Reconnect(client) => self.reconnect(client),
            Act::Close(client) => {
                if let Some(conn) = self.connected(client) {
                    let id = self.clients[client].credentials.as_ref().unwrap().id;
                    self.t.raw(conn, OpCode::CLOSE_SESSION, &[]);
                    self.clients[client] = Client::default();
                    self.tree.retain(|_, (_, owner)| *owner != id);
                }
            }
            Act::Advance(span) => self.t.advance(span),
            Act::Restart => {
                self.t.core.restart(self.t.now);
                self.t.drain();
            }
            Act::Down(span) => {
                self.t.core.take_down();
                self.t.drain();
                let sessions = self.t.core.session_count();
                self.t.advance(span);
                assert_eq!(self.t.core.session_count(), sessions, "nothing expires");
                self.t.core.bring_up(self.t.now);
            }
            Act::Reset => {
                let empty = Core::new(self.t.core.config().clone());
                self.t.core.replace(self.t.now, empty, Replacement::Reset);
                self.t.drain();
                self.tree.clear();
            }
            Act::Snapshot => self.snapshots.push((self.t.core.image(), self.tree.clone())),
            Act::Restore(which) => {
                let Some((image, tree)) = self.snapshots.iter().rev().nth(which) else { return };
                let config = self.t.core.config().clone();
                let next = Core::of_image(config, self.t.now, image.clone());
                self.tree = tree.clone();
                self.t.core.replace(self.t.now, next, Replacement::Restored);
                self.t.drain();
            }
        }
    }

    /// Returns the connection of a client, if it is open.
    fn connected(&mut self, client: usize) -> Option<ConnId> {
        let conn = self.clients[client].conn?;
        self.hear(client, conn);
        if self.t.is_closed(conn) {
            self.clients[client].conn = None;
        }
        self.clients[client].conn
    }

    fn request<R: Request>(
        &mut self,
        client: usize,
        conn: ConnId,
        request: &R,
    ) -> Result<R::Response, ErrorCode> {
        let (zxid, err, body) = self.t.reply(conn, request);
        self.clients[client].seen = zxid;
        self.hear(client, conn);
        err.into_result()?;
        Ok(decode_all(body).unwrap())
    }

    /// Forgets what the client was told to have changed.
    fn hear(&mut self, client: usize, conn: ConnId) {
        for (kind, path) in self.t.events(conn) {
            let known = &mut self.clients[client];
            if kind == EventType::NODE_CHILDREN_CHANGED || kind == EventType::NODE_DELETED {
                known.children.retain(|watched, _| *watched != path);
            }
            if kind != EventType::NODE_CHILDREN_CHANGED {
                known.data.retain(|watched, _| *watched != path);
            }
        }
    }

    /// Connects as clients do: with the session that it has, or else with a new one.
    fn reconnect(&mut self, client: usize) {
        if self.connected(client).is_some() {
            return;
        }
        let seen = self.clients[client].seen;
        let conn = self.t.accept();
        self.clients[client].conn = Some(conn);
        if let Some(Credentials { id, password }) = self.clients[client].credentials.clone() {
            let request = ConnectRequest {
                last_zxid_seen: Zxid(seen),
                session_id: id,
                password,
                ..connect_request(8_000)
            };
            let answer = self.t.handshake(conn, &request);
            if answer.session_id == id {
                return self.watch_again(client, conn);
            }
            assert_eq!(answer.session_id, SessionId::NONE, "it is told that the session has expired");
            self.clients[client] = Client { seen, ..Client::default() };
            return self.reconnect(client);
        }
        let request = ConnectRequest { last_zxid_seen: Zxid(seen), ..connect_request(8_000) };
        let answer = self.t.handshake(conn, &request);
        assert!(self.given.insert(answer.session_id), "{} is given twice", answer.session_id);
        self.clients[client].credentials = Some(self.t.credentials(conn));
    }

    fn watch_again(&mut self, client: usize, conn: ConnId) {
        let known = &self.clients[client];
        let paths = |exists: bool| {
            let watched = known.data.iter().filter(|(_, data)| data.is_some() == exists);
            watched.map(|(path, _)| ByteString::from(*path)).collect::<Vec<_>>()
        };
        let request = SetWatches {
            relative_zxid: Zxid(known.seen),
            data_watches: paths(true),
            exist_watches: paths(false),
            child_watches: known.children.keys().map(|path| ByteString::from(*path)).collect(),
        };
        self.request(client, conn, &request).unwrap();
    }

    fn check(&mut self) {
        invariants::check(&self.t.core);
        // Sessions expire, and their nodes with them.
        let alive: BTreeSet<_> = self.t.core.sessions().iter().map(|session| session.id).collect();
        self.tree.retain(|_, (_, owner)| *owner == SessionId::NONE || alive.contains(owner));
        let nodes = invariants::nodes(&self.t.core).into_iter().filter(|(path, _)| PATHS.contains(&&**path));
        let nodes: Tree = nodes
            .map(|(path, node)| (path, (node.data.unwrap_or_default().to_vec(), node.stat.ephemeral_owner)))
            .collect();
        assert_eq!(nodes, self.tree);
        assert!(self.t.core.last_zxid() >= self.last, "zxids go on");
        self.last = self.t.core.last_zxid();
    }

    /// Everything that a client believes, and was not told to be otherwise, is so.
    fn check_beliefs(&mut self) {
        for client in 0..CLIENTS {
            self.reconnect(client);
            let conn = self.connected(client).expect("it can connect");
            self.hear(client, conn);
            let known = &self.clients[client];
            for (path, believed) in &known.data {
                let is = self.t.core.node(path).map(|node| node.data.unwrap_or_default().to_vec());
                assert_eq!(&is, believed, "{path}");
            }
            for (path, believed) in &known.children {
                let is: Option<Vec<_>> =
                    self.t.core.children(path).map(|names| names.iter().map(ToString::to_string).collect());
                assert_eq!(is.as_ref(), Some(believed), "below {path}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_client_is_stuck_whatever_happens_to_the_server(acts in prop::collection::vec(act(), 1..60)) {
        let mut world = World::new();
        (0..CLIENTS).for_each(|client| world.reconnect(client));
        for act in acts {
            world.act(act);
            world.check();
        }
        world.check_beliefs();
    }
}
