//! A run: the good days first, then all others, several at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use common::TokioClock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::day::Day;
use crate::days::days;
use crate::error::Error;
use crate::report::{Finding, Report, Verdict};
use crate::role::Role;
use crate::stage::Stage;
use crate::trouble::Trouble;

/// Time for a process to be ready unless set.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// Number of days at a time unless set.
const AT_A_TIME: usize = 16;
/// Maximum number of times that a day is played.
const MOST_TRIES: u32 = 3;

/// Configures a run; finish with [`run`](Self::run).
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `run`"]
pub struct Torture {
    command: Vec<OsString>,
    only: BTreeSet<String>,
    known: BTreeSet<String>,
    at_a_time: usize,
    ready_limit: Duration,
}

impl Torture {
    /// Configures a run of a command: the program and its arguments.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        let (only, known) = (BTreeSet::new(), BTreeSet::new());
        Self { command, only, known, at_a_time: AT_A_TIME, ready_limit: READY_LIMIT }
    }

    /// Plays only the days with these names, and the good days of their roles. Default: all.
    pub fn only(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.only = names.into_iter().map(Into::into).collect();
        self
    }

    /// Names the days that are known to fail: they are not played again when they do. Compare the report with the same
    /// names afterwards. Default: none.
    pub fn known(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.known = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the number of days that are played at a time, each with its own server. Default: 16; a day mostly waits.
    pub fn at_a_time(mut self, days: NonZeroUsize) -> Self {
        self.at_a_time = days.get();
        self
    }

    /// Sets the time that a process may take to start and to be ready, before anything bad is done to it. Default: 20 s,
    /// for a JVM on a busy machine.
    pub fn ready_limit(mut self, limit: Duration) -> Self {
        self.ready_limit = limit;
        self
    }

    /// Plays the days. Needs a tokio runtime with its drivers. If the future is dropped, all processes are killed.
    ///
    /// A verdict that surprises, which is a failure of a day that is not [`known`](Self::known) to fail, or the opposite,
    /// is played again, three times at most, and the majority counts: a machine without a free moment must not make
    /// findings.
    ///
    /// # Errors
    /// [`Error`] if a name is not that of a day, or if there is no command.
    pub async fn run(self) -> Result<Report, Error> {
        let clock = TokioClock::start();
        let all = days();
        if let Some(unknown) =
            self.only.iter().chain(&self.known).find(|name| all.iter().all(|day| day.name != **name))
        {
            return Err(Error::NoSuchDay(unknown.clone()));
        }
        if self.command.is_empty() {
            return Err(Error::NoCommand);
        }
        let chosen: Vec<_> =
            all.into_iter().filter(|day| self.only.is_empty() || self.only.contains(day.name)).collect();
        let roles: BTreeSet<_> = chosen.iter().map(|day| day.role).collect();
        let good_days: Vec<_> = roles.iter().filter_map(|role| good_day(*role)).collect();
        let mut findings = self.play(&good_days).await;
        let by_role: BTreeMap<_, _> =
            findings.values().map(|finding| (finding.day.role, finding.clone())).collect();
        let (fit, unfit): (Vec<_>, Vec<_>) =
            chosen.iter().filter(|day| !findings.contains_key(day.name)).partition(|day| {
                by_role
                    .get(&day.role)
                    .is_some_and(|good| matches!(good.verdict, Verdict::Clean | Verdict::Failed))
            });
        let fit: Vec<_> = fit.into_iter().copied().collect();
        findings.extend(self.play(&fit).await);
        for day in unfit {
            let Some(good) = by_role.get(&day.role) else { continue };
            findings.insert(day.name, not_even(day, good));
        }
        let order = days().into_iter().filter_map(|day| findings.remove(day.name));
        Ok(Report { findings: order.collect(), took: clock.now().into() })
    }

    /// Plays days, and those with a surprise again.
    async fn play(&self, days: &[&'static Day]) -> BTreeMap<&'static str, Finding> {
        let mut tries: BTreeMap<&'static str, Vec<Finding>> = BTreeMap::new();
        let mut next = days.to_vec();
        while !next.is_empty() {
            for finding in self.play_once(&next).await {
                tries.entry(finding.day.name).or_default().push(finding);
            }
            next.retain(|day| tries.get(day.name).is_some_and(|tries| !self.is_decided(day, tries)));
        }
        tries.into_iter().filter_map(|(name, tries)| Some((name, majority(tries)?))).collect()
    }

    async fn play_once(&self, days: &[&'static Day]) -> Vec<Finding> {
        let command: Arc<[OsString]> = self.command.clone().into();
        let ready_limit = self.ready_limit;
        let places = Arc::new(Semaphore::new(self.at_a_time));
        let mut playing = JoinSet::new();
        for day in days.iter().copied() {
            let (command, places) = (Arc::clone(&command), Arc::clone(&places));
            playing.spawn(async move {
                // Nobody closes the semaphore.
                let _place = places.acquire().await;
                play(day, command, ready_limit).await
            });
        }
        playing.join_all().await
    }

    /// Returns true if a day need not be played again.
    fn is_decided(&self, day: &Day, tries: &[Finding]) -> bool {
        let is_expected = |finding: &Finding| match finding.verdict {
            Verdict::Clean => !self.known.contains(day.name),
            Verdict::Failed => self.known.contains(day.name),
            Verdict::NotPlayed => true,
            Verdict::NotRun => good_day(day.role).is_some_and(|good| good.name == day.name),
        };
        let expected = tries.iter().filter(|finding| is_expected(finding)).count();
        let surprising = tries.len() - expected;
        (tries.len() == 1 && expected == 1) || expected.max(surprising) >= 2
    }
}

/// Plays one day.
async fn play(day: &'static Day, command: Arc<[OsString]>, ready_limit: Duration) -> Finding {
    let finding = |verdict, happened, story| Finding { day, verdict, happened, story, tries: 1 };
    let mut stage = match Stage::open(command, ready_limit).await {
        Ok(stage) => stage,
        Err(error) => return finding(Verdict::NotRun, error.to_string(), Vec::new()),
    };
    let end = (day.run)(&mut stage).await;
    let story = stage.close();
    match end {
        Ok(()) => finding(Verdict::Clean, String::new(), story),
        Err(Trouble::Failed(happened)) => finding(Verdict::Failed, happened, story),
        Err(Trouble::NotReady(happened)) => finding(Verdict::NotRun, happened, story),
        Err(Trouble::NotPlayed(reason)) => finding(Verdict::NotPlayed, reason, Vec::new()),
    }
}

/// Returns the last finding with the most frequent verdict.
fn majority(tries: Vec<Finding>) -> Option<Finding> {
    let count = u32::try_from(tries.len()).unwrap_or(MOST_TRIES);
    let votes = |verdict| tries.iter().filter(|finding| finding.verdict == verdict).count();
    let most = tries.iter().map(|finding| finding.verdict).max_by_key(|verdict| votes(*verdict))?;
    let finding = tries.into_iter().rfind(|finding| finding.verdict == most)?;
    Some(Finding { tries: count, ..finding })
}

fn good_day(role: Role) -> Option<&'static Day> {
    days().into_iter().find(|day| day.role == role)
}

/// Returns the finding of a day whose role does not even work on a good day, which says why.
fn not_even(day: &'static Day, good: &Finding) -> Finding {
    Finding { day, verdict: good.verdict, happened: String::new(), story: Vec::new(), tries: 0 }
}
