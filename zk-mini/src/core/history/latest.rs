//! Map that keeps only the latest entries.

use std::collections::VecDeque;
use std::hash::Hash;

use foldhash::{HashMap, HashMapExt};

/// Entries by key, of which the oldest goes when there is no room.
#[derive(Debug)]
pub(super) struct Latest<K, V> {
    values: HashMap<K, V>,
    order: VecDeque<K>,
    room: usize,
}

impl<K: Copy + Eq + Hash, V> Latest<K, V> {
    pub(super) fn new(room: usize) -> Self {
        Self { values: HashMap::new(), order: VecDeque::new(), room }
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.values.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.room
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.values.get(&key)
    }
}
