//! Subset of a large service for one client: a deterministic aperture.
//!
//! The instances stand on a ring at equal distances, in the order of their hashes, which is the same for all clients. Each client
//! has a position on the ring, and takes the next so many instances from there on. Positions of numbered clients are a van der
//! Corput sequence, whose first N members lie almost evenly for every N, so that no client need know how many there are.
//!
//! Sources: Twitter's deterministic aperture (two rings, evenly divided), in the documentation of Finagle; P. Ward, P. Wankhede
//! and others, "Reinventing Backend Subsetting at Google", ACM Queue 20(5), 2022 (low-discrepancy sequences).

use std::collections::BTreeMap;
use std::sync::Arc;

use registry::select::hash;
use registry::{Instance, Members};

use super::entry::place;

/// Number of instances for one client, and its place among the clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aperture {
    size: usize,
    /// Position on the ring, in parts of 2⁶⁴.
    position: u64,
}

impl Aperture {
    /// Takes `size` instances from a random position on.
    pub(crate) fn at_random(size: usize, seed: u64) -> Self {
        Self { size, position: fastrand::Rng::with_seed(seed).u64(..) }
    }

    /// Takes `size` instances as the client of this number among many.
    pub(crate) fn of_client(size: usize, number: u32) -> Self {
        Self { size, position: u64::from(number).reverse_bits() }
    }

    /// Returns this client's instances. Those of one place, a worker and its successor, come together: a rolling restart moves
    /// no other connection. A place that comes or goes moves the edges of the subset by one.
    pub(crate) fn choose<'a>(&self, members: &'a Members) -> Vec<&'a Arc<Instance>> {
        let ring = ring(members);
        let places: Vec<_> = ring.values().collect();
        self.stretch(places.len()).flat_map(|at| places[at]).copied().collect()
    }

    /// Returns the numbers of this client's places on a ring of so many.
    fn stretch(self, places: usize) -> impl Iterator<Item = usize> {
        let first = u64::try_from((u128::from(self.position) * places as u128) >> 64).unwrap_or_default();
        let first = usize::try_from(first).unwrap_or_default();
        (first..places).chain(0..first).take(self.size)
    }
}

/// Returns the instances of each place, in the order of the ring.
fn ring(members: &Members) -> BTreeMap<(u64, String), Vec<&Arc<Instance>>> {
    let mut ring = BTreeMap::<_, Vec<_>>::new();
    for instance in members.instances.values() {
        let place = place(instance);
        ring.entry((hash([place.as_bytes()]), place)).or_default().push(instance);
    }
    ring
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use registry::InstanceId;

    use super::*;

    fn worker(n: usize, generation: usize) -> (InstanceId, Arc<Instance>) {
        let id = InstanceId::from(format!("{n}-{generation}").as_str());
        (id, Arc::new(Instance::new(format!("10.0.0.{}", n / 8), 80).with("slot", n % 8)))
    }

    fn fleet(places: impl IntoIterator<Item = usize>) -> Members {
        places.into_iter().map(|n| worker(n, 0)).collect()
    }

    fn places(aperture: Aperture, members: &Members) -> BTreeSet<String> {
        aperture.choose(members).into_iter().map(|instance| place(instance)).collect()
    }

    /// Returns how many of the clients use each place.
    fn load(apertures: impl Iterator<Item = Aperture>, places: usize) -> Vec<usize> {
        let mut load = vec![0; places];
        for chosen in apertures.flat_map(|aperture| aperture.stretch(places)) {
            load[chosen] += 1;
        }
        load
    }

    #[test]
    fn a_small_service_is_used_whole() {
        let members = fleet(0..5);
        for size in [5, 6, 100] {
            assert_eq!(Aperture::at_random(size, 7).choose(&members).len(), 5);
        }
        assert!(Aperture::of_client(3, 0).choose(&Members::default()).is_empty());
    }

    #[test]
    fn a_rolling_restart_moves_no_other_connection() {
        let before = fleet(0..64);
        let aperture = Aperture::of_client(8, 11);
        let chosen = places(aperture, &before);
        for n in 0..64 {
            let both: Members = (0..64).map(|n| worker(n, 0)).chain([worker(n, 1)]).collect();
            assert_eq!(places(aperture, &both), chosen);
            let twice = chosen.contains(&place(&worker(n, 0).1));
            assert_eq!(aperture.choose(&both).len(), 8 + usize::from(twice), "predecessor and successor");
        }
    }

    #[test]
    fn clients_without_numbers_are_spread_by_chance() {
        let load = load((0..1_000).map(|seed| Aperture::at_random(20, seed)), 100);
        let (least, most) = (load.iter().min().unwrap(), load.iter().max().unwrap());
        assert!(*least > 150 && *most < 250, "{least} to {most}, 200 would be even");
    }

    proptest! {
        /// Every place is used by as many numbered clients as any other, but for a logarithm.
        #[test]
        fn numbered_clients_load_all_places_evenly(n in 1_usize..200, size in 1_usize..40, clients in 1_u32..600) {
            let load = load((0..clients).map(|number| Aperture::of_client(size, number)), n);
            let even = f64::from(clients) * (size.min(n) as f64) / n as f64;
            let slack = 1.0 + f64::from(clients).log2();
            for (place, load) in load.into_iter().enumerate() {
                prop_assert!((load as f64 - even).abs() <= slack, "{place}: {load}, {even} would be even");
            }
        }

        /// A place that comes or goes moves two connections of a client at most.
        #[test]
        fn one_change_moves_two_connections_at_most(n in 2_usize..120, gone: prop::sample::Index, size in 1_usize..40, seed: u64) {
            let gone = gone.index(n);
            let (with, without) = (fleet(0..n), fleet((0..n).filter(|place| *place != gone)));
            let aperture = Aperture::at_random(size, seed);
            let (with, without) = (places(aperture, &with), places(aperture, &without));
            prop_assert_eq!(with.len(), size.min(n));
            prop_assert!(with.difference(&without).count() <= 2);
            prop_assert!(without.difference(&with).count() <= 2);
        }

        /// It moves about one on average.
        #[test]
        fn one_change_moves_about_one_connection_on_average(n in 30_usize..120, gone: prop::sample::Index, size in 1_usize..20) {
            let gone = gone.index(n);
            let without: Vec<_> = (0..n).filter(|place| *place != gone).collect();
            let moved = (0..100).map(|number| {
                let aperture = Aperture::of_client(size, number);
                let after: BTreeSet<_> = aperture.stretch(n - 1).map(|at| without[at]).collect();
                aperture.stretch(n).filter(|place| !after.contains(place)).count()
            });
            prop_assert!(moved.sum::<usize>() <= 150);
        }
    }
}
