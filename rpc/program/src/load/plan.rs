//! Times at which the calls of an open loop begin.

use std::time::Duration;

/// Even pace of so many calls a second.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    begun: u64,
}

impl Pace {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, begun: 0 }
    }

    /// Returns the time of the next call, from the beginning.
    pub(super) fn next(&mut self) -> Duration {
        // Counted from the beginning each time, so that no rounding adds up.
        let at = self.begun as f64 / self.rate;
        self.begun += 1;
        Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_begin_at_even_distances_and_no_rounding_adds_up() {
        let mut pace = Pace::new(3.0);
        let times: Vec<_> = (0..=3_000).map(|_| pace.next()).collect();
        assert_eq!(times[0], Duration::ZERO);
        assert_eq!(times[3], Duration::from_secs(1));
        assert_eq!(times[3_000], Duration::from_secs(1_000));
    }
}
