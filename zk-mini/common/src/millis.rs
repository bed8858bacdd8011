//! Time as a core sees it.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A point in time, in milliseconds since an origin of its owner's choice, or a span of time. A plain number, so that a
/// test can build, print and replay it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Millis(
    /// The number of milliseconds.
    pub u64,
);

impl Millis {
    /// Returns the time from `earlier` until this one; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// Saturates instead of overflowing.
impl Add for Millis {
    type Output = Self;

    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// Rounds down to whole milliseconds.
impl From<Duration> for Millis {
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Millis> for Duration {
    fn from(span: Millis) -> Self {
        Self::from_millis(span.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Millis(u64::MAX) + Millis(1), Millis(u64::MAX));
        assert_eq!(Millis(1).since(Millis(2)), Millis(0));
        assert_eq!(Millis::from(Duration::MAX), Millis(u64::MAX));
    }

    #[test]
    fn prints_its_unit() {
        assert_eq!(Millis(5).to_string(), "5 ms");
    }
}
