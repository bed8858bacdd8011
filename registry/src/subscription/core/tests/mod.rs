use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A service's nodes, as simple as they can be, and the steps and events under way to and from a core.
struct World {
    now: Millis,
    core: Core,
    /// Those that may not be read now.
    locked: BTreeSet<String>,
    /// Name to data and the number of the creation.
    nodes: BTreeMap<String, (String, u64)>,
    creations: u64,
    connected: bool,
    list_watched: bool,
    /// Watches by name; one for each read that set it.
    watched: Vec<String>,
    steps: Vec<Step>,
    /// Answers and events on their way; events may overtake answers and each other.
    coming: Vec<Input>,
    members: Option<Arc<Members>>,
    /// Whether a list was made over this connection.
    is_fresh: bool,
    lists: usize,
    reads: usize,
}

#[derive(Clone, Debug)]
enum Act {
    Put(u8, u8),
    Delete(u8),
    /// Nobody may read it from now on, or everybody may; no watch tells.
    Lock(u8),
    Unlock(u8),
    Connect,
    Disconnect,
    /// All watches are lost, as with an expired session.
    LoseWatches,
    /// The server performs one of the steps under way.
    Perform(prop::sample::Index),
    /// One of the steps fails.
    Fail(prop::sample::Index),
    /// One of the answers and events arrives.
    Arrive(prop::sample::Index),
    Wait(u64),
}

impl World {
    fn new(empty_after: Millis) -> Self {
        Self {
            now: Millis(0),
            core: Core::new(7, 4, true, empty_after),
            locked: BTreeSet::new(),
            nodes: BTreeMap::new(),
            creations: 0,
            connected: false,
            list_watched: false,
            watched: Vec::new(),
            steps: Vec::new(),
            coming: Vec::new(),
            members: None,
            is_fresh: false,
            lists: 0,
            reads: 0,
        }
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        while let Some(step) = self.core.poll_step() {
            assert!(self.connected);
            self.steps.push(step);
        }
        let lists = self.steps.iter().filter(|step| **step == Step::List).count();
        assert!(lists <= 1 && self.steps.len() - lists <= 4, "{:?}", self.steps);
        if let Some(members) = self.core.poll_members(self.now) {
            assert_ne!(self.members.as_ref(), Some(&members), "only changes are published");
            assert!(members.stale || self.is_fresh, "what is not stale was confirmed");
            self.members = Some(members);
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Put(name, data) => self.put(&name.to_string(), data_of(*data)),
            Act::Delete(name) => self.delete(&name.to_string()),
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
                while !self.steps.is_empty() {
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
            Act::Perform(which) if !self.steps.is_empty() => self.perform(which.index(self.steps.len())),
            Act::Fail(which) if !self.steps.is_empty() => self.fail(which.index(self.steps.len())),
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

    fn put(&mut self, name: &str, data: String) {
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

    fn delete(&mut self, name: &str) {
        if self.nodes.remove(name).is_some() {
            self.fire(name, &Input::NodeDeleted(id(name)));
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

    fn perform(&mut self, which: usize) {
        let answer = match self.steps.remove(which) {
            Step::List => {
                self.lists += 1;
                self.list_watched = true;
                self.is_fresh = true;
                Input::Listed(Some(self.nodes.keys().cloned().collect()))
            }
            Step::Read { id, read } => {
                self.reads += 1;
                let outcome = match self.nodes.get(id.as_str()) {
                    Some(_) if self.locked.contains(id.as_str()) => Outcome::Unreadable("locked".into()),
                    Some((data, _)) => {
                        self.watched.push(id.as_str().to_owned());
                        Outcome::Data(data.clone().into())
                    }
                    None => Outcome::Gone,
                };
                Input::Read { id, read, outcome }
            }
        };
        self.coming.push(answer);
    }

    fn fail(&mut self, which: usize) {
        let answer = match self.steps.remove(which) {
            Step::List => Input::Listed(None),
            Step::Read { id, read } => Input::Read { id, read, outcome: Outcome::Failed },
        };
        self.input(answer);
    }

    /// The world calms down: connected, everything may be read, is answered and arrives, time passes.
    fn settle(&mut self) {
        self.locked.clear();
        // A needless reconnect would heal what was missed.
        if !self.connected {
            self.act(&Act::Connect);
        }
        for _ in 0..30 {
            while !(self.steps.is_empty() && self.coming.is_empty()) {
                while !self.steps.is_empty() {
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

    /// What the members have to be.
    fn expected(&self) -> Members {
        let mut members = Members::default();
        for (name, (data, _)) in &self.nodes {
            match Instance::from_json(data.as_bytes()) {
                Ok(instance) => drop(members.instances.insert(id(name), instance.into())),
                Err(defect) => members.skipped.push(Skipped { id: id(name), reason: defect.into() }),
            }
        }
        members
    }

    fn members(&self) -> &Members {
        self.members.as_ref().expect("nothing was published")
    }
}

fn id(name: &str) -> InstanceId {
    name.into()
}

/// An instance, or for some numbers something broken.
fn data_of(number: u8) -> String {
    match number {
        0 => String::new(),
        1 => "[]".into(),
        port => format!(r#"{{"host":"a","port":{port}}}"#),
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0u8..6, 0u8..6).prop_map(|(name, data)| Act::Put(name, data)),
        3 => (0u8..6).prop_map(Act::Delete),
        1 => (0u8..6).prop_map(Act::Lock),
        1 => (0u8..6).prop_map(Act::Unlock),
        2 => Just(Act::Connect),
        1 => Just(Act::Disconnect),
        1 => Just(Act::LoseWatches),
        8 => any::<prop::sample::Index>().prop_map(Act::Perform),
        1 => any::<prop::sample::Index>().prop_map(Act::Fail),
        8 => any::<prop::sample::Index>().prop_map(Act::Arrive),
        2 => (0u64..6_000).prop_map(Act::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_members_become_what_is_there(acts in vec(any_act(), 0..100), hold in 0u64..9_000) {
        let mut world = World::new(Millis(hold));
        for act in &acts {
            world.act(act);
        }
        world.settle();
        prop_assert_eq!(world.members(), &world.expected());
    }

    #[test]
    fn without_a_connection_the_last_members_stay_marked_stale(acts in vec(any_act(), 0..100)) {
        let mut world = World::new(Millis(0));
        world.put("x", data_of(9));
        world.settle();
        for act in &acts {
            world.act(act);
            if !world.connected {
                prop_assert!(world.members().stale);
            }
        }
    }
}

fn settled(names: &[&str]) -> World {
    let mut world = World::new(Millis(0));
    for name in names {
        world.put(name, data_of(9));
    }
    world.settle();
    (world.lists, world.reads) = (0, 0);
    world
}

/// All that is under way is answered and arrives, but no time passes and nothing reconnects.
fn flow(world: &mut World) {
    while !(world.steps.is_empty() && world.coming.is_empty()) {
        for input in std::mem::take(&mut world.coming) {
            world.core.handle(world.now, input);
        }
        world.input(Input::Timeout);
        while !world.steps.is_empty() {
            world.perform(0);
        }
    }
}

#[test]
fn a_change_costs_what_the_documentation_says() {
    let mut world = settled(&["a", "b", "c"]);
    world.put("d", data_of(9));
    flow(&mut world);
    assert_eq!((world.lists, world.reads), (1, 1), "one came");

    world.put("a", data_of(8));
    flow(&mut world);
    assert_eq!((world.lists, world.reads), (1, 2), "one changed");

    world.delete("b");
    flow(&mut world);
    assert_eq!((world.lists, world.reads), (2, 2), "one went");
    assert_eq!(world.members(), &world.expected());
}

#[test]
fn a_name_that_is_used_again_is_read_again() {
    let mut world = settled(&["a"]);
    world.delete("a");
    world.put("a", data_of(8));
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
}

#[test]
fn a_deletion_that_is_heard_of_late_does_not_hide_the_successor() {
    let mut world = settled(&["a"]);
    world.delete("a");
    world.put("a", data_of(8));
    let deleted = world.coming.remove(0);
    flow(&mut world);
    world.input(deleted);
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
}

#[test]
fn members_are_known_only_when_all_are_read() {
    let mut world = World::new(Millis(0));
    (0..10).for_each(|name| world.put(&name.to_string(), data_of(9)));
    world.act(&Act::Connect);
    world.perform(0);
    let listed = world.coming.remove(0);
    world.input(listed);
    assert_eq!(world.steps.len(), 4, "so many reads at a time");
    world.put("later", data_of(9));
    let fired = world.coming.remove(0);
    world.input(fired);
    assert!(!world.steps.contains(&Step::List), "first what the last list brought");
    assert_eq!(world.members, None);
    flow(&mut world);
    assert_eq!(world.members().len(), 11);
}

#[test]
fn the_last_members_are_held_for_as_long_as_the_user_wants() {
    let mut world = World::new(Millis(1_000));
    world.put("a", data_of(9));
    world.settle();
    world.delete("a");
    flow(&mut world);
    assert!(world.members().stale && world.members().len() == 1);
    world.act(&Act::Wait(999));
    assert!(world.members().stale && world.members().len() == 1);
    world.act(&Act::Wait(1));
    assert_eq!(world.members(), &Members::default());
}

#[test]
fn a_service_of_nobody_is_known_to_be_empty() {
    let world = settled(&[]);
    assert_eq!(world.members(), &Members::default());
}

#[test]
fn what_may_not_be_read_is_skipped_and_read_again_until_it_may_be() {
    let mut world = settled(&["a"]);
    world.put("b", data_of(9));
    world.locked.insert("b".into());
    flow(&mut world);
    assert_eq!(world.members().skipped[0].to_string(), "b: cannot be read: locked");
    assert_eq!(world.members().len(), 1);

    // Ever more rarely: in an hour less than three times a minute, and at the latest every half a minute.
    let (begun, mut longest) = (world.now, Millis(0));
    while world.now.since(begun) < Millis(3_600_000) {
        let (before, at) = (world.now, world.core.poll_deadline().expect("it is read again"));
        longest = longest.max(at.since(before));
        world.act(&Act::Wait(at.since(before).0));
        flow(&mut world);
    }
    assert!((120..180).contains(&world.reads), "{}", world.reads);
    assert_eq!(longest.max(Backoff::PATIENT_MOST), Backoff::PATIENT_MOST);

    world.locked.clear();
    world.act(&Act::Wait(Backoff::PATIENT_MOST.0));
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
    assert_eq!(world.core.poll_deadline(), None);
}

#[test]
fn each_node_that_may_not_be_read_has_a_time_of_its_own_and_none_when_it_is_gone() {
    let mut world = settled(&[]);
    world.put("old", data_of(9));
    world.locked.extend(["old".into(), "new".into()]);
    flow(&mut world);
    for _ in 0..20 {
        world.act(&Act::Wait(Backoff::PATIENT_MOST.0));
        flow(&mut world);
    }
    world.put("new", data_of(9));
    flow(&mut world);
    let soon = world.core.poll_deadline().unwrap().since(world.now);
    assert!(soon <= Millis(50), "{soon}: the old one's patience is not the new one's");
    world.delete("new");
    world.delete("old");
    flow(&mut world);
    assert_eq!(world.core.poll_deadline(), None);
}

#[test]
fn what_is_no_instance_yet_is_read_again_where_no_watch_tells_of_it() {
    let mut world = settled(&[]);
    world.core = Core::new(7, 4, false, Millis(0));
    world.members = None;
    world.put("a", data_of(9));
    world.put("b", String::new());
    world.input(Input::Connected);
    flow(&mut world);
    assert_eq!(world.members().skipped.len(), 1);
    world.watched.clear();
    world.put("b", data_of(8));
    let reads = world.reads;
    world.act(&Act::Wait(Backoff::PATIENT_MOST.0));
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
    assert_eq!(world.reads - reads, 1, "the good one is not");
}

#[test]
fn a_node_that_cannot_be_read_now_hides_no_other_and_stays_what_it_was() {
    let mut world = settled(&["a"]);
    // A new one and a known one, whose reads the server puts off again and again.
    world.put("b", data_of(8));
    world.put("a", data_of(7));
    for _ in 0..10 {
        for input in std::mem::take(&mut world.coming) {
            world.input(input);
        }
        while let Some(step) = world.steps.pop() {
            match step {
                Step::List => {
                    world.steps.push(step);
                    world.perform(0);
                }
                Step::Read { id, read } => {
                    world.coming.push(Input::Read { id, read, outcome: Outcome::Deferred("later".into()) });
                }
            }
        }
    }
    assert_eq!(world.members().skipped[0].to_string(), "b: cannot be read: later");
    assert_eq!(world.members().instances[&id("a")].port(), 9);
    world.act(&Act::Wait(Backoff::PATIENT_MOST.0));
    flow(&mut world);
    assert_eq!(world.members(), &world.expected());
}
