//! Writing: wraps a serializer and counts levels.

use std::fmt;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{Depth, Reason};

/// A part of serde's machinery, or a value, with its position in the value.
pub(super) struct Bounded<'a, T> {
    pub(super) inner: T,
    pub(super) depth: Depth<'a>,
}

/// Serde's error for writing, with the reason of the bound.
struct Written<E>(E);

impl<E: Error> Reason for Written<E> {
    fn reason(text: &'static str) -> Self {
        Self(E::custom(text))
    }
}

fn levels<E: Error>(count: usize, depth: Depth<'_>) -> Result<Depth<'_>, E> {
    (0..count).try_fold(depth, |depth, _| depth.level()).map_err(|Written(error)| error)
}

fn step<E: Error>(depth: Depth<'_>) -> Result<Depth<'_>, E> {
    depth.step().map_err(|Written(error)| error)
}

/// Length from which on it costs less to look for escapes first.
const LONG: usize = 16;

/// Returns true for a long text that JSON shows as it is, between quotes.
fn is_plain(text: &str) -> bool {
    let has_to_be_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Without an early end, so that the compiler looks at many bytes at a time.
    text.len() >= LONG && !text.bytes().fold(false, |any, byte| any | has_to_be_escaped(byte))
}

impl<T: Serialize + ?Sized> Serialize for Bounded<'_, &T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.inner.serialize(Bounded { inner, depth: self.depth })
    }
}

macro_rules! forward_plain {
    ($($name:ident($type:ty);)*) => {
        $(fn $name(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$name(value)
        })*
    };
}

macro_rules! forward_nested {
    ($levels:literal => $($name:ident($($argument:ident: $type:ty),*) -> $compound:ident;)*) => {
        $(fn $name(self, $($argument: $type),*) -> Result<Self::$compound, S::Error> {
            let depth = levels($levels, self.depth)?;
            Ok(Bounded { inner: self.inner.$name($($argument),*)?, depth })
        })*
    };
}

impl<'a, S: Serializer> Serializer for Bounded<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Bounded<'a, S::SerializeSeq>;
    type SerializeTuple = Bounded<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Bounded<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Bounded<'a, S::SerializeTupleVariant>;
    type SerializeMap = Bounded<'a, S::SerializeMap>;
    type SerializeStruct = Bounded<'a, S::SerializeStruct>;
    type SerializeStructVariant = Bounded<'a, S::SerializeStructVariant>;

    forward_plain! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_bytes(&[u8]);
        serialize_unit_struct(&'static str);
    }

    // Reading counts two levels for a variant with several fields: the variant, and its fields.
    forward_nested! {
        2 =>
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeTupleVariant;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeStructVariant;
    }

    forward_nested! {
        1 =>
        serialize_seq(len: Option<usize>) -> SerializeSeq;
        serialize_tuple(len: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct;
        serialize_map(len: Option<usize>) -> SerializeMap;
    }

    /// Writes a plain text at once: serde_json would look at each of its bytes.
    fn serialize_str(self, text: &str) -> Result<S::Ok, S::Error> {
        let Some(fill) = self.depth.fill.filter(|_| is_plain(text)) else {
            return self.inner.serialize_str(text);
        };
        let written = self.inner.serialize_str("")?;
        fill(text);
        Ok(written)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        let mut depth = levels(1, self.depth)?;
        if name.starts_with("$serde_json::private::") {
            // Its text is a number, or any value, without quotes.
            depth.fill = None;
        }
        Ok(Bounded { inner: self.inner.serialize_struct(name, len)?, depth })
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        // Reading counts a level for any variant.
        levels(1, self.depth)?;
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Bounded { inner: value, depth: step(self.depth)? })
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Bounded { inner: value, depth: step(self.depth)? })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Bounded { inner: value, depth: levels(1, self.depth)? };
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! forward_elements {
    ($($compound:ident: $element:ident;)*) => {
        $(impl<C: $compound> $compound for Bounded<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                self.inner.$element(&Bounded { inner: value, depth: self.depth })
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        })*
    };
}

forward_elements! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

macro_rules! forward_fields {
    ($($compound:ident;)*) => {
        $(impl<C: $compound> $compound for Bounded<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), C::Error> {
                self.inner.serialize_field(name, &Bounded { inner: value, depth: self.depth })
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(name)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        })*
    };
}

forward_fields! {
    SerializeStruct;
    SerializeStructVariant;
}

impl<C: SerializeMap> SerializeMap for Bounded<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(&Bounded { inner: key, depth: self.depth })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.inner.serialize_value(&Bounded { inner: value, depth: self.depth })
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
