//! Findings of a run, for people and for programs. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::day::{Day, Severity};

/// End of a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The client did what is required.
    Clean,
    /// It did not.
    Failed,
    /// The command does not play the role, or never comes into the situation.
    NotPlayed,
    /// The day could not be judged: the command cannot be started, or does not work on a good day.
    NotRun,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "clean",
            Self::Failed => "failed",
            Self::NotPlayed => "not played",
            Self::NotRun => "not run",
        })
    }
}

/// One day, with its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The day.
    pub day: &'static Day,
    /// The end.
    pub verdict: Verdict,
    /// Events in place of the required ones; the reason of a day that was not run.
    pub happened: String,
    /// Events of the day, in order, with their times; then the last words of the processes.
    pub story: Vec<String>,
    /// Number of times that the day was played.
    pub tries: u32,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, happened) = (self.day, &self.happened);
        match self.verdict {
            Verdict::Failed => {
                writeln!(f, "{}: {}", day.severity, day.name)?;
                writeln!(f, "  played    {}", day.plays)?;
                writeln!(f, "  required  {}", day.requires)?;
                writeln!(f, "  happened  {happened}")?;
                writeln!(f, "  in life   {}", day.why)?;
            }
            verdict if happened.is_empty() => return writeln!(f, "{verdict}: {}", day.name),
            verdict => writeln!(f, "{verdict}: {}: {happened}", day.name)?,
        }
        self.story.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// Findings of a run, in the order of the days. Its `Display` is for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The days, each with its end.
    pub findings: Vec<Finding>,
    /// Duration of the run.
    pub took: Duration,
}

impl Report {
    /// Returns the names of the days with a verdict.
    pub fn named(&self, verdict: Verdict) -> impl Iterator<Item = &'static str> {
        self.findings.iter().filter(move |finding| finding.verdict == verdict).map(|finding| finding.day.name)
    }

    /// Returns the names of the days that show a bug. Advice is left out.
    #[must_use]
    pub fn bugs(&self) -> BTreeSet<&'static str> {
        let is_bug =
            |finding: &&Finding| finding.verdict == Verdict::Failed && finding.day.severity == Severity::Bug;
        self.findings.iter().filter(is_bug).map(|finding| finding.day.name).collect()
    }

    /// Compares the days that failed, bugs and advice, with those that are known to fail.
    #[must_use]
    pub fn compare(&self, known: &BTreeSet<String>) -> Surprises {
        let new = self.named(Verdict::Failed).filter(|name| !known.contains(*name)).collect();
        let gone = self.named(Verdict::Clean).filter(|name| known.contains(*name)).collect();
        Surprises { new, gone }
    }

    /// Returns the report as JSON, one object:
    ///
    /// `{"took_ms", "days": [{"name", "role", "severity", "verdict", "plays", "requires", "why", "happened", "story",
    /// "tries"}]}`, where `severity` is `bug` or `advice`, `verdict` is `clean`, `failed`, `not played` or `not run`, and
    /// `story` is a list of lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        let day = |finding: &Finding| {
            json!({
                "name": finding.day.name,
                "role": finding.day.role.name(),
                "severity": finding.day.severity.to_string(),
                "verdict": finding.verdict.to_string(),
                "plays": finding.day.plays,
                "requires": finding.day.requires,
                "why": finding.day.why,
                "happened": finding.happened,
                "story": finding.story,
                "tries": finding.tries,
            })
        };
        let days: Vec<Value> = self.findings.iter().map(day).collect();
        let took = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        json!({ "took_ms": took, "days": days }).to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verdict in [Verdict::NotRun, Verdict::Failed] {
            let told = |finding: &&Finding| finding.verdict == verdict && !finding.happened.is_empty();
            self.findings.iter().filter(told).try_for_each(|finding| writeln!(f, "{finding}"))?;
        }
        for verdict in [Verdict::Clean, Verdict::NotPlayed, Verdict::NotRun] {
            let names: Vec<_> = self.named(verdict).collect();
            if !names.is_empty() {
                writeln!(f, "{verdict}: {}", names.join(", "))?;
            }
        }
        let count = |verdict| self.named(verdict).count();
        let bugs = self.bugs().len();
        write!(
            f,
            "{} days in {:.1} s: {} clean, {bugs} with a bug, {} with advice, {} not played, {} not run",
            self.findings.len(),
            self.took.as_secs_f64(),
            count(Verdict::Clean),
            count(Verdict::Failed) - bugs,
            count(Verdict::NotPlayed),
            count(Verdict::NotRun),
        )
    }
}

/// Differences from the days that are known to fail.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Surprises {
    /// Days that failed and are not known to.
    pub new: BTreeSet<&'static str>,
    /// Days that are known to fail and were clean.
    pub gone: BTreeSet<&'static str>,
}

impl Surprises {
    /// Returns true if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty()
    }
}

impl fmt::Display for Surprises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (names, what) in
            [(&self.new, "failed, and is not known to"), (&self.gone, "is known to fail, and was clean")]
        {
            for name in names {
                write!(f, "{separator}{name} {what}")?;
                separator = "\n";
            }
        }
        Ok(())
    }
}
