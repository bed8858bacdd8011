//! Weights that grow. Pure.

/// Returns a weight during a warm-up of `time` that began `age` ago: it grows evenly from 1 to the whole, and stays 0 if it
/// is 0.
#[must_use]
pub fn warm_up(weight: u32, age: u64, time: u64) -> u32 {
    if age >= time {
        return weight;
    }
    let share = u128::from(weight) * u128::from(age) / u128::from(time);
    u32::try_from(share).unwrap_or(weight).max(weight.min(1))
}
