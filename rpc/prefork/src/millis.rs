//! Time as the core sees it: milliseconds since an arbitrary start.

use std::fmt;
use std::time::Duration;

/// A point in time or a span, in milliseconds. Built from a number, so that it can be printed and replayed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Millis(pub(crate) u64);

impl Millis {
    /// This much later.
    #[must_use]
    pub(crate) fn after(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The time that has passed since `earlier`, or nothing if that lies ahead.
    #[must_use]
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Millis {
    fn from(d: Duration) -> Self {
        Self(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Seconds with one decimal, as in the log: `3.2 s`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.saturating_add(50)) / 100;
        write!(f, "{}.{} s", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_seconds_with_one_decimal() {
        let shown = [0, 49, 50, 3_249, 59_960].map(|ms| Millis(ms).to_string());
        assert_eq!(shown, ["0.0 s", "0.0 s", "0.1 s", "3.2 s", "60.0 s"]);
    }

    #[test]
    fn never_overflows() {
        assert_eq!(Millis(u64::MAX).after(Millis(1)), Millis(u64::MAX));
        assert_eq!(Millis(1).since(Millis(2)), Millis(0));
    }
}
