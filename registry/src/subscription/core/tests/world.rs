use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::Millis;
use proptest::prelude::prop;

use super::super::{Core, Input, Lost, Output, ReadOutcome, Settings};
use crate::instance::Instance;
use crate::members::{InstanceId, Members, Skipped};

/// A service's nodes, as simple as possible, and the requests and events under way to and from a core.
pub(super) struct World {
    pub(super) now: Millis,
    pub(super) core: Core,
    /// Nodes that may not be read now.
    pub(super) locked: BTreeSet<String>,
    /// Data and number of the creation by name.
    nodes: BTreeMap<String, (String, u64)>,
    creations: u64,
    pub(super) connected: bool,
    /// True if no read sets a watch.
    pub(super) is_blind: bool,
    list_watched: bool,
    /// Names of watched nodes, once for each read that set a watch.
    pub(super) watched: Vec<String>,
    pub(super) requests: Vec<Output>,
    /// Answers and events under way; events may overtake answers and each other.
    pub(super) coming: Vec<Input>,
    pub(super) members: Option<Arc<Members>>,
    pub(super) lost: Option<Lost>,
    /// True if a list was made over this connection.
    is_fresh: bool,
    pub(super) lists: usize,
    pub(super) reads: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    Put(u8, u8),
    Delete(u8),
    Replace(u8, u8),
    /// The node may no longer be read. No watch tells.
    Lock(u8),
    /// The node may be read again. No watch tells.
    Unlock(u8),
    Connect,
    Disconnect,
    /// All watches are lost, as with an expired session.
    LoseWatches,
    /// The server performs one of the requests under way.
    Perform(prop::sample::Index),
    /// One of the requests fails.
    Fail(prop::sample::Index),
    /// One of the answers and events arrives.
    Arrive(prop::sample::Index),
    Wait(u64),
}

impl World {
    pub(super) fn new(spread: Millis) -> Self {
        Self {
            now: Millis(0),
            core: Core::new(7, Settings { max_reads: 4, spread }),
            locked: BTreeSet::new(),
            nodes: BTreeMap::new(),
            creations: 0,
            connected: false,
            is_blind: false,
            list_watched: false,
            watched: Vec::new(),
            requests: Vec::new(),
            coming: Vec::new(),
            members: None,
            lost: None,
            is_fresh: false,
            lists: 0,
            reads: 0,
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        let mut publications = 0;
        while let Some(output) = self.core.poll_output() {
            if let Output::Publish(members, lost) = output {
                assert_ne!(self.members.as_ref(), Some(&members), "only changes are published");
                assert!(members.stale || self.is_fresh, "members are stale until they are confirmed");
                assert!(members.is_empty() || lost.is_none(), "a loss of all");
                (self.members, self.lost) = (Some(members), lost);
                publications += 1;
            } else {
                assert!(self.connected);
                self.requests.push(output);
            }
        }
        assert!(publications <= 1, "one change at a time");
        let lists = self.requests.iter().filter(|request| **request == Output::List).count();
        assert!(lists <= 1 && self.requests.len() - lists <= 4, "{:?}", self.requests);
    }

    pub(super) fn act(&mut self, act: &Act) {
        match act {
            Act::Put(name, data) => self.put(&name.to_string(), data_of(*data)),
            Act::Delete(name) => self.delete(&name.to_string()),
            Act::Replace(name, data) => self.replace(&name.to_string(), data_of(*data)),
            Act::Lock(name) => drop(self.locked.insert(name.to_string())),
            Act::Unlock(name) => drop(self.locked.remove(&name.to_string())),
            Act::Connect => {
                self.connected = true;
                self.input(Input::Connected);
            }
            Act::Disconnect => {
                self.connected = false;
                self.is_fresh = false;
                self.input(Input::Disconnected);
                while !self.requests.is_empty() {
                    self.fail(0);
                }
            }
            Act::LoseWatches => {
                if std::mem::take(&mut self.list_watched) {
                    self.coming.push(Input::ListChanged);
                }
                let lost = std::mem::take(&mut self.watched);
                self.coming.extend(lost.iter().map(|name| Input::NodeChanged(id(name))));
            }
            Act::Perform(which) if !self.requests.is_empty() => {
                self.perform(which.index(self.requests.len()));
            }
            Act::Fail(which) if !self.requests.is_empty() => self.fail(which.index(self.requests.len())),
            Act::Arrive(which) if !self.coming.is_empty() => {
                let input = self.coming.remove(which.index(self.coming.len()));
                self.input(input);
            }
            Act::Perform(_) | Act::Fail(_) | Act::Arrive(_) => {}
            Act::Wait(millis) => {
                self.now = self.now + Millis(*millis);
                if self.core.poll_deadline().is_some_and(|at| at <= self.now) {
                    self.input(Input::Timeout);
                }
            }
        }
    }

    pub(super) fn put(&mut self, name: &str, data: String) {
        match self.nodes.get_mut(name) {
            Some(node) => {
                node.0 = data;
                self.fire(name, &Input::NodeChanged(id(name)));
            }
            None => {
                self.creations += 1;
                self.nodes.insert(name.to_owned(), (data, self.creations));
                self.fire_list();
            }
        }
    }

    pub(super) fn delete(&mut self, name: &str) {
        if self.nodes.remove(name).is_some() {
            self.fire(name, &deleted(name));
            self.fire_list();
        }
    }

    /// Puts another node into the place of this one, in one transaction.
    pub(super) fn replace(&mut self, name: &str, data: String) {
        if let Some(node) = self.nodes.get_mut(name).filter(|_| may_come_again(name)) {
            self.creations += 1;
            *node = (data, self.creations);
            self.fire(name, &deleted(name));
            self.fire_list();
        }
    }

    fn fire(&mut self, name: &str, event: &Input) {
        let before = self.watched.len();
        self.watched.retain(|watched| watched != name);
        self.coming.extend(vec![event.clone(); before - self.watched.len()]);
    }

    fn fire_list(&mut self) {
        if std::mem::take(&mut self.list_watched) {
            self.coming.push(Input::ListChanged);
        }
    }

    pub(super) fn perform(&mut self, which: usize) {
        let answer = match self.requests.remove(which) {
            Output::List => {
                self.lists += 1;
                self.list_watched = true;
                self.is_fresh = true;
                Input::Listed(Some(self.nodes.keys().cloned().collect()))
            }
            Output::Read { id, read } => {
                self.reads += 1;
                let outcome = match self.nodes.get(id.as_str()) {
                    Some(_) if self.locked.contains(id.as_str()) => ReadOutcome::Unreadable("locked".into()),
                    Some((data, _)) => {
                        self.watched.push(id.as_str().to_owned());
                        let decoded = Instance::from_json(data.as_bytes());
                        ReadOutcome::Decoded { decoded, watched: !self.is_blind }
                    }
                    None => ReadOutcome::Gone,
                };
                Input::Read { id, read, outcome }
            }
            Output::Publish(..) => unreachable!("not a request"),
        };
        self.coming.push(answer);
    }

    fn fail(&mut self, which: usize) {
        let answer = match self.requests.remove(which) {
            Output::List => Input::Listed(None),
            Output::Read { id, read } => Input::Read { id, read, outcome: ReadOutcome::Failed },
            Output::Publish(..) => unreachable!("not a request"),
        };
        self.input(answer);
    }

    /// Calms down: connects, allows every read, lets everything arrive and time pass.
    pub(super) fn settle(&mut self) {
        self.locked.clear();
        // A reconnect would heal a missed event: make none without need.
        if !self.connected {
            self.act(&Act::Connect);
        }
        for _ in 0..30 {
            while !(self.requests.is_empty() && self.coming.is_empty()) {
                while !self.requests.is_empty() {
                    self.perform(0);
                }
                while !self.coming.is_empty() {
                    let input = self.coming.remove(0);
                    self.input(input);
                }
            }
            self.act(&Act::Wait(10_000));
        }
        assert_eq!(self.core.poll_deadline(), None, "nothing is left to do");
    }

    /// Returns the members that have to be published.
    pub(super) fn expected(&self) -> Members {
        let mut members = Members::default();
        for (name, (data, _)) in &self.nodes {
            match Instance::from_json(data.as_bytes()) {
                Ok(instance) => drop(members.instances.insert(id(name), instance.into())),
                Err(defect) => members.skipped.push(Skipped { id: id(name), reason: defect.into() }),
            }
        }
        members
    }

    pub(super) fn members(&self) -> &Members {
        self.members.as_ref().expect("nothing was published")
    }
}

pub(super) fn id(name: &str) -> InstanceId {
    name.into()
}

/// Returns true for names that are not unique.
fn may_come_again(name: &str) -> bool {
    name.starts_with(['3', '4', '5'])
}

fn deleted(name: &str) -> Input {
    if may_come_again(name) { Input::NodeDeletedOrReplaced(id(name)) } else { Input::NodeDeleted(id(name)) }
}

/// Data of an instance, or for some numbers broken data.
pub(super) fn data_of(number: u8) -> String {
    match number {
        0 => String::new(),
        1 => "[]".into(),
        port => format!(r#"{{"host":"a","port":{port}}}"#),
    }
}
