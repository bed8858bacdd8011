//! Views of the history: entries in order, filtered.

use std::collections::BTreeSet;
use std::fmt;
use std::iter::Peekable;

use zk_wire::{ByteString, SessionId, Zxid};

use crate::core::Core;
use crate::core::faults::{Glob, GlobError};
use crate::core::history::Recorder;
use crate::core::history::entry::{Entry, EntryKind};
use crate::core::history::record::{Record, What};
use crate::core::inspect::WatchKind;

/// Entries of the history at the time of the call, oldest first. The filters narrow it.
///
/// It is printed for people, one entry a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// Keeps what happened after a moment: a [`Mark`], or a transaction.
    #[must_use]
    pub fn since(self, moment: impl Into<Moment>) -> Self {
        let moment = moment.into();
        self.filter(|entry| moment.is_before(entry))
    }

    /// Keeps what happened before a moment.
    #[must_use]
    pub fn until(self, moment: impl Into<Moment>) -> Self {
        let moment = moment.into();
        self.filter(|entry| !moment.is_before(entry))
    }

    /// Keeps what is about a path. In the pattern `*` stands for any characters within one name, and `/a/**` for everything
    /// below `/a`.
    ///
    /// # Panics
    /// If the text is not such a pattern; see [`try_path`](Self::try_path).
    #[must_use]
    pub fn path(self, pattern: &str) -> Self {
        match self.try_path(pattern) {
            Ok(history) => history,
            Err(error) => panic!("\"{pattern}\" is no pattern of paths: {error}"),
        }
    }

    /// Keeps what is about a path, as [`path`](Self::path).
    ///
    /// # Errors
    /// [`GlobError`] if the text is not such a pattern.
    pub fn try_path(self, pattern: &str) -> Result<Self, GlobError> {
        let glob = Glob::new(pattern)?;
        Ok(self.filter(|entry| entry.path.as_deref().is_some_and(|path| glob.matches(path))))
    }

    /// Keeps what is about a session.
    #[must_use]
    pub fn session(self, session: SessionId) -> Self {
        self.filter(|entry| entry.session == Some(session))
    }

    /// Keeps the entries of a class.
    #[must_use]
    pub fn kind(self, kind: EntryKind) -> Self {
        self.filter(|entry| entry.kind == kind)
    }

    /// Keeps the entries for which `keep` returns `true`.
    #[must_use]
    pub fn filter(mut self, keep: impl FnMut(&Entry) -> bool) -> Self {
        self.entries.retain(keep);
        self
    }

    /// Keeps the last `count` entries.
    #[must_use]
    pub fn last(mut self, count: usize) -> Self {
        self.entries.drain(..self.entries.len().saturating_sub(count));
        self
    }

    /// Returns the entries, oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns `true` if there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

impl IntoIterator for History {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a History {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Moment in the history of a server, with what there was then; see [`Handle::mark`](crate::Handle::mark).
#[derive(Clone, Debug)]
pub struct Mark {
    pub(crate) next_seq: u64,
    /// Last transaction before the moment.
    pub zxid: Zxid,
    /// Sessions that were alive.
    pub(crate) sessions: Vec<SessionId>,
    /// Watches that were set. The connection does not matter: clients set them again on another.
    pub(crate) watches: BTreeSet<(ByteString, WatchKind, Option<SessionId>)>,
}

/// Moment that splits a [`History`]: a [`Mark`], or the last transaction before it.
#[derive(Clone, Copy, Debug)]
pub struct Moment(By);

#[derive(Clone, Copy, Debug)]
enum By {
    Seq(u64),
    Zxid(Zxid),
}

impl Moment {
    fn is_before(&self, entry: &Entry) -> bool {
        match self.0 {
            By::Seq(next) => entry.seq >= next,
            By::Zxid(zxid) => entry.zxid > zxid,
        }
    }
}

impl From<Mark> for Moment {
    fn from(mark: Mark) -> Self {
        (&mark).into()
    }
}

impl From<&Mark> for Moment {
    fn from(mark: &Mark) -> Self {
        Self(By::Seq(mark.next_seq))
    }
}

impl From<Zxid> for Moment {
    fn from(zxid: Zxid) -> Self {
        Self(By::Zxid(zxid))
    }
}

impl Core {
    /// Returns up to `limit` entries from number `seq` on. Entries that are no longer kept are left out.
    #[must_use]
    pub fn entries(&self, seq: u64, limit: usize) -> Vec<Entry> {
        let Recorder { requests, others, .. } = &self.history;
        // Earlier requests are no longer kept.
        let oldest =
            requests.since(0).next().filter(|_| requests.is_cut()).map_or(0, |(record, _)| record.seq);
        let requests = requests.since(seq).map(|(record, text)| (*record, text));
        // One earlier: it may be a change whose request is the first entry.
        let others = others.since(seq.saturating_sub(1)).flat_map(move |(record, text)| {
            let request = record.request().filter(|request| request.seq > oldest);
            [Some(*record), request].into_iter().flatten().map(move |record| (record, text))
        });
        let others = others.filter(|(record, _)| record.seq >= seq && record.what != What::SetQuietly);
        let merged = Merged { requests: requests.peekable(), others: others.peekable() };
        merged.take(limit).map(|(record, text)| self.entry(&record, text)).collect()
    }

    /// Returns the present moment.
    pub(crate) fn mark(&self) -> Mark {
        let watches = self.watches().into_iter().map(|watch| (watch.path, watch.kind, watch.session));
        Mark {
            next_seq: self.history.next_seq(),
            zxid: self.last_zxid,
            sessions: self.sessions.ids(),
            watches: watches.collect(),
        }
    }
}

/// Records of both rings, in order.
struct Merged<A: Iterator, B: Iterator> {
    requests: Peekable<A>,
    others: Peekable<B>,
}

impl<'a, A, B> Iterator for Merged<A, B>
where
    A: Iterator<Item = (Record, &'a [u8])>,
    B: Iterator<Item = (Record, &'a [u8])>,
{
    type Item = (Record, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match (self.requests.peek(), self.others.peek()) {
            (Some((request, _)), Some((other, _))) if request.seq > other.seq => self.others.next(),
            (Some(_), _) => self.requests.next(),
            (None, _) => self.others.next(),
        }
    }
}
