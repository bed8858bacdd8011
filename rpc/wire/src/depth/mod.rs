//! The bound on how deep values may nest, the same for every payload format.
//!
//! A decoder and an encoder call themselves once for each level of a value of a recursive type. Without a bound a
//! short payload takes the whole stack, and with it the process. In the same way a compact payload of a few bytes can
//! announce any number of elements that have no bytes, such as `()`, and keep a decoder busy for years: they are counted.

mod de;
mod ser;

use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most sequences, maps, structs, tuples and enums that may lie in each other: 128.
///
/// An `Option` or a newtype struct is no level of its own, but counts as a step; there may be three for each level.
pub const MAX_DEPTH: usize = 128;

/// Maximum of values that lie in each other, `Option`s and newtype structs included.
const MAX_STEPS: usize = 3 * MAX_DEPTH;

/// Maximum of elements, fields and entries for each byte of a payload. Far more than values have whose parts have bytes: a
/// byte may be the only one of several structs in each other.
const MAX_ELEMENTS_PER_BYTE: usize = 64;

/// Bytes that count beside those of the payload, for values of no bytes at all.
const FREE_BYTES: usize = 1024;

/// Place in a value.
#[derive(Clone, Copy, Debug)]
struct Depth<'a> {
    levels: usize,
    steps: usize,
    /// Elements, fields and map entries that may still come.
    elements: &'a Cell<usize>,
    /// Set when a bound was reached: the formats' own errors cannot carry the reason.
    reached: &'a Cell<Option<Bound>>,
}

/// A bound that a value is over.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Depth,
    Elements,
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
            self.reached.set(Some(Bound::Depth));
            return Err(E::reason("nested too deep"));
        }
        Ok(inside)
    }

    /// Notes an element of a sequence or tuple, a field, or an entry of a map.
    fn element<E: Reason>(self) -> Result<(), E> {
        let Some(left) = self.elements.get().checked_sub(1) else {
            self.reached.set(Some(Bound::Elements));
            return Err(E::reason("too many elements"));
        };
        self.elements.set(left);
        Ok(())
    }
}

/// An error of either direction.
trait Reason {
    fn reason(text: &'static str) -> Self;
}

/// Reason for which a value was not read or written.
pub(crate) enum Failure<E> {
    TooDeep,
    TooMany,
    Other(E),
}

fn bounded<T, E>(elements: usize, run: impl FnOnce(Depth<'_>) -> Result<T, E>) -> Result<T, Failure<E>> {
    let (elements, reached) = (Cell::new(elements), Cell::new(None));
    let result = run(Depth { levels: 0, steps: 0, elements: &elements, reached: &reached });
    result.map_err(|error| match reached.get() {
        Some(Bound::Depth) => Failure::TooDeep,
        Some(Bound::Elements) => Failure::TooMany,
        None => Failure::Other(error),
    })
}

/// Reads a value from a payload of `len` bytes, but no deeper and with no more elements than the bounds.
pub(crate) fn deserialize<'de, T, D>(len: usize, deserializer: D) -> Result<T, Failure<D::Error>>
where
    T: DeserializeOwned,
    D: serde::Deserializer<'de>,
{
    bounded(len.saturating_add(FREE_BYTES).saturating_mul(MAX_ELEMENTS_PER_BYTE), |depth| {
        T::deserialize(de::Bounded { inner: deserializer, depth })
    })
}

/// Writes a value, but no deeper than the bound.
pub(crate) fn serialize<T, S>(value: &T, serializer: S) -> Result<S::Ok, Failure<S::Error>>
where
    T: Serialize + ?Sized,
    S: serde::Serializer,
{
    bounded(usize::MAX, |depth| value.serialize(ser::Bounded { inner: serializer, depth }))
}
