//! Times at which the calls of an open loop are due.

use std::time::Duration;

/// Even pace of so many calls a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rate: f64,
}

impl Pace {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate }
    }

    /// Returns the time at which the call of this number is due, from the beginning; the first number is 0.
    pub(super) fn due(self, number: u64) -> Duration {
        // Counted from the beginning each time, so that no rounding adds up.
        Duration::try_from_secs_f64(number as f64 / self.rate).unwrap_or(Duration::MAX)
    }

    /// Returns how many calls are due before this time.
    pub(super) fn due_before(self, time: Duration) -> u64 {
        let mut number = (self.rate * time.as_secs_f64()).ceil() as u64;
        while number > 0 && self.due(number - 1) >= time {
            number -= 1;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_at_even_distances_and_no_rounding_adds_up() {
        let pace = Pace::new(3.0);
        assert_eq!(pace.due(0), Duration::ZERO);
        assert_eq!(pace.due(3), Duration::from_secs(1));
        assert_eq!(pace.due(3_000), Duration::from_secs(1_000));
    }

    #[test]
    fn the_calls_that_are_due_in_a_time_can_be_counted() {
        for (rate, millis, due) in
            [(100.0, 300, 30), (3.0, 1_000, 3), (3.0, 1_001, 4), (0.1, 1, 1), (7.0, 0, 0)]
        {
            assert_eq!(Pace::new(rate).due_before(Duration::from_millis(millis)), due, "{rate} {millis}");
        }
    }

    #[test]
    fn a_pace_beyond_all_time_is_due_once() {
        let slow = Pace::new(1e-300);
        assert_eq!((slow.due(1), slow.due_before(Duration::from_secs(10))), (Duration::MAX, 1));
    }
}
