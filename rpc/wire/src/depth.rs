//! The bound on how deep values may nest, the same for every payload format.
//!
//! A decoder and an encoder call themselves once for each level of a value of a recursive type. Without a bound a
//! short payload takes the whole stack, and with it the process.

mod de;
mod ser;

use serde::{Serialize, de::DeserializeOwned};
use std::cell::Cell;

/// The most sequences, maps, structs, tuples and enums that may lie in each other: 128.
///
/// An `Option` or a newtype struct is no level of its own, but counts as a step; there may be three for each level.
pub const MAX_DEPTH: usize = 128;

/// Maximum of values that lie in each other, `Option`s and newtype structs included.
const MAX_STEPS: usize = 3 * MAX_DEPTH;

/// Place in a value.
#[derive(Clone, Copy, Debug)]
struct Depth<'a> {
    levels: usize,
    steps: usize,
    /// Set when the bound was reached: the formats' own errors cannot carry the reason.
    reached: &'a Cell<bool>,
}

impl<'a> Depth<'a> {
    /// Inside a sequence, map, struct, tuple or enum.
    fn level<E: Reason>(self) -> Result<Self, E> {
        Self { levels: self.levels + 1, ..self }.step()
    }

    /// Inside an `Option` or a newtype struct.
    fn step<E: Reason>(self) -> Result<Self, E> {
        let inside = Self { steps: self.steps + 1, ..self };
        if inside.levels > MAX_DEPTH || inside.steps > MAX_STEPS {
            self.reached.set(true);
            return Err(E::reason("nested too deep"));
        }
        Ok(inside)
    }
}

/// An error of either direction.
trait Reason {
    fn reason(text: &'static str) -> Self;
}

/// Reason for which a value was not read or written.
pub(crate) enum Failure<E> {
    TooDeep,
    Other(E),
}

fn bounded<T, E>(run: impl FnOnce(Depth<'_>) -> Result<T, E>) -> Result<T, Failure<E>> {
    let reached = Cell::new(false);
    let result = run(Depth { levels: 0, steps: 0, reached: &reached });
    result.map_err(|error| if reached.get() { Failure::TooDeep } else { Failure::Other(error) })
}

/// Reads a value, but no deeper than the bound.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, Failure<D::Error>>
where
    T: DeserializeOwned,
    D: serde::Deserializer<'de>,
{
    bounded(|depth| T::deserialize(de::Bounded { inner: deserializer, depth }))
}

/// Writes a value, but no deeper than the bound.
pub(crate) fn serialize<T, S>(value: &T, serializer: S) -> Result<S::Ok, Failure<S::Error>>
where
    T: Serialize + ?Sized,
    S: serde::Serializer,
{
    bounded(|depth| value.serialize(ser::Bounded { inner: serializer, depth }))
}
