//! A table that grows by names, up to a bound, and that is read without a lock.

use std::iter;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Number of names above which new ones share an entry.
const MAX_NAMES: usize = 256;

/// Number of places: twice the names, so that few collide.
const PLACES: usize = 2 * MAX_NAMES;

/// Values by name.
#[derive(Debug)]
pub(crate) struct NameTable<T> {
    places: Box<[OnceLock<Entry<T>>]>,
    names: AtomicUsize,
    /// Value of all names beyond the bound.
    rest: T,
}

type Entry<T> = Box<(String, T)>;

impl<T: Default> Default for NameTable<T> {
    fn default() -> Self {
        let places = iter::repeat_with(OnceLock::new).take(PLACES).collect();
        Self { places, names: AtomicUsize::new(0), rest: T::default() }
    }
}

impl<T: Default> NameTable<T> {
    /// Returns the value of a name, which is added if there is room.
    pub(crate) fn get(&self, name: &str) -> &T {
        let begin = hash(name) % PLACES;
        for place in self.places[begin..].iter().chain(&self.places[..begin]) {
            if place.get().is_none() && self.names.load(Relaxed) >= MAX_NAMES {
                break;
            }
            // Another thread may be the first here, with the same name or another one.
            let entry = place.get_or_init(|| {
                self.names.fetch_add(1, Relaxed);
                Box::new((name.to_owned(), T::default()))
            });
            let (own, value) = &**entry;
            if own == name {
                return value;
            }
        }
        &self.rest
    }

    /// Returns the names with their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.places.iter().filter_map(OnceLock::get).map(|entry| (entry.0.as_str(), &entry.1))
    }

    /// Returns the value of the names that found no room.
    pub(crate) fn rest(&self) -> &T {
        &self.rest
    }
}

/// FNV-1a: short, and the same everywhere.
fn hash(name: &str) -> usize {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    usize::try_from(hash >> 33).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counter;

    #[test]
    fn names_beyond_the_bound_share_an_entry() {
        let table = NameTable::<Counter>::default();
        for name in 0..2 * MAX_NAMES {
            table.get(&name.to_string()).increment();
        }
        assert_eq!((table.iter().count(), table.rest().get()), (MAX_NAMES, MAX_NAMES as u64));
        table.get("0").increment();
        assert_eq!(table.get("0").get(), 2);
    }
}
