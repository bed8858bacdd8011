//! Keys of `zoo.cfg` about the throttle of new connections.

use zk_mini::{Builder, Throttle, ThrottleWeights};

/// Keys that were set; all others keep ZooKeeper's defaults.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ThrottleKeys {
    throttle: Throttle,
    weights: ThrottleWeights,
    is_weighted: bool,
}

/// Names in ZooKeeper's documentation that ZooKeeper itself does not read, with those that it reads.
const DOCUMENTED: [(&str, &str); 7] = [
    ("connectionMaxTokens", "connection_throttle_tokens"),
    ("connectionTokenFillTime", "connection_throttle_fill_time"),
    ("connectionTokenFillCount", "connection_throttle_fill_count"),
    ("connectionFreezeTime", "connection_throttle_freeze_time"),
    ("connectionDropIncrease", "connection_throttle_drop_increase"),
    ("connectionDropDecrease", "connection_throttle_drop_decrease"),
    ("connectionDecreaseRatio", "connection_throttle_decrease_ratio"),
];

/// Keys that ZooKeeper reads.
pub(crate) const KEYS: [&str; 11] = [
    "connection_throttle_tokens",
    "connection_throttle_fill_time",
    "connection_throttle_fill_count",
    "connection_throttle_freeze_time",
    "connection_throttle_drop_increase",
    "connection_throttle_drop_decrease",
    "connection_throttle_decrease_ratio",
    "connection_throttle_weight_enabled",
    "connection_throttle_global_session_weight",
    "connection_throttle_local_session_weight",
    "connection_throttle_renew_session_weight",
];

/// Returns the names in ZooKeeper's documentation.
pub(crate) fn documented_names() -> impl Iterator<Item = &'static str> {
    DOCUMENTED.iter().map(|(name, _)| *name)
}

/// Returns true for a name that is only in ZooKeeper's documentation.
pub(crate) fn is_documented_only(key: &str) -> bool {
    documented_names().any(|name| name == key)
}

impl ThrottleKeys {
    /// Sets an entry. Returns false for a key that is not in the table; the error names the expected value.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, &'static str> {
        let key = DOCUMENTED.iter().find(|(name, _)| *name == key).map_or(key, |(_, read)| read);
        let Self { throttle, weights, is_weighted } = self;
        match key {
            "connection_throttle_tokens" => throttle.tokens = tokens(value)?,
            "connection_throttle_fill_time" => throttle.fill_time = positive(value)?,
            "connection_throttle_fill_count" => throttle.fill_count = tokens(value)?,
            "connection_throttle_freeze_time" => throttle.freeze_time = freeze_time(value)?,
            "connection_throttle_drop_increase" => throttle.drop_increase = part(value)?,
            "connection_throttle_drop_decrease" => throttle.drop_decrease = part(value)?,
            "connection_throttle_decrease_ratio" => throttle.decrease_ratio = part(value)?,
            "connection_throttle_weight_enabled" => *is_weighted = value.eq_ignore_ascii_case("true"),
            "connection_throttle_global_session_weight" => weights.global = tokens(value)?,
            "connection_throttle_local_session_weight" => weights.local = tokens(value)?,
            "connection_throttle_renew_session_weight" => weights.renew = tokens(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Configures a server.
    pub(crate) fn apply(self, builder: Builder) -> Builder {
        let weights = self.is_weighted.then_some(self.weights);
        builder.throttle(Throttle { weights, ..self.throttle })
    }
}

fn tokens(value: &str) -> Result<u32, &'static str> {
    value.parse().map_err(|_| "a number, 0 or more")
}

fn positive(value: &str) -> Result<u32, &'static str> {
    value.parse().ok().filter(|n| *n > 0).ok_or("a number of milliseconds, 1 or more")
}

fn freeze_time(value: &str) -> Result<Option<u32>, &'static str> {
    match value {
        "-1" => Ok(None),
        _ => value.parse().map(Some).map_err(|_| "a number of milliseconds, or -1 for no refusals at random"),
    }
}

fn part(value: &str) -> Result<f64, &'static str> {
    let is_part = |n: &f64| (0.0..=1.0).contains(n);
    value.parse().ok().filter(is_part).ok_or("a number between 0 and 1, such as 0.02")
}
