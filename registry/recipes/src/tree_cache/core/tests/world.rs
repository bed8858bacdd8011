use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use common::Millis;
use proptest::prelude::prop;
use zk_client::{Stat, Version, Zxid};

use super::super::super::scope::Scope;
use super::super::super::tree::Tree;
use super::super::{Core, Input, Output, ReadId, TreeRead, What};

/// Nodes that may exist.
pub(super) const PATHS: [&str; 9] =
    ["/t", "/t/a", "/t/a/x", "/t/a/x/y", "/t/a/b", "/t/a-", "/t/b", "/t/b/z", "/t/c"];

/// A tree, as simple as possible, and the requests, answers and events under way to and from a core.
pub(super) struct World {
    pub(super) now: Millis,
    pub(super) core: Core,
    scope: Scope,
    data: bool,
    nodes: BTreeMap<String, (String, Stat)>,
    zxid: i64,
    /// Nodes that may not be read now.
    pub(super) locked: BTreeSet<String>,
    connected: bool,
    requests: VecDeque<(String, ReadId, What)>,
    answers: Vec<Input>,
    events: VecDeque<Input>,
    pub(super) tree: Option<Tree>,
    pub(super) reads: Vec<(String, What)>,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    Put(usize, u8),
    Delete(usize),
    /// The node may no longer be read. No event tells.
    Lock(usize),
    /// The node may be read again. No event tells.
    Unlock(usize),
    Connect,
    Disconnect,
    /// Events are lost, and the client tells so.
    Overflow,
    /// The server performs the next request.
    Perform,
    /// The next event, or one of the answers, arrives.
    Arrive(prop::sample::Index),
    Wait(u64),
}

impl World {
    pub(super) fn new(scope: Scope, data: bool) -> Self {
        Self {
            now: Millis(0),
            core: Core::new(7, scope.clone(), data, 3),
            scope,
            data,
            nodes: BTreeMap::new(),
            zxid: 0,
            locked: BTreeSet::new(),
            connected: false,
            requests: VecDeque::new(),
            answers: Vec::new(),
            events: VecDeque::new(),
            tree: None,
            reads: Vec::new(),
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        let mut publications = 0;
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Read { path, read, what } => {
                    assert!(self.scope.contains(&path), "{path}");
                    self.reads.push((path.clone(), what));
                    self.requests.push_back((path, read, what));
                }
                Output::Publish(tree) => {
                    publications += 1;
                    self.tree = Some(tree);
                }
            }
        }
        assert!(publications <= 1, "an input makes one change");
        assert!(self.requests.len() + self.answers.len() <= 3, "reads are limited");
    }

    pub(super) fn act(&mut self, act: &Act) {
        match act {
            Act::Put(path, data) => self.put(PATHS[*path], &data.to_string()),
            Act::Delete(path) => self.delete(PATHS[*path]),
            Act::Lock(path) => {
                self.locked.insert(PATHS[*path].to_owned());
            }
            Act::Unlock(path) => {
                self.locked.remove(PATHS[*path]);
            }
            Act::Connect if !self.connected => {
                self.connected = true;
                self.input(Input::Connected);
                self.input(Input::Missed);
            }
            Act::Disconnect if self.connected => {
                self.connected = false;
                self.events.clear();
                self.input(Input::Disconnected);
                while !self.requests.is_empty() {
                    self.fail_one();
                }
            }
            Act::Overflow if self.connected => {
                self.events.clear();
                self.input(Input::Missed);
            }
            Act::Connect | Act::Disconnect | Act::Overflow => {}
            Act::Perform => self.perform(),
            Act::Arrive(which) => self.arrive(which),
            Act::Wait(time) => {
                self.now = self.now + Millis(*time);
                self.input(Input::Timeout);
            }
        }
    }

    pub(super) fn put(&mut self, path: &str, data: &str) {
        let zxid = Zxid(self.zxid + 1);
        if let Some((present, stat)) = self.nodes.get_mut(path) {
            *present = data.to_owned();
            stat.mzxid = zxid;
            stat.version = Version(stat.version.0 + 1);
        } else if path == "/t" || self.parent(path).is_some() {
            self.count_child(path, zxid, 1);
            let stat = Stat { czxid: zxid, mzxid: zxid, pzxid: zxid, ..Stat::default() };
            self.nodes.insert(path.to_owned(), (data.to_owned(), stat));
        } else {
            return;
        }
        self.zxid = zxid.0;
        self.tell(path, Input::Changed(path.to_owned()));
    }

    pub(super) fn delete(&mut self, path: &str) {
        if self.nodes.get(path).is_none_or(|(_, stat)| stat.num_children > 0) {
            return;
        }
        self.zxid += 1;
        self.nodes.remove(path);
        self.count_child(path, Zxid(self.zxid), -1);
        self.tell(path, Input::Deleted(path.to_owned()));
    }

    pub(super) fn fail_one(&mut self) {
        if let Some((path, read, _)) = self.requests.pop_front() {
            self.input(Input::Read { path, read, outcome: TreeRead::Failed });
        }
    }

    pub(super) fn take_reads(&mut self) -> Vec<(&'static str, What)> {
        let known = |path: &str| PATHS.into_iter().chain(["/t/a/new"]).find(|known| *known == path).unwrap();
        let mut reads: Vec<_> = self.reads.drain(..).map(|(path, what)| (known(&path), what)).collect();
        reads.sort_by_key(|(path, _)| *path);
        reads
    }

    pub(super) fn arrive_all(&mut self) {
        while let Some(event) = self.events.pop_front() {
            self.input(event);
        }
        while let Some(answer) = self.answers.pop() {
            self.input(answer);
        }
    }

    /// Lets everything happen that is under way, up to the next try of a node that is skipped.
    pub(super) fn settle(&mut self) {
        for _ in 0..1_000 {
            self.arrive_all();
            if self.requests.is_empty() {
                match self.core.poll_deadline().filter(|at| at.since(self.now) <= Millis(100_000)) {
                    Some(at) if self.tree.as_ref().is_none_or(Tree::is_stale) => self.now = at,
                    _ => return,
                }
                self.input(Input::Timeout);
            }
            self.perform();
        }
        panic!("it does not come to rest");
    }

    /// Compares the copy with the tree.
    pub(super) fn check(&self) {
        let tree = self.tree.as_ref().expect("a copy");
        assert!(!tree.is_stale());
        let copy: BTreeMap<_, _> = tree
            .nodes()
            .map(|(path, node)| (path, (node.data().clone(), node.stat().czxid, node.stat().mzxid)))
            .collect();
        let is_hidden = |path: &str| self.locked.contains(path) || !self.scope.contains(path);
        let is_open = |path: &str| {
            let is_above = |above: &str| path == above || path.starts_with(&format!("{above}/"));
            !is_hidden(path) && !PATHS.into_iter().any(|above| is_above(above) && is_hidden(above))
        };
        let data = |data: &str| Bytes::from(if self.data { data.to_owned() } else { String::new() });
        let expected = self
            .nodes
            .iter()
            .filter(|(path, _)| is_open(path))
            .map(|(path, (text, stat))| (path.clone(), (data(text), stat.czxid, stat.mzxid)));
        assert_eq!(copy, expected.collect::<BTreeMap<_, _>>());
    }

    fn parent(&mut self, path: &str) -> Option<&mut Stat> {
        let (parent, _) = zk_wire::path::split(path)?;
        self.nodes.get_mut(parent).map(|(_, stat)| stat)
    }

    fn count_child(&mut self, path: &str, zxid: Zxid, by: i32) {
        if let Some(parent) = self.parent(path) {
            parent.pzxid = zxid;
            parent.cversion = Version(parent.cversion.0 + 1);
            parent.num_children += by;
        }
    }

    fn tell(&mut self, path: &str, event: Input) {
        if self.connected && !self.locked.contains(path) {
            self.events.push_back(event);
        }
    }

    fn perform(&mut self) {
        let Some((path, read, what)) = self.requests.pop_front() else { return };
        let outcome = match self.nodes.get(&path) {
            None => TreeRead::Gone,
            Some(_) if self.locked.contains(&path) => TreeRead::Refused("locked".to_owned()),
            Some((data, stat)) => match what {
                What::Data => TreeRead::Data(data.clone().into(), *stat),
                What::Stat => TreeRead::Stat(*stat),
                What::Children => {
                    let prefix = format!("{path}/");
                    let names = self.nodes.keys().filter_map(|node| node.strip_prefix(&prefix));
                    let names = names.filter(|name| !name.contains('/')).map(str::to_owned).collect();
                    TreeRead::Children(names, *stat)
                }
            },
        };
        self.answers.push(Input::Read { path, read, outcome });
    }

    /// Events stay in order; answers may overtake each other and events.
    fn arrive(&mut self, which: &prop::sample::Index) {
        let answers = self.answers.len();
        let ready = answers + usize::from(!self.events.is_empty());
        if ready == 0 {
            return;
        }
        let input = match which.index(ready) {
            n if n < answers => Some(self.answers.swap_remove(n)),
            _ => self.events.pop_front(),
        };
        if let Some(input) = input {
            self.input(input);
        }
    }
}
