//! A bound on the lines of the log that a peer may cause, so that none fills a disk.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::HashMap;
use zk_wire::Millis;

/// Maximum of lines that one source may cause in a window; more are counted only.
pub(crate) const LINES: u32 = 60;

/// Length of a window; it begins with the first line.
pub(crate) const WINDOW: Millis = Millis(60_000);

/// Maximum of sources that are told apart; more are taken for one.
const MOST_SOURCES: usize = 1024;

/// Source of lines.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address: whoever has one has them all.
    V6(Ipv6Addr),
    /// Sessions that expire, whoever had them.
    Expiry,
    /// All for whom the table has no place.
    Others,
}

impl Source {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) if ip.is_loopback() => Self::V6(ip),
            IpAddr::V6(ip) => Self::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        }
    }
}

/// Lines that were left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LeftOut {
    pub(crate) source: Source,
    pub(crate) lines: u64,
}

/// The sources of the current windows.
#[derive(Debug, Default)]
pub(crate) struct LineLimit {
    sources: HashMap<Source, Used>,
    /// End of each window, in order.
    ends: VecDeque<(Millis, Source)>,
    /// Number of sources that have lines left out.
    suppressed: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    lines: u32,
    left_out: u64,
}

impl LineLimit {
    /// Returns whether a source may cause one more line; counts it.
    pub(crate) fn admits(&mut self, now: Millis, source: Source) -> bool {
        let is_known = self.sources.contains_key(&source);
        let source = if is_known || self.sources.len() < MOST_SOURCES { source } else { Source::Others };
        let used = self.sources.entry(source).or_insert_with(|| {
            self.ends.push_back((now + WINDOW, source));
            Used::default()
        });
        if used.lines < LINES {
            used.lines += 1;
            return true;
        }
        self.suppressed += usize::from(used.left_out == 0);
        used.left_out += 1;
        false
    }

    /// Ends the windows whose time is over: what was left out in each.
    pub(crate) fn end_windows(&mut self, now: Millis, told: &mut Vec<LeftOut>) {
        while let Some((_, source)) = self.ends.front().copied().filter(|(end, _)| *end <= now) {
            self.ends.pop_front();
            let Some(Used { left_out: lines @ 1.., .. }) = self.sources.remove(&source) else { continue };
            self.suppressed -= 1;
            told.push(LeftOut { source, lines });
        }
    }

    /// Returns when there is something to tell.
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        self.ends.front().map(|(end, _)| *end).filter(|_| self.suppressed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ip: &str) -> Source {
        Source::of(ip.parse().unwrap())
    }

    fn admitted(limit: &mut LineLimit, now: u64, source: Source, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(limit.admits(Millis(now), source))).sum()
    }

    fn ended(limit: &mut LineLimit, now: u64) -> Vec<LeftOut> {
        let mut told = Vec::new();
        limit.end_windows(Millis(now), &mut told);
        told
    }

    #[test]
    fn what_is_over_the_limit_is_counted_and_told_once_when_the_window_ends() {
        let mut limit = LineLimit::default();
        let (noisy, quiet) = (source("10.0.0.1"), source("10.0.0.2"));
        assert_eq!(admitted(&mut limit, 5, noisy, 1_000), LINES);
        assert_eq!(admitted(&mut limit, 6, quiet, 3), 3, "it pays for nobody else");
        assert_eq!(limit.poll_deadline(), Some(Millis(60_005)));
        assert_eq!(ended(&mut limit, 60_004), []);
        assert_eq!(ended(&mut limit, 60_005), [LeftOut { source: noisy, lines: 940 }]);
        assert_eq!(limit.poll_deadline(), None, "nobody else has anything left out");
        assert_eq!(ended(&mut limit, 99_999_999), []);
        assert_eq!(admitted(&mut limit, 99_999_999, noisy, 1_000), LINES);
    }

    #[test]
    fn a_million_addresses_take_no_more_room_than_the_table_has() {
        let mut limit = LineLimit::default();
        let lines: u32 = (0..1_000_000u32)
            .map(|ip| u32::from(limit.admits(Millis(0), Source::of(Ipv4Addr::from_bits(ip).into()))))
            .sum();
        assert_eq!(lines as usize, MOST_SOURCES + LINES as usize);
        assert_eq!((limit.sources.len(), limit.ends.len()), (MOST_SOURCES + 1, MOST_SOURCES + 1));
        let told = ended(&mut limit, WINDOW.0);
        assert!(matches!(told[..], [LeftOut { source: Source::Others, lines: 998_916 }]), "{told:?}");
        assert_eq!((limit.sources.len(), limit.ends.len()), (0, 0));
    }

    #[test]
    fn the_addresses_of_one_network_of_ipv6_are_one_source() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
        assert_ne!(source("::1"), source("::2"));
    }
}
