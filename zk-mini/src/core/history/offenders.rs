//! Checks that tests make: reads per change, connections told per change.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use common::log::Shown;
use foldhash::{HashMap, HashMapExt};
use zk_wire::{OpCode, SessionId, path};

use crate::core::history::entry::{Entry, EntryKind};
use crate::core::history::view::History;

/// Maximum number of offenders that are printed.
const PRINTED: usize = 50;

/// Result of a check that fails: those who offend against it. Both `{}` and `{:?}` print the list, so that `unwrap` does.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Offenders {
    /// Rule that was broken.
    pub rule: String,
    /// Offenders, a line for each.
    pub lines: Vec<String>,
}

impl Offenders {
    /// Returns an error if there are offenders.
    pub(crate) fn check(rule: impl Into<String>, lines: Vec<String>) -> Result<(), Self> {
        if lines.is_empty() { Ok(()) } else { Err(Self { rule: rule.into(), lines }) }
    }
}

impl fmt::Display for Offenders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.rule)?;
        for line in self.lines.iter().take(PRINTED) {
            write!(f, "\n  {line}")?;
        }
        match self.lines.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl fmt::Debug for Offenders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Offenders {}

/// Number of requests by operation and session; see [`History::requests`].
pub type RequestCounts = BTreeMap<(OpCode, Option<SessionId>), usize>;

/// Reads of one client after one change.
struct Reads<'a> {
    count: usize,
    by: &'a Entry,
    /// Change of which the client was reading; `None` before the first.
    after: Option<&'a Entry>,
}

impl History {
    /// Counts the requests by operation and session.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    /// use zk_wire::OpCode;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let begin = zk.mark();
    /// client.get("/zookeeper").await?;
    /// let requests = zk.history().since(&begin).requests();
    /// let reads: usize = requests.iter().filter(|((op, _), _)| *op == OpCode::GET_DATA).map(|(_, count)| count).sum();
    /// assert_eq!(reads, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn requests(&self) -> RequestCounts {
        let mut counts = BTreeMap::new();
        for entry in self.iter().filter(|entry| entry.kind == EntryKind::Request) {
            if let Some(op) = entry.op {
                *counts.entry((op, entry.session)).or_default() += 1;
            }
        }
        counts
    }

    /// Checks that no client reads a node, or its list of children, more than `most` times for one change of it. The reads
    /// before the first change count as for one.
    ///
    /// # Errors
    /// [`Offenders`], with the client, what it read, how often, and after which change.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// for _ in 0..3 {
    ///     client.get("/zookeeper").await?;
    /// }
    /// zk.history().reads_per_change(3)?;
    /// let error = zk.history().reads_per_change(2).unwrap_err().to_string();
    /// assert!(error.contains("getData /zookeeper 3 times, before any change of it"), "{error}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn reads_per_change(&self, most: usize) -> Result<(), Offenders> {
        let mut nodes: HashMap<&str, &Entry> = HashMap::new();
        let mut lists: HashMap<&str, &Entry> = HashMap::new();
        let mut reads: HashMap<_, Reads<'_>> = HashMap::new();
        for entry in self {
            let Some(path) = entry.path.as_deref() else { continue };
            if entry.kind == EntryKind::Transaction {
                nodes.insert(path, entry);
                if let Some((parent, _)) = path::split(path).filter(|_| entry.what != "changed") {
                    lists.insert(&path[..parent.len()], entry);
                }
            } else if entry.is_read() {
                let is_list = matches!(
                    entry.op,
                    Some(OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2 | OpCode::GET_ALL_CHILDREN_NUMBER)
                );
                let after = if is_list { lists.get(path) } else { nodes.get(path) }.copied();
                let key = (entry.session, path, is_list, after.map(|change| change.seq));
                reads.entry(key).or_insert(Reads { count: 0, by: entry, after }).count += 1;
            }
        }
        let mut offenders: Vec<_> = reads.into_values().filter(|reads| reads.count > most).collect();
        offenders.sort_unstable_by_key(|reads| reads.by.seq);
        let line = |reads: Reads<'_>| {
            let (author, op) = (reads.by.author(), &reads.by.what);
            let path = Shown::text(reads.by.path.as_deref().unwrap_or_default()).to_string();
            let after = match reads.after {
                Some(change) => format!("after this change: {change}"),
                None => "before any change of it".into(),
            };
            format!("{author}: {op} {path} {} times, {after}", reads.count)
        };
        let rule = format!("a client reads a node more than {most} times for one change of it");
        Offenders::check(rule, offenders.into_iter().map(line).collect())
    }

    /// Checks that no change wakes more than `most` connections: the *herd effect*, in which all who wait for a lock are told
    /// when it is free, though only one can have it.
    ///
    /// # Errors
    /// [`Offenders`], with each such watch event.
    pub fn woken_per_change(&self, most: u32) -> Result<(), Offenders> {
        let events = self.iter().filter(|entry| entry.told_count > most);
        let lines = events.map(ToString::to_string).collect();
        Offenders::check(format!("a change wakes more than {most} connections"), lines)
    }
}
