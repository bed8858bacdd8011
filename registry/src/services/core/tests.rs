//! The core against a server of a few services, with answers and events in any order.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Put(u8),
    Delete(u8),
    Connect,
    Disconnect,
    /// The server answers the list under way.
    Perform,
    /// The list under way fails.
    Fail,
    /// One of the answers and events arrives.
    Arrive(prop::sample::Index),
    Wait(u64),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0u8..4).prop_map(Act::Put),
        3 => (0u8..4).prop_map(Act::Delete),
        2 => Just(Act::Connect),
        1 => Just(Act::Disconnect),
        4 => Just(Act::Perform),
        1 => Just(Act::Fail),
        4 => any::<prop::sample::Index>().prop_map(Act::Arrive),
        2 => (0u64..6_000).prop_map(Act::Wait),
    ]
}

/// Services as simple as possible, and what is under way to and from a core.
struct World {
    now: Millis,
    core: Core,
    services: BTreeSet<String>,
    is_connected: bool,
    is_watched: bool,
    is_asked: bool,
    coming: Vec<Input>,
    seen: Option<Arc<ServiceNames>>,
    lists: usize,
}

impl World {
    fn new() -> Self {
        Self {
            now: Millis(0),
            core: Core::new(7),
            services: BTreeSet::new(),
            is_connected: false,
            is_watched: false,
            is_asked: false,
            coming: Vec::new(),
            seen: None,
            lists: 0,
        }
    }

    fn input(&mut self, input: Input) {
        self.core.handle(self.now, input);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::List => {
                    assert!(self.is_connected && !self.is_asked, "one list at a time");
                    self.is_asked = true;
                }
                Output::Publish(names) => {
                    assert_ne!(self.seen.as_ref(), Some(&names), "only changes are published");
                    assert!(self.is_connected || names.stale);
                    self.seen = Some(names);
                }
            }
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Put(name) => self.change(|services| services.insert(name.to_string())),
            Act::Delete(name) => self.change(|services| services.remove(&name.to_string())),
            Act::Connect => {
                self.is_connected = true;
                self.input(Input::Connected);
            }
            Act::Disconnect => {
                self.is_connected = false;
                self.input(Input::Disconnected);
                self.act(&Act::Fail);
            }
            Act::Perform if self.is_asked => {
                (self.is_asked, self.is_watched) = (false, true);
                self.lists += 1;
                self.coming.push(Input::Listed(Some(self.services.clone())));
            }
            Act::Fail if self.is_asked => {
                self.is_asked = false;
                self.input(Input::Listed(None));
            }
            Act::Perform | Act::Fail => {}
            Act::Arrive(which) => {
                if !self.coming.is_empty() {
                    let input = self.coming.remove(which.index(self.coming.len()));
                    self.input(input);
                }
            }
            Act::Wait(millis) => {
                self.now = self.now + Millis(*millis);
                if self.core.poll_deadline().is_some_and(|at| at <= self.now) {
                    self.input(Input::Timeout);
                }
            }
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) {
        if change(&mut self.services) && std::mem::take(&mut self.is_watched) {
            self.coming.push(Input::Changed);
        }
    }

    /// Lets everything arrive and time pass. Connects if there is no connection.
    fn settle(&mut self) {
        if !self.is_connected {
            self.act(&Act::Connect);
        }
        for _ in 0..10 {
            while self.is_asked || !self.coming.is_empty() {
                self.act(&Act::Perform);
                if !self.coming.is_empty() {
                    let input = self.coming.remove(0);
                    self.input(input);
                }
            }
            self.act(&Act::Wait(10_000));
        }
        assert_eq!(self.core.poll_deadline(), None, "nothing is left to do");
    }
}

proptest! {
    #[test]
    fn the_names_equal_the_services_after_any_history(acts in vec(any_act(), 0..60)) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.act(act));
        world.settle();
        let expected = ServiceNames { names: world.services.clone(), stale: false };
        prop_assert_eq!(world.seen.as_deref(), Some(&expected));
    }
}

#[test]
fn a_change_costs_one_list_and_the_last_names_stay_without_a_connection() {
    let mut world = World::new();
    world.act(&Act::Put(1));
    world.settle();
    assert_eq!(world.lists, 1);
    world.act(&Act::Put(2));
    world.settle();
    assert_eq!(world.lists, 2);
    world.act(&Act::Disconnect);
    let seen = world.seen.as_deref().unwrap();
    assert!(seen.stale && seen.names.len() == 2);
}
