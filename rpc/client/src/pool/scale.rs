//! The weight of a link: what the registry says, as much of it as has grown by now. No I/O.

use std::collections::BTreeMap;

use common::Millis;
use registry::select::{share, warm_up};

use super::endpoint::Endpoint;
use super::member::Member;
use super::{LinkId, Phase, PoolConfig, PoolLink};

/// Weight of an instance without an entry in the registry.
const USUAL_WEIGHT: u32 = 100;

/// Everything that the weight of a link depends on.
pub(super) struct Scale<'a> {
    pub(super) endpoints: &'a BTreeMap<String, Endpoint>,
    pub(super) links: &'a BTreeMap<LinkId, PoolLink>,
    pub(super) config: &'a PoolConfig,
    pub(super) now: Millis,
    pub(super) unix_ms: u64,
}

/// Weight of a link now.
pub(super) struct Weighed {
    pub(super) weight: u32,
    pub(super) is_near: bool,
    /// It will be more later.
    pub(super) grows: bool,
}

impl Scale<'_> {
    pub(super) fn weigh(&self, member: &Member) -> Weighed {
        let Self { config, now, .. } = self;
        let endpoint = self.endpoints.get(&member.addr);
        let entry = endpoint.and_then(|endpoint| endpoint.target.entry(&member.instance));
        let whole = entry.map_or(USUAL_WEIGHT, |entry| share(entry, self.unix_ms));
        let age = match self.links.get(&member.id).map(|link| &link.phase) {
            Some(Phase::Ready { since, .. }) => now.since(*since),
            _ => Millis(0),
        };
        let zone = entry.and_then(|entry| entry.zone());
        Weighed {
            weight: warm_up(whole, age.0, config.warm_up.0),
            is_near: config.zone.is_none() || config.zone.as_deref() == zone,
            grows: age < config.warm_up || entry.is_some_and(|entry| entry.weight() > whole && whole > 0),
        }
    }
}
