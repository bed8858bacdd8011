//! Snapshots as bytes, for the way from a worker process to its parent.

use crate::distribution::{BUCKETS, Distribution};
use crate::snapshot::{Kind, Labels, Snapshot, Value};

/// Version of the format, for a parent and a worker of different builds.
const VERSION: u8 = 1;

impl Snapshot {
    /// Returns the snapshot as bytes, for [`Snapshot::from_bytes`] of the same version of this crate.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for (name, family) in &self.families {
            put_text(&mut out, name);
            put_text(&mut out, &family.help);
            out.push(family.kind as u8);
            put_number(&mut out, family.series.len() as u64);
            for (labels, value) in &family.series {
                put_number(&mut out, labels.len() as u64);
                for (name, value) in labels {
                    put_text(&mut out, name);
                    put_text(&mut out, value);
                }
                match value {
                    Value::Number(number) => put_number(&mut out, *number),
                    Value::Distribution(distribution) => put_distribution(&mut out, distribution),
                }
            }
        }
        out
    }

    /// Reads a snapshot; `None` if the bytes are damaged or another version's.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = bytes.split_first()? else { return None };
        let (mut snapshot, mut input) = (Self::default(), Reader(rest));
        while !input.0.is_empty() {
            let (name, help) = (input.text()?, input.text()?);
            let kind = match input.byte()? {
                kind if kind == Kind::Counter as u8 => Kind::Counter,
                kind if kind == Kind::Gauge as u8 => Kind::Gauge,
                kind if kind == Kind::Histogram as u8 => Kind::Histogram,
                _ => return None,
            };
            // Each turn takes a byte at least, so a wrong number ends with the bytes.
            for _ in 0..input.number()? {
                let mut labels = Labels::new();
                for _ in 0..input.number()? {
                    labels.push((input.text()?.to_owned(), input.text()?.to_owned()));
                }
                let value = match kind {
                    Kind::Counter | Kind::Gauge => Value::Number(input.number()?),
                    Kind::Histogram => Value::Distribution(input.distribution()?),
                };
                snapshot.add(name, help, kind, labels, value);
            }
        }
        Some(snapshot)
    }
}

/// Appends a number in groups of seven bits, the lowest first.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends sum and buckets; most are empty, and each of those takes a byte.
fn put_distribution(out: &mut Vec<u8>, distribution: &Distribution) {
    put_number(out, distribution.nanos());
    put_number(out, distribution.buckets().len() as u64);
    for count in distribution.buckets() {
        put_number(out, *count);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn distribution(&mut self) -> Option<Distribution> {
        let (sum, len) = (self.number()?, self.number()?);
        let len = usize::try_from(len).ok().filter(|len| *len <= BUCKETS)?;
        let buckets: Option<Vec<_>> = (0..len).map(|_| self.number()).collect();
        Some(Distribution::new(&buckets?, sum))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Histogram;

    fn snapshot(numbers: &[u64]) -> Snapshot {
        let (mut snapshot, histogram) = (Snapshot::default(), Histogram::default());
        for (index, number) in numbers.iter().enumerate() {
            let index = (index % 3).to_string();
            snapshot.counter("a_total", "Help.", &[("index", &index), ("other", "ü")], *number);
            snapshot.gauge("b", "", &[], *number);
            histogram.record(Duration::from_nanos(*number));
        }
        snapshot.histogram("c_seconds", "Durations.", &[("k", "v")], histogram.distribution());
        snapshot
    }

    proptest! {
        #[test]
        fn a_snapshot_comes_back_as_it_was(numbers in prop::collection::vec(any::<u64>(), 0..20)) {
            let snapshot = snapshot(&numbers);
            prop_assert_eq!(Snapshot::from_bytes(&snapshot.to_bytes()), Some(snapshot));
        }

        #[test]
        fn damaged_bytes_do_no_harm(
            numbers in prop::collection::vec(any::<u64>(), 1..10),
            at in any::<prop::sample::Index>(),
            with in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = snapshot(&numbers).to_bytes();
            let index = at.index(bytes.len());
            bytes[index] = with;
            drop(Snapshot::from_bytes(&bytes));
            drop(Snapshot::from_bytes(&bytes[..cut.index(bytes.len())]));
        }
    }
}
