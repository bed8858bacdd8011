//! Simplest correct server: one map, and everything else computed from it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zk_wire::*;

/// Operation on so few paths that they often collide.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Create { path: String, data: Vec<u8>, mode: CreateMode },
    Delete { path: String, version: i32 },
    SetData { path: String, data: Vec<u8>, version: i32 },
    Check { path: String, version: i32 },
    Exists { path: String, watch: bool },
    GetData { path: String, watch: bool },
    GetChildren { path: String, watch: bool },
    Multi(Vec<Self>),
    CloseSession,
}

/// Reply without the zxid of its header.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ModelReply {
    Error(ErrorCode),
    Done,
    Path(String),
    Stat(Stat),
    Data(Bytes, Stat),
    Children(Vec<String>),
    Multi(Vec<Self>),
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    data: Vec<u8>,
    owner: SessionId,
    czxid: Zxid,
    mzxid: Zxid,
    pzxid: Zxid,
    ctime: UnixMillis,
    mtime: UnixMillis,
    version: i32,
    created: i32,
}

/// Session by its index in the test; watches belong to it.
pub(crate) type Who = usize;

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    nodes: BTreeMap<String, Node>,
    data_watches: BTreeSet<(String, Who)>,
    child_watches: BTreeSet<(String, Who)>,
    pub(crate) zxid: i64,
    pub(crate) now: UnixMillis,
    pub(crate) events: BTreeMap<Who, Vec<(EventType, String)>>,
}

impl Model {
    pub(crate) fn new() -> Self {
        let mut model = Self::default();
        let root = Node {
            data: vec![],
            owner: SessionId::NONE,
            czxid: Zxid(0),
            mzxid: Zxid(0),
            pzxid: Zxid(0),
            ctime: UnixMillis(0),
            mtime: UnixMillis(0),
            version: 0,
            created: 0,
        };
        for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
            model.nodes.insert(path.into(), root.clone());
        }
        model
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    pub(crate) fn new_session(&mut self) {
        self.zxid += 1;
    }

    /// Closes a connection and removes its watches.
    pub(crate) fn lose(&mut self, who: Who) {
        self.data_watches.retain(|(_, watcher)| *watcher != who);
        self.child_watches.retain(|(_, watcher)| *watcher != who);
    }

    pub(crate) fn run(&mut self, who: Who, session: SessionId, op: &Op) -> ModelReply {
        match op {
            Op::Exists { path, watch } => {
                if *watch {
                    self.data_watches.insert((path.clone(), who));
                }
                if self.nodes.contains_key(path) {
                    ModelReply::Stat(self.stat(path))
                } else {
                    ModelReply::Error(ErrorCode::NO_NODE)
                }
            }
            Op::GetData { path, .. } | Op::GetChildren { path, .. } if !self.nodes.contains_key(path) => {
                ModelReply::Error(ErrorCode::NO_NODE)
            }
            Op::GetData { path, watch } => {
                if *watch {
                    self.data_watches.insert((path.clone(), who));
                }
                ModelReply::Data(self.nodes[path].data.clone().into(), self.stat(path))
            }
            Op::GetChildren { path, watch } => {
                if *watch {
                    self.child_watches.insert((path.clone(), who));
                }
                ModelReply::Children(self.children(path))
            }
            Op::Multi(ops) => {
                self.zxid += 1;
                self.multi(session, ops)
            }
            Op::CloseSession => {
                self.zxid += 1;
                let own: Vec<_> = self
                    .nodes
                    .iter()
                    .filter(|(_, node)| node.owner == session)
                    .map(|(path, _)| path.clone())
                    .collect();
                for path in own {
                    self.remove(&path);
                }
                self.lose(who);
                ModelReply::Done
            }
            write => {
                self.zxid += 1;
                self.write(session, write).unwrap_or_else(ModelReply::Error)
            }
        }
    }

    fn multi(&mut self, session: SessionId, ops: &[Op]) -> ModelReply {
        let before = self.clone();
        let mut outcomes = Vec::new();
        for op in ops {
            match self.write(session, op) {
                Ok(outcome) => outcomes.push(outcome),
                Err(code) => {
                    let done = outcomes.len();
                    *self = before;
                    let code_of = |i: usize| match i.cmp(&done) {
                        std::cmp::Ordering::Less => ErrorCode::OK,
                        std::cmp::Ordering::Equal => code,
                        std::cmp::Ordering::Greater => ErrorCode::RUNTIME_INCONSISTENCY,
                    };
                    return ModelReply::Multi(
                        (0..ops.len()).map(|i| ModelReply::Error(code_of(i))).collect(),
                    );
                }
            }
        }
        ModelReply::Multi(outcomes)
    }

    fn write(&mut self, session: SessionId, op: &Op) -> Result<ModelReply, ErrorCode> {
        match op {
            Op::Create { path, data, mode } => self.create(session, path, data, *mode),
            Op::Delete { path, version } => {
                let node = self.nodes.get(path).ok_or(ErrorCode::NO_NODE)?;
                expect(node.version, *version)?;
                if !self.children(path).is_empty() {
                    return Err(ErrorCode::NOT_EMPTY);
                }
                self.remove(path);
                Ok(ModelReply::Done)
            }
            Op::SetData { path, data, version } => {
                let (zxid, now) = (Zxid(self.zxid), self.now);
                let node = self.nodes.get_mut(path).ok_or(ErrorCode::NO_NODE)?;
                expect(node.version, *version)?;
                node.data.clone_from(data);
                node.version += 1;
                node.mzxid = zxid;
                node.mtime = now;
                let stat = self.stat(path);
                self.fire_data(EventType::NODE_DATA_CHANGED, path);
                Ok(ModelReply::Stat(stat))
            }
            Op::Check { path, version } => {
                let node = self.nodes.get(path).ok_or(ErrorCode::NO_NODE)?;
                expect(node.version, *version)?;
                Ok(ModelReply::Done)
            }
            other => panic!("{other:?} does not write"),
        }
    }

    fn create(
        &mut self,
        session: SessionId,
        path: &str,
        data: &[u8],
        mode: CreateMode,
    ) -> Result<ModelReply, ErrorCode> {
        let (parent_path, _) = path::split(path).expect("the root is not created");
        let parent = self.nodes.get(parent_path).ok_or(ErrorCode::NO_NODE)?;
        let path = if mode.is_sequential() { format!("{path}{:010}", parent.created) } else { path.into() };
        if self.nodes.contains_key(&path) {
            return Err(ErrorCode::NODE_EXISTS);
        }
        if parent.owner != SessionId::NONE {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let zxid = Zxid(self.zxid);
        let parent = self.nodes.get_mut(parent_path).expect("found above");
        parent.created += 1;
        parent.pzxid = zxid;
        let node = Node {
            data: data.to_vec(),
            owner: if mode.is_ephemeral() { session } else { SessionId::NONE },
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: self.now,
            mtime: self.now,
            version: 0,
            created: 0,
        };
        self.nodes.insert(path.clone(), node);
        self.fire_data(EventType::NODE_CREATED, &path);
        self.fire_children(parent_path);
        Ok(ModelReply::Path(path))
    }

    fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        let (parent, _) = path::split(path).expect("the root stays");
        let zxid = Zxid(self.zxid);
        self.nodes.get_mut(parent).expect("parents outlive children").pzxid = zxid;
        let told: BTreeSet<_> = take(&mut self.data_watches, path)
            .into_iter()
            .chain(take(&mut self.child_watches, path))
            .collect();
        for who in told {
            self.events.entry(who).or_default().push((EventType::NODE_DELETED, path.into()));
        }
        self.fire_children(parent);
    }

    fn fire_data(&mut self, kind: EventType, path: &str) {
        for who in take(&mut self.data_watches, path) {
            self.events.entry(who).or_default().push((kind, path.into()));
        }
    }

    fn fire_children(&mut self, path: &str) {
        for who in take(&mut self.child_watches, path) {
            self.events.entry(who).or_default().push((EventType::NODE_CHILDREN_CHANGED, path.into()));
        }
    }

    fn children(&self, path: &str) -> Vec<String> {
        let names = self.nodes.keys().filter_map(|child| {
            let (parent, name) = path::split(child)?;
            (parent == path).then(|| name.to_owned())
        });
        names.collect()
    }

    fn stat(&self, path: &str) -> Stat {
        let node = &self.nodes[path];
        let num_children = i32::try_from(self.children(path).len()).unwrap();
        Stat {
            czxid: node.czxid,
            mzxid: node.mzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            version: Version(node.version),
            cversion: Version(2 * node.created - num_children),
            aversion: Version(0),
            ephemeral_owner: node.owner,
            data_length: i32::try_from(node.data.len()).unwrap(),
            num_children,
            pzxid: node.pzxid,
        }
    }
}

fn expect(current: i32, expected: i32) -> Result<(), ErrorCode> {
    if expected == -1 || expected == current { Ok(()) } else { Err(ErrorCode::BAD_VERSION) }
}

fn take(watches: &mut BTreeSet<(String, Who)>, path: &str) -> Vec<Who> {
    let (fired, left) = std::mem::take(watches).into_iter().partition(|(watched, _)| watched == path);
    *watches = left;
    let fired: BTreeSet<(String, Who)> = fired;
    fired.into_iter().map(|(_, who)| who).collect()
}
