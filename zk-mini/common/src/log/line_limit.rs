//! A bound on the lines of a log that a peer may cause, so that none fills a disk.

use std::collections::{BTreeMap, VecDeque};

use crate::Millis;

/// Counts the lines of each source in windows of time, in a table of bounded size. The time is a parameter.
///
/// `K` names a source: a peer's address, say. Sources beyond the size of the table share one allowance.
///
/// ```
/// use zk_mini_common::{Millis, log::{LeftOut, LineLimit}};
///
/// let mut limit = LineLimit::new(2, Millis(60_000), 1_024);
/// let admitted = (0..5).filter(|_| limit.admits(Millis(0), "10.0.0.1")).count();
/// assert_eq!(admitted, 2);
/// assert_eq!(limit.end_windows(Millis(60_000)), [LeftOut { source: Some("10.0.0.1"), lines: 3 }]);
/// ```
#[derive(Debug)]
pub struct LineLimit<K> {
    /// Lines for a source in a window.
    lines: u32,
    /// Length of a window; it begins with the first line.
    window: Millis,
    /// Maximum of sources that are told apart.
    max_sources: usize,
    sources: BTreeMap<Option<K>, Used>,
    /// End of each window, in order.
    ends: VecDeque<(Millis, Option<K>)>,
    /// Number of sources that have lines left out.
    suppressed: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    lines: u32,
    left_out: u64,
}

/// Lines of a source that were left out in a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeftOut<K> {
    /// The source; `None` for all that the table had no place for.
    pub source: Option<K>,
    /// Number of lines.
    pub lines: u64,
}

impl<K: Copy + Ord> LineLimit<K> {
    /// Admits `lines` lines in each `window` for each of up to `max_sources` sources.
    #[must_use]
    pub fn new(lines: u32, window: Millis, max_sources: usize) -> Self {
        let (sources, ends) = (BTreeMap::new(), VecDeque::new());
        Self { lines, window, max_sources, sources, ends, suppressed: 0 }
    }

    /// Returns true if `source` may cause one more line now, and counts it.
    pub fn admits(&mut self, now: Millis, source: K) -> bool {
        let has_place = self.sources.len() < self.max_sources || self.sources.contains_key(&Some(source));
        let source = has_place.then_some(source);
        let used = self.sources.entry(source).or_insert_with(|| {
            self.ends.push_back((now + self.window, source));
            Used::default()
        });
        if used.lines < self.lines {
            used.lines += 1;
            return true;
        }
        self.suppressed += usize::from(used.left_out == 0);
        used.left_out += 1;
        false
    }

    /// Ends the windows whose time is over, and returns the lines that were left out in each.
    pub fn end_windows(&mut self, now: Millis) -> Vec<LeftOut<K>> {
        let mut left_out = Vec::new();
        while let Some((_, source)) = self.ends.front().copied().filter(|(end, _)| *end <= now) {
            self.ends.pop_front();
            let Some(Used { left_out: lines @ 1.., .. }) = self.sources.remove(&source) else { continue };
            self.suppressed -= 1;
            left_out.push(LeftOut { source, lines });
        }
        left_out
    }

    /// Returns the time of the next window's end, if lines were left out in any.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Millis> {
        self.ends.front().map(|(end, _)| *end).filter(|_| self.suppressed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Millis = Millis(60_000);

    fn admitted(limit: &mut LineLimit<u32>, now: u64, source: u32, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(limit.admits(Millis(now), source))).sum()
    }

    #[test]
    fn lines_over_the_limit_are_counted_and_told_once_when_the_window_ends() {
        let mut limit = LineLimit::new(60, WINDOW, 1_024);
        assert_eq!(admitted(&mut limit, 5, 1, 1_000), 60);
        assert_eq!(admitted(&mut limit, 6, 2, 3), 3, "no other source pays for it");
        assert_eq!(limit.poll_deadline(), Some(Millis(60_005)));
        assert_eq!(limit.end_windows(Millis(60_004)), []);
        assert_eq!(limit.end_windows(Millis(60_005)), [LeftOut { source: Some(1), lines: 940 }]);
        assert_eq!(limit.poll_deadline(), None, "no other source has lines left out");
        assert_eq!(limit.end_windows(Millis(99_999_999)), []);
        assert_eq!(admitted(&mut limit, 99_999_999, 1, 1_000), 60);
    }

    #[test]
    fn a_million_sources_take_no_more_room_than_the_table_has() {
        let mut limit = LineLimit::new(60, WINDOW, 1_024);
        let lines: u32 = (0..1_000_000).map(|source| u32::from(limit.admits(Millis(0), source))).sum();
        assert_eq!(lines, 1_024 + 60);
        assert_eq!((limit.sources.len(), limit.ends.len()), (1_025, 1_025));
        assert_eq!(limit.end_windows(WINDOW), [LeftOut { source: None, lines: 998_916 }]);
        assert_eq!((limit.sources.len(), limit.ends.len()), (0, 0));
    }
}
