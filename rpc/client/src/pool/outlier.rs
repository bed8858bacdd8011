//! The rules by which a link whose process does worse than the others is ejected: it gets no calls for a while, and then
//! one, which decides. No I/O.

use std::mem;
use std::time::Duration;

use common::{Backoff, Millis};
use fastrand::Rng;
use rpc_wire::Code;

use super::LinkOutcome;
use super::health::{Counts, EjectionReason, Standing};
use super::member::Member;

/// Time between two comparisons of latencies.
const LOOK: Millis = Millis(1_000);

/// Time after a return in which a further ejection is longer than the last.
const RELAPSE: Millis = Millis(60_000);

/// Rules of outlier ejection: an instance that does worse than the others gets no calls for a while.
///
/// An instance is ejected if it fails while others do not: after failures in a row, or when a large part of the calls of
/// the last seconds failed, or when its answers take several times as long as those of the others. After the ejection one
/// call goes to it; if that succeeds, the instance is back, otherwise the next ejection is twice as long.
///
/// ```
/// use std::time::Duration;
/// use rpc_client::{Code, OutlierEjection};
///
/// let strict = OutlierEjection::default()
///     .consecutive_failures(3)
///     .failure_rate(20, 50) // 20 % of at least 50 calls
///     .slower_than(3, Duration::from_millis(50)) // three times the median, and 50 ms over it
///     .failures([Code::UNAVAILABLE, Code::INTERNAL]);
/// let none = OutlierEjection::off();
/// # drop((strict, none));
/// ```
#[derive(Clone, Debug)]
pub struct OutlierEjection {
    consecutive: u32,
    percent: u32,
    min_calls: u32,
    window: Millis,
    slower: u32,
    slower_least: Duration,
    max_percent: u32,
    times: (Millis, Millis),
    failures: FailureCodes,
}

/// Codes that count as failures of an instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FailureCodes(u32);

impl FailureCodes {
    fn new(codes: impl IntoIterator<Item = Code>) -> Self {
        Self(codes.into_iter().fold(0, |bits, code| bits | Self::bit(code)))
    }

    pub(crate) fn contain(self, code: Code) -> bool {
        self.0 & Self::bit(code) != 0
    }

    /// Returns the bit of a code; none for a code without a name.
    fn bit(code: Code) -> u32 {
        1_u32.checked_shl(code.0.into()).unwrap_or(0)
    }
}

impl Default for OutlierEjection {
    fn default() -> Self {
        Self {
            consecutive: 5,
            percent: 50,
            min_calls: 20,
            window: Millis(10_000),
            slower: 5,
            slower_least: Duration::from_millis(10),
            max_percent: 50,
            times: (Millis(1_000), Millis(60_000)),
            failures: FailureCodes::new([
                Code::UNKNOWN,
                Code::DEADLINE_EXCEEDED,
                Code::RESOURCE_EXHAUSTED,
                Code::UNIMPLEMENTED,
                Code::INTERNAL,
                Code::UNAVAILABLE,
                Code::DATA_LOSS,
            ]),
        }
    }
}

impl OutlierEjection {
    /// Ejects nobody. Failures in a row still make an instance less attractive for a second.
    #[must_use]
    pub fn off() -> Self {
        Self { consecutive: 0, percent: 0, slower: 0, ..Self::default() }
    }

    /// Sets the number of failures in a row after which an instance is ejected. Default: 5; 0 for no such rule.
    #[must_use]
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive = failures;
        self
    }

    /// Ejects an instance when `percent` of its calls in the window failed, of at least `min_calls`, and no more than half as
    /// large a part of the calls to the others. Default: 50 % of 20; with 0 % no such rule.
    #[must_use]
    pub fn failure_rate(mut self, percent: u32, min_calls: u32) -> Self {
        (self.percent, self.min_calls) = (percent, min_calls.max(1));
        self
    }

    /// Sets the length of the window in which calls are counted. Default: 10 s.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = Millis::from(window).max(Millis(2));
        self
    }

    /// Ejects an instance whose answers take `times` as long as the median of all instances, on average over the window, and
    /// at least `least` longer. Default: 5 times and 10 ms; with 0 no such rule.
    #[must_use]
    pub fn slower_than(mut self, times: u32, least: Duration) -> Self {
        (self.slower, self.slower_least) = (times, least);
        self
    }

    /// Sets the largest part of the instances that may be ejected at a time, in percent. One always stays. Default: 50.
    #[must_use]
    pub fn max_ejected_percent(mut self, percent: u32) -> Self {
        self.max_percent = percent.min(100);
        self
    }

    /// Sets the length of the first ejection and the most that it grows to, doubling with each that follows a failed probe, or
    /// within a minute after the return. Default: 1 s and 60 s; each up to a half shorter, by chance.
    #[must_use]
    pub fn ejection_time(mut self, first: Duration, most: Duration) -> Self {
        self.times = (first.into(), most.into());
        self
    }

    /// Sets the codes of answers that count as failures of the instance. A call without an answer in time always counts.
    /// Default: `UNKNOWN`, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` and
    /// `DATA_LOSS`. The others say something about the call.
    #[must_use]
    pub fn failures(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.failures = FailureCodes::new(codes);
        self
    }

    pub(crate) fn failure_codes(&self) -> FailureCodes {
        self.failures
    }
}

/// End of a call on a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallEnd {
    pub(super) outcome: LinkOutcome,
    /// Time to the end, if that says something of the process.
    pub(super) took: Option<Duration>,
    /// The call was the probe that the link waits for.
    pub(super) is_probe: bool,
}

/// The judge of all links.
#[derive(Debug)]
pub(super) struct Outliers {
    rules: OutlierEjection,
    backoff: Backoff,
    half: Millis,
    next_look: Millis,
    /// Median of the mean latencies at the last look, in microseconds.
    median: Option<u64>,
    /// Number of ejections that nobody has counted yet.
    ejections: u64,
}

impl Outliers {
    pub(super) fn new(rules: OutlierEjection) -> Self {
        let (first, most) = rules.times;
        let half = Millis(rules.window.0 / 2);
        Self {
            backoff: Backoff::new(first, most),
            half,
            next_look: Millis(0),
            median: None,
            ejections: 0,
            rules,
        }
    }

    /// Notes the end of a call. Returns true if the standing of a link has changed.
    pub(super) fn finish(
        &mut self,
        now: Millis,
        members: &mut [Member],
        at: usize,
        CallEnd { outcome, took, is_probe }: CallEnd,
        random: &mut Rng,
    ) -> bool {
        let Some(Member { health, .. }) = members.get_mut(at) else { return false };
        let failed = match outcome {
            LinkOutcome::Answered => false,
            LinkOutcome::Failed | LinkOutcome::Missed => true,
            LinkOutcome::Overtaken if health.is_in() => false,
            LinkOutcome::Overtaken | LinkOutcome::Neither => {
                return is_probe && give_up(now, &mut members[at]);
            }
        };
        // A failure may be fast, and says nothing of the time to a result.
        let micros = took.filter(|_| outcome != LinkOutcome::Failed).map(micros);
        let (timed, sum) = (micros.is_some().into(), micros.unwrap_or(0));
        health.window.add(now, self.half, Counts { calls: 1, failed: failed.into(), timed, micros: sum });
        micros.into_iter().for_each(|micros| health.took(micros));
        match outcome {
            LinkOutcome::Answered => health.succeed(),
            _ if failed => health.fail(now),
            _ => {}
        }
        if let Standing::Probing { reason, .. } = health.standing
            && is_probe
        {
            if failed || micros.is_some_and(|micros| self.is_slow(micros)) {
                self.eject(now, &mut members[at], reason, random);
            } else {
                health.take_back(now);
            }
            return true;
        }
        let mut changed = false;
        if let Some(reason) = failed.then(|| self.verdict(members, at)).flatten() {
            changed = self.eject_if_allowed(now, members, at, reason, random);
        }
        if now >= self.next_look {
            self.next_look = now + LOOK;
            changed |= self.compare(now, members, random);
        }
        changed
    }

    /// Notes that the connection of a link was lost under its calls: one failure, however many they were.
    pub(super) fn lose(&mut self, now: Millis, member: &mut Member, random: &mut Rng) {
        member.health.fail(now);
        let consecutive = self.rules.consecutive;
        match member.health.standing {
            Standing::Probing { reason, .. } => self.eject(now, member, reason, random),
            Standing::In if consecutive > 0 && member.health.in_row >= consecutive => {
                self.eject(now, member, EjectionReason::ConsecutiveFailures, random);
            }
            Standing::In | Standing::Ejected { .. } => {}
        }
    }

    /// Returns the reason to eject a link that has just failed, if there is one.
    fn verdict(&self, members: &[Member], at: usize) -> Option<EjectionReason> {
        let Member { health, .. } = &members[at];
        if !health.is_in() {
            return None;
        }
        let OutlierEjection { consecutive, percent, min_calls, .. } = self.rules;
        let others =
            || members.iter().enumerate().filter(|(other, member)| *other != at && member.health.is_in());
        // Not at each failure: when all of them fail, this is asked all the time.
        if consecutive > 0 && health.in_row >= consecutive && health.in_row.is_multiple_of(consecutive) {
            let failing = others().filter(|(_, other)| other.health.in_row > 1).count();
            if failing * 2 < others().count() {
                return Some(EjectionReason::ConsecutiveFailures);
            }
        }
        let own = health.window.sum();
        if percent > 0
            && own.calls >= u64::from(min_calls)
            && own.failed * 100 >= own.calls * u64::from(percent)
        {
            let all = others().fold(Counts::default(), |sum, (_, other)| sum.plus(other.health.window.sum()));
            let is_worse = all.failed.saturating_mul(2).saturating_mul(own.calls)
                <= own.failed.saturating_mul(all.calls);
            return is_worse.then_some(EjectionReason::FailureRate);
        }
        None
    }

    /// Ejects the links whose answers take much longer than those of the others.
    fn compare(&mut self, now: Millis, members: &mut [Member], random: &mut Rng) -> bool {
        if self.rules.slower == 0 {
            return false;
        }
        let mut means: Vec<(u64, usize)> = Vec::new();
        for (at, member) in members.iter().enumerate().filter(|(_, member)| member.health.is_in()) {
            let sum = member.health.window.sum();
            if sum.timed >= self.rules.min_calls.into() {
                means.push((sum.micros / sum.timed, at));
            }
        }
        means.sort_unstable();
        // Of two, the faster one.
        self.median = means.len().checked_sub(1).and_then(|last| means.get(last / 2)).map(|(mean, _)| *mean);
        let slow = means.into_iter().rev().take_while(|(mean, _)| self.is_slow(*mean));
        let slow: Vec<usize> = slow.map(|(_, at)| at).collect();
        let mut changed = false;
        for at in slow {
            changed |= self.eject_if_allowed(now, members, at, EjectionReason::Latency, random);
        }
        changed
    }

    fn is_slow(&self, micros: u64) -> bool {
        let least = self::micros(self.rules.slower_least);
        self.rules.slower > 0
            && self.median.is_some_and(|median| {
                micros > median.saturating_mul(self.rules.slower.into())
                    && micros > median.saturating_add(least)
            })
    }

    fn eject_if_allowed(
        &mut self,
        now: Millis,
        members: &mut [Member],
        at: usize,
        reason: EjectionReason,
        random: &mut Rng,
    ) -> bool {
        let is_allowed = out(members) < self.most(members);
        if is_allowed {
            self.eject(now, &mut members[at], reason, random);
        }
        is_allowed
    }

    fn eject(&mut self, now: Millis, member: &mut Member, reason: EjectionReason, random: &mut Rng) {
        let health = &mut member.health;
        if health.returned_at.is_some_and(|returned| now.since(returned) >= RELAPSE) {
            health.relapses = 0;
        }
        health.returned_at = None;
        let until = now + self.backoff.pause(health.relapses, random);
        health.standing = Standing::Ejected { until, reason };
        health.relapses = health.relapses.saturating_add(1);
        health.ejections = health.ejections.saturating_add(1);
        self.ejections += 1;
    }

    /// Returns the number of ejections since the last time.
    pub(super) fn take_ejections(&mut self) -> u64 {
        mem::take(&mut self.ejections)
    }

    /// Takes back what is ejected beyond the limit, after links have gone.
    pub(super) fn keep_limit(&self, members: &mut [Member]) {
        let (most, out) = (self.most(members), out(members));
        for _ in most..out {
            let ejected = members.iter_mut().filter(|member| due(member).is_some() && member.weight > 0);
            if let Some(first) = ejected.min_by_key(|member| due(member)) {
                first.health.standing = Standing::In;
            }
        }
    }

    /// Returns the number of links that may be ejected.
    fn most(&self, members: &[Member]) -> usize {
        let all = members.iter().filter(|member| member.weight > 0).count();
        (all * self.rules.max_percent as usize / 100).min(all.saturating_sub(1))
    }
}

/// Lets the next call be the probe after one that has shown nothing.
fn give_up(now: Millis, member: &mut Member) -> bool {
    let Standing::Probing { reason, .. } = member.health.standing else { return false };
    member.health.standing = Standing::Ejected { until: now, reason };
    true
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Returns the number of links that are ejected.
fn out(members: &[Member]) -> usize {
    members.iter().filter(|member| member.weight > 0 && !member.health.is_in()).count()
}

/// Returns the time at which the first ejected link may be probed.
pub(super) fn next_probe(members: &[Member]) -> Option<Millis> {
    members.iter().filter_map(due).min()
}

/// Returns the time at which a link may be probed, if it is ejected, or probed once more.
pub(super) fn due(member: &Member) -> Option<Millis> {
    match member.health.standing {
        Standing::Ejected { until, .. } | Standing::Probing { until, .. } => Some(until),
        Standing::In => None,
    }
}
