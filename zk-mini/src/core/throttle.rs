//! Throttle of new connections: a bucket of tokens, and random refusals while it is empty for long (Apache ZooKeeper's
//! `BlueThrottle`).

use zk_wire::Millis;

/// Settings of the throttle; without [`tokens`](Self::tokens), the default, it is off.
///
/// A connection whose first request finds fewer tokens than it needs is closed without an answer. Clients try again.
///
/// ```
/// use zk_mini::core::Throttle;
///
/// // A burst of 200 clients, then 50 a second.
/// let throttle = Throttle { tokens: 200, fill_time: 1_000, fill_count: 50, ..Throttle::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttle {
    /// Maximum number of tokens, which the bucket has at first; 0 turns the throttle off (`connection_throttle_tokens`).
    pub tokens: u32,
    /// Milliseconds in which [`fill_count`](Self::fill_count) tokens come back (`connection_throttle_fill_time`).
    pub fill_time: u32,
    /// Number of tokens that come back in this time (`connection_throttle_fill_count`).
    pub fill_count: u32,
    /// Milliseconds between two changes of the chance that a connection is refused at random; without it none is
    /// (`connection_throttle_freeze_time`).
    pub freeze_time: Option<u32>,
    /// Growth of the chance when the bucket is empty (`connection_throttle_drop_increase`).
    pub drop_increase: f64,
    /// Decrease of the chance when few tokens are missing (`connection_throttle_drop_decrease`).
    pub drop_decrease: f64,
    /// Part of the tokens that are few (`connection_throttle_decrease_ratio`).
    pub decrease_ratio: f64,
    /// Tokens that a connection needs, by its kind; without it all need one (`connection_throttle_weight_enabled`).
    pub weights: Option<ThrottleWeights>,
}

/// Tokens that a connection needs. With weights, the tokens of a [`Throttle`] are counted in new global sessions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ThrottleWeights {
    /// Tokens for a new session (`connection_throttle_global_session_weight`).
    pub global: u32,
    /// Tokens for a new session of one server (`connection_throttle_local_session_weight`); the others weigh as much at least.
    pub local: u32,
    /// Tokens for an existing session (`connection_throttle_renew_session_weight`).
    pub renew: u32,
}

/// Kind of a connection, by its first request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Newcomer {
    Global,
    Local,
    Renewed,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            tokens: 0,
            fill_time: 1,
            fill_count: 1,
            freeze_time: None,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weights: None,
        }
    }
}

impl Default for ThrottleWeights {
    fn default() -> Self {
        Self { global: 3, local: 1, renew: 2 }
    }
}

impl ThrottleWeights {
    /// Returns the weights that hold: as in ZooKeeper, one that is zero has its default, and a session that costs more than a
    /// local one is no cheaper than that.
    fn effective(self) -> Self {
        let default = Self::default();
        let positive = |weight: u32, default: u32| if weight == 0 { default } else { weight };
        let local = positive(self.local, default.local);
        let global = positive(self.global, default.global);
        let renew = positive(self.renew, default.renew);
        // ZooKeeper compares with the local weight as it is written.
        let at_least = |weight: u32, written: u32| if written == 0 { weight } else { weight.max(self.local) };
        Self { global: at_least(global, self.global), local, renew: at_least(renew, self.renew) }
    }
}

/// State of the throttle.
#[derive(Debug)]
pub(crate) struct Bucket {
    settings: Throttle,
    weights: Option<ThrottleWeights>,
    max: i64,
    fill_count: i64,
    tokens: i64,
    /// Times of the last refill and of the last change of the chance.
    times: Option<(Millis, Millis)>,
    /// Chance that a connection is refused at random.
    drop: f64,
    random: fastrand::Rng,
}

impl Bucket {
    /// Creates the bucket of a server, which draws other numbers than the next one.
    pub(crate) fn new(settings: Throttle, seed: u64, server: usize) -> Self {
        let weights = settings.weights.map(ThrottleWeights::effective);
        let unit = i64::from(weights.map_or(1, |weights| weights.global));
        let max = unit.saturating_mul(settings.tokens.into());
        Self {
            settings,
            weights,
            max,
            fill_count: unit.saturating_mul(settings.fill_count.into()),
            tokens: max,
            times: None,
            drop: 0.0,
            random: fastrand::Rng::with_seed(seed.wrapping_add(server as u64)),
        }
    }

    /// Takes the tokens of a connection. Returns `false` if it is to be refused.
    pub(crate) fn admits(&mut self, now: Millis, newcomer: Newcomer) -> bool {
        if self.max == 0 {
            return true;
        }
        let need = self.weights.map_or(1, |weights| match newcomer {
            Newcomer::Global => weights.global,
            Newcomer::Local => weights.local,
            Newcomer::Renewed => weights.renew,
        });
        let (filled, frozen) = *self.times.get_or_insert((now, now));
        let (since_fill, fill_time) = (whole(now.since(filled)), i64::from(self.settings.fill_time));
        if since_fill > fill_time {
            // A time of 0 fills the bucket.
            let refill =
                since_fill.saturating_mul(self.fill_count).checked_div(fill_time).unwrap_or(self.max);
            self.tokens = self.tokens.saturating_add(refill).min(self.max);
            self.times = Some((now, frozen));
        }
        if self.settings.freeze_time.is_some_and(|freeze_time| self.drops(now, frozen, freeze_time)) {
            return false;
        }
        let enough = self.tokens >= i64::from(need);
        if enough {
            self.tokens -= i64::from(need);
        }
        enough
    }

    /// Returns the chance that a connection is refused at random.
    pub(crate) fn drop_chance(&self) -> f64 {
        self.drop
    }

    /// Returns the number of missing tokens.
    #[cfg(test)]
    fn deficit(&self) -> i64 {
        self.max - self.tokens
    }

    /// Changes the chance if it is time, and draws.
    fn drops(&mut self, now: Millis, frozen: Millis, freeze_time: u32) -> bool {
        let missing = self.max - self.tokens;
        if whole(now.since(frozen)) > i64::from(freeze_time) {
            #[expect(clippy::cast_precision_loss, reason = "tokens are far fewer")]
            let few = (self.max as f64 * self.settings.decrease_ratio).round();
            #[expect(clippy::cast_precision_loss, reason = "tokens are far fewer")]
            let is_few = missing as f64 <= few;
            if missing == self.max && self.drop < 1.0 {
                self.drop = (self.drop + self.settings.drop_increase).min(1.0);
            } else if is_few && self.drop > 0.0 {
                self.drop = (self.drop - self.settings.drop_decrease).max(0.0);
            }
            self.times = self.times.map(|(filled, _)| (filled, now));
        }
        self.random.f64() < self.drop
    }
}

fn whole(millis: Millis) -> i64 {
    i64::try_from(millis.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the connections that are admitted of `count` at a time.
    fn admitted(bucket: &mut Bucket, now: u64, count: usize) -> usize {
        (0..count).filter(|_| bucket.admits(Millis(now), Newcomer::Global)).count()
    }

    #[test]
    fn without_tokens_everybody_is_admitted() {
        let mut bucket = Bucket::new(Throttle::default(), 1, 0);
        assert_eq!(admitted(&mut bucket, 0, 10_000), 10_000);
    }

    #[test]
    fn a_burst_takes_the_tokens_and_time_brings_them_back() {
        let throttle = Throttle { tokens: 10, fill_time: 100, fill_count: 4, ..Throttle::default() };
        let mut bucket = Bucket::new(throttle, 1, 0);
        assert_eq!(admitted(&mut bucket, 5_000, 20), 10);
        // Only more than the time counts, then every part of it.
        assert_eq!(admitted(&mut bucket, 5_100, 20), 0);
        assert_eq!(admitted(&mut bucket, 5_101, 20), 4);
        assert_eq!(admitted(&mut bucket, 5_276, 20), 7);
        assert_eq!(admitted(&mut bucket, 9_999_999, 20), 10, "and no more than the maximum");
    }

    #[test]
    fn weights_tell_kinds_apart_and_tokens_are_counted_in_global_sessions() {
        let weights = Some(ThrottleWeights::default());
        let throttle = Throttle { tokens: 2, fill_time: 1_000, weights, ..Throttle::default() };
        let mut bucket = Bucket::new(throttle, 1, 0);
        assert!(bucket.admits(Millis(0), Newcomer::Global));
        assert!(bucket.admits(Millis(0), Newcomer::Renewed));
        assert!(!bucket.admits(Millis(0), Newcomer::Renewed));
        assert_eq!(bucket.deficit(), 5);
        assert!(bucket.admits(Millis(1_001), Newcomer::Global), "three come back at a time");
    }

    #[test]
    fn weights_that_make_no_sense_are_corrected_as_in_zookeeper() {
        for (written, effective) in
            [((0, 0, 0), (3, 1, 2)), ((1, 4, 2), (4, 4, 4)), ((0, 5, 0), (3, 5, 2)), ((9, 1, 1), (9, 1, 1))]
        {
            let of = |(global, local, renew)| ThrottleWeights { global, local, renew };
            assert_eq!(of(written).effective(), of(effective), "{written:?}");
        }
    }

    #[test]
    fn while_the_bucket_is_empty_more_and_more_are_refused_at_random() {
        let throttle = Throttle {
            tokens: 1,
            fill_time: 1,
            fill_count: 1,
            freeze_time: Some(100),
            drop_increase: 0.5,
            drop_decrease: 0.25,
            decrease_ratio: 0.0,
            ..Throttle::default()
        };
        let mut bucket = Bucket::new(throttle, 7, 0);
        let mut now = 0;
        assert_eq!(admitted(&mut bucket, now, 2), 1);
        // Empty at each change: the time is over before a token comes back.
        bucket.settings.fill_time = 10_000;
        for drop in [0.5, 1.0, 1.0] {
            now += 101;
            admitted(&mut bucket, now, 1);
            assert!((bucket.drop - drop).abs() < 1e-9, "{}", bucket.drop);
        }
        bucket.settings.fill_time = 1;
        assert_eq!(admitted(&mut bucket, now + 2, 5), 0, "a full bucket does not help at once");
        for drop in [0.75, 0.5, 0.25, 0.0, 0.0] {
            now += 101;
            admitted(&mut bucket, now, 1);
            assert!((bucket.drop - drop).abs() < 1e-9, "{}", bucket.drop);
        }
        assert_eq!(admitted(&mut bucket, now + 200, 2), 1);
    }

    #[test]
    fn no_settings_break_the_throttle() {
        for tokens in [1, u32::MAX] {
            for fill_time in [0, 1, u32::MAX] {
                for fill_count in [0, 1, u32::MAX] {
                    let weights =
                        Some(ThrottleWeights { global: u32::MAX, local: u32::MAX, renew: u32::MAX });
                    let throttle = Throttle {
                        tokens,
                        fill_time,
                        fill_count,
                        freeze_time: Some(0),
                        decrease_ratio: f64::NAN,
                        weights,
                        ..Throttle::default()
                    };
                    let mut bucket = Bucket::new(throttle, 1, 0);
                    for now in [0, 1, 1_000, u64::MAX] {
                        bucket.admits(Millis(now), Newcomer::Global);
                    }
                }
            }
        }
    }
}
