//! The links that take calls: which one takes the next, and what its end says about it. No I/O.

use std::mem;
use std::time::Duration;

use common::Millis;
use fastrand::Rng;

use super::balancer::{ALL, Balancer, Group, near_share};
use super::health::Standing;
use super::member::{Demand, Member, Objection, Picked, Purpose};
use super::outlier::{CallEnd, OutlierEjection, Outliers, due, next_probe};
use super::{LinkId, LinkOutcome};

/// Time after which a probe that has not ended is not waited for.
pub(super) const PROBE_TIME: Millis = Millis(10_000);

/// The links that take calls. `H` is the shell's handle of a link.
#[derive(Debug)]
pub(super) struct Ready<H> {
    max_in_flight: usize,
    /// In the order of their ids.
    members: Vec<Member>,
    /// Handles of the members, at the same places.
    handles: Vec<H>,
    outliers: Outliers,
    /// Those in the zone of the client, or all if it has none.
    near: Group,
    /// Those in other zones.
    far: Group,
    /// Share of the calls that stay near, of [`ALL`].
    near_share: u32,
    /// Weight of all instances in the zone of the client, connected or not.
    wanted_near: u64,
    /// Numbers of calls on their way to near and to far links.
    calls: [usize; 2],
    /// Time at which the first ejected link may be probed.
    next_probe: Option<Millis>,
    /// Number of the last probe.
    probes: u32,
    /// The groups do not know the last change of members or weights.
    is_stale: bool,
    random: Rng,
}

impl<H: Clone> Ready<H> {
    pub(super) fn new(
        balancer: Balancer,
        outliers: OutlierEjection,
        max_in_flight: usize,
        random: Rng,
    ) -> Self {
        Self {
            max_in_flight,
            members: Vec::new(),
            handles: Vec::new(),
            outliers: Outliers::new(outliers),
            near: Group::new(balancer),
            far: Group::new(balancer),
            near_share: ALL,
            wanted_near: 0,
            calls: [0; 2],
            next_probe: None,
            probes: 0,
            is_stale: false,
            random,
        }
    }

    #[cfg(test)]
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    #[cfg(test)]
    pub(super) fn ring_updates(&self) -> u32 {
        self.near.ring_updates()
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Member> {
        self.members.get(self.place(id)?)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a link. Call [`Ready::settle`] after this, as after all changes of members and weights.
    pub(super) fn insert(&mut self, member: Member, handle: H) {
        let at = self.members.partition_point(|other| other.id < member.id);
        self.members.insert(at, member);
        self.handles.insert(at, handle);
        self.is_stale = true;
    }

    /// Takes a link out, whose connection may have been lost.
    pub(super) fn remove(&mut self, now: Millis, id: LinkId, lost: bool) -> Option<(Member, H)> {
        let at = self.place(id)?;
        let (mut member, handle) = (self.members.remove(at), self.handles.remove(at));
        if lost && member.in_flight > 0 {
            self.outliers.lose(now, &mut member, &mut self.random);
        }
        if let Standing::Probing { reason, .. } = member.health.standing {
            // The probe goes on, but says no more of a link that has gone.
            member.health.standing = Standing::Ejected { until: now, reason };
        }
        self.calls[usize::from(!member.is_near)] -= member.in_flight;
        self.is_stale = true;
        Some((member, handle))
    }

    /// Sets the weight of all instances in the zone of the client.
    pub(super) fn want_near(&mut self, weight: u64) {
        self.is_stale |= self.wanted_near != weight;
        self.wanted_near = weight;
    }

    /// Sets the weights and zones of all links.
    pub(super) fn weigh(&mut self, mut weigh: impl FnMut(&Member) -> (u32, bool)) {
        self.calls = [0; 2];
        for member in &mut self.members {
            let before = (member.weight, member.is_near);
            (member.weight, member.is_near) = weigh(member);
            self.is_stale |= before != (member.weight, member.is_near);
            self.calls[usize::from(!member.is_near)] += member.in_flight;
        }
    }

    /// Takes account of all changes of members and weights.
    pub(super) fn settle(&mut self) {
        if mem::take(&mut self.is_stale) {
            self.near.arrange(&self.members, |member| member.is_near, &mut self.random);
            self.far.arrange(&self.members, |member| !member.is_near, &mut self.random);
            self.update();
        }
    }

    /// Chooses the link for a call. Give it back with [`Ready::finish`].
    pub(super) fn pick(&mut self, demand: &Demand<'_>) -> Option<(Picked, H)> {
        let (at, probe) = match self.probe(demand) {
            Some(at) => (at, Some(self.probes)),
            None => (self.choose(demand).or_else(|| self.least_bad(demand))?, None),
        };
        let member = &mut self.members[at];
        member.in_flight += 1;
        self.calls[usize::from(!member.is_near)] += 1;
        Some((Picked { id: member.id, probe }, self.handles[at].clone()))
    }

    /// Notes that a call which goes on has shown that its process works.
    pub(super) fn prove(&mut self, now: Millis, picked: Picked) {
        let Some(member) = self.place(picked.id).and_then(|at| self.members.get_mut(at)) else { return };
        if is_its_probe(member, picked) {
            member.health.take_back(now);
            self.update();
        }
    }

    /// Notes the end of a call on a link, and the time that it took. Returns false if the link has gone.
    pub(super) fn finish(
        &mut self,
        now: Millis,
        picked: Picked,
        outcome: LinkOutcome,
        took: Option<Duration>,
    ) -> bool {
        let Some(at) = self.place(picked.id) else { return false };
        let member = &mut self.members[at];
        member.in_flight -= 1;
        self.calls[usize::from(!member.is_near)] -= 1;
        match outcome {
            LinkOutcome::Answered | LinkOutcome::Failed => member.misses = 0,
            LinkOutcome::Missed => member.misses += 1,
            LinkOutcome::Overtaken | LinkOutcome::Neither => {}
        }
        let is_probe = is_its_probe(member, picked);
        let end = CallEnd { outcome, took, is_probe };
        if self.outliers.finish(now, &mut self.members, at, end, &mut self.random) {
            self.update();
        }
        true
    }

    /// Returns the number of ejections since the last time.
    pub(super) fn take_ejections(&mut self) -> u64 {
        self.outliers.take_ejections()
    }

    /// Notes that the process at the other end is alive.
    pub(super) fn heard(&mut self, id: LinkId) {
        if let Some(at) = self.place(id) {
            self.members[at].misses = 0;
        }
    }

    fn place(&self, id: LinkId) -> Option<usize> {
        self.members.binary_search_by_key(&id, |member| member.id).ok()
    }

    /// Returns an ejected link whose time is over: the call finds out whether it has recovered.
    fn probe(&mut self, demand: &Demand<'_>) -> Option<usize> {
        let is_due = |at: Option<Millis>| at.is_some_and(|at| at <= demand.now);
        if demand.purpose == Purpose::Hedge || !is_due(self.next_probe) {
            return None;
        }
        let has_lasted = |member: &Member| {
            is_due(due(member)) && matches!(member.health.standing, Standing::Probing { is_stream: true, .. })
        };
        let mut changed = false;
        for member in self.members.iter_mut().filter(|member| has_lasted(member)) {
            member.health.take_back(demand.now);
            changed = true;
        }
        if changed {
            self.update();
        }
        let can = |member: &Member| {
            is_due(due(member))
                && member.misses == 0
                && !demand.avoid.contains(&member.id)
                && demand.objection(member, self.max_in_flight) == Objection::Ejected
        };
        let at = self.members.iter().position(can)?;
        self.probes = self.probes.wrapping_add(1);
        let (probe, until) = (self.probes, demand.now + PROBE_TIME);
        let is_stream = demand.purpose == Purpose::Stream;
        let health = &mut self.members[at].health;
        if let Standing::Ejected { reason, .. } | Standing::Probing { reason, .. } = health.standing {
            health.standing = Standing::Probing { reason, probe, until, is_stream };
        }
        self.next_probe = next_probe(&self.members);
        Some(at)
    }

    fn choose(&mut self, demand: &Demand<'_>) -> Option<usize> {
        let is_near = self.near_share == ALL || self.near_share > self.random.u32(..ALL);
        let [near, far] = self.calls;
        let (group, calls) = if is_near { (&mut self.near, near) } else { (&mut self.far, far) };
        group.choose(&self.members, demand, calls, self.max_in_flight, &mut self.random)
    }

    /// Returns the link that the least speaks against, when the balancer has found none. All are looked at.
    fn least_bad(&self, demand: &Demand<'_>) -> Option<usize> {
        let objections = self.members.iter().map(|member| demand.objection(member, self.max_in_flight));
        let possible = self
            .members
            .iter()
            .zip(objections)
            .enumerate()
            .filter(|(_, (_, why))| *why != Objection::Impossible);
        let best = possible.min_by(|(_, (a, why_a)), (_, (b, why_b))| {
            (why_a, !a.is_near).cmp(&(why_b, !b.is_near)).then_with(|| a.cmp_load(b, demand.now))
        });
        best.map(|(at, _)| at)
    }

    /// Takes account of a change of standings.
    fn update(&mut self) {
        self.outliers.keep_limit(&mut self.members);
        self.near.sample(&self.members, |member| member.is_near);
        self.far.sample(&self.members, |member| !member.is_near);
        self.near_share = near_share(self.near.weight(), self.wanted_near, self.far.weight());
        self.next_probe = next_probe(&self.members);
    }
}

/// Returns true if the call is the probe that a link waits for.
fn is_its_probe(member: &Member, picked: Picked) -> bool {
    matches!(member.health.standing, Standing::Probing { probe, .. } if picked.probe == Some(probe))
}
