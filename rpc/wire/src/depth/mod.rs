//! Bounds on the nesting and the number of elements of values, the same for every payload format.
//!
//! Encoders and decoders recurse once for each level of a value of a recursive type. Without a bound, a short payload
//! could exhaust the stack and end the process. A payload of a few bytes could also announce any number of elements
//! without bytes, such as `()`, and keep a decoder busy for years, so elements are counted.

mod de;
mod ser;

use std::cell::{Cell, RefCell};
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Maximum nesting of sequences, maps, structs, tuples and enums: 128.
///
/// An `Option` or a newtype struct is not a level, but a step; each level allows three steps.
pub const MAX_DEPTH: usize = 128;

/// Maximum nesting of values, including `Option`s and newtype structs.
const MAX_STEPS: usize = 3 * MAX_DEPTH;

/// Maximum number of elements, fields and entries for each byte of a payload. Ordinary values have far fewer: several only
/// when a byte is the single content of nested structs.
const MAX_ELEMENTS_PER_BYTE: usize = 64;

/// Bytes that count in addition to those of the payload, for values without bytes.
const FREE_BYTES: usize = 1024;

/// Position within a value.
#[derive(Clone, Copy)]
struct Depth<'a> {
    levels: usize,
    steps: usize,
    /// Number of elements, fields and entries that may still come.
    elements: &'a Cell<usize>,
    /// Set when a bound is exceeded, because the formats' own errors cannot carry the reason.
    reached: &'a Cell<Option<Bound>>,
    /// Puts a text between the quotes of an empty one that has just been written, if JSON is written.
    fill: Option<&'a dyn Fn(&str)>,
}

/// A bound that a value exceeds.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Depth,
    Elements,
}

impl<'a> Depth<'a> {
    /// Enters a sequence, map, struct, tuple or enum.
    fn level<E: Reason>(self) -> Result<Self, E> {
        Self { levels: self.levels + 1, ..self }.step()
    }

    /// Enters an `Option` or a newtype struct.
    fn step<E: Reason>(self) -> Result<Self, E> {
        let inside = Self { steps: self.steps + 1, ..self };
        if inside.levels > MAX_DEPTH || inside.steps > MAX_STEPS {
            self.reached.set(Some(Bound::Depth));
            return Err(E::reason("nested too deep"));
        }
        Ok(inside)
    }

    /// Counts an element of a sequence or tuple, a field, or an entry of a map.
    fn element<E: Reason>(self) -> Result<(), E> {
        let Some(left) = self.elements.get().checked_sub(1) else {
            self.reached.set(Some(Bound::Elements));
            return Err(E::reason("too many elements"));
        };
        self.elements.set(left);
        Ok(())
    }
}

/// An error of serde, for reading or for writing.
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
    let result = run(Depth { levels: 0, steps: 0, elements: &elements, reached: &reached, fill: None });
    result.map_err(|error| match reached.get() {
        Some(Bound::Depth) => Failure::TooDeep,
        Some(Bound::Elements) => Failure::TooMany,
        None => Failure::Other(error),
    })
}

/// Reads a value from a payload of `len` bytes, within the bounds.
pub(crate) fn deserialize<'de, T, D>(len: usize, deserializer: D) -> Result<T, Failure<D::Error>>
where
    T: DeserializeOwned,
    D: serde::Deserializer<'de>,
{
    bounded(len.saturating_add(FREE_BYTES).saturating_mul(MAX_ELEMENTS_PER_BYTE), |depth| {
        T::deserialize(de::Bounded { inner: deserializer, depth })
    })
}

/// Appends a value as JSON, within the bound on nesting.
pub(crate) fn serialize_json<T>(value: &T, out: &mut Vec<u8>) -> Result<(), Failure<serde_json::Error>>
where
    T: Serialize + ?Sized,
{
    let out = RefCell::new(out);
    let fill = |text: &str| {
        let mut out = out.borrow_mut();
        out.pop();
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    };
    let mut json = serde_json::Serializer::new(Shared(&out));
    bounded(usize::MAX, |depth| {
        value.serialize(ser::Bounded { inner: &mut json, depth: Depth { fill: Some(&fill), ..depth } })
    })
}

/// Buffer that a serializer writes to, and that others may write to between two of its writes.
struct Shared<'a, 'o>(&'a RefCell<&'o mut Vec<u8>>);

impl io::Write for Shared<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a value, within the bound on nesting.
pub(crate) fn serialize<T, S>(value: &T, serializer: S) -> Result<S::Ok, Failure<S::Error>>
where
    T: Serialize + ?Sized,
    S: serde::Serializer,
{
    bounded(usize::MAX, |depth| value.serialize(ser::Bounded { inner: serializer, depth }))
}
