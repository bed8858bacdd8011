//! The bounds on nesting, for each format and direction.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::mem;

use rpc_wire::{Format, MAX_DEPTH, PayloadError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A value of a recursive type. Its drop must not recurse, because values here are very deep.
trait Nested: Serialize + DeserializeOwned + Debug + PartialEq {
    fn innermost() -> Self;
    fn around(self) -> Self;
    fn inside(self) -> Option<Self>;

    fn of_depth(depth: usize) -> Self {
        (0..depth).fold(Self::innermost(), |value, _| value.around())
    }

    /// Takes it apart level by level.
    fn dismantle(self) {
        let mut next = Some(self);
        while let Some(value) = next {
            next = value.inside();
        }
    }
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct List {
    next: Option<Box<Self>>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Tree(Vec<Self>);

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Map(BTreeMap<u8, Self>);

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum Term {
    Leaf,
    Not(Box<Self>),
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum Fields {
    Leaf,
    Pair(u8, Box<Self>),
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Bare(Option<Box<Self>>);

impl Nested for List {
    fn innermost() -> Self {
        Self { next: None }
    }
    fn around(self) -> Self {
        Self { next: Some(Box::new(self)) }
    }
    fn inside(self) -> Option<Self> {
        self.next.map(|next| *next)
    }
}

impl Nested for Tree {
    fn innermost() -> Self {
        Self(Vec::new())
    }
    fn around(self) -> Self {
        Self(vec![self])
    }
    fn inside(mut self) -> Option<Self> {
        self.0.pop()
    }
}

impl Nested for Map {
    fn innermost() -> Self {
        Self(BTreeMap::new())
    }
    fn around(self) -> Self {
        Self(BTreeMap::from([(1, self)]))
    }
    fn inside(mut self) -> Option<Self> {
        self.0.pop_first().map(|(_, inside)| inside)
    }
}

impl Nested for Term {
    fn innermost() -> Self {
        Self::Leaf
    }
    fn around(self) -> Self {
        Self::Not(Box::new(self))
    }
    fn inside(mut self) -> Option<Self> {
        match &mut self {
            Self::Leaf => None,
            Self::Not(inside) => Some(mem::replace(inside, Self::Leaf)),
        }
    }
}

impl Nested for Fields {
    fn innermost() -> Self {
        Self::Leaf
    }
    fn around(self) -> Self {
        Self::Pair(7, Box::new(self))
    }
    fn inside(mut self) -> Option<Self> {
        match &mut self {
            Self::Leaf => None,
            Self::Pair(_, inside) => Some(mem::replace(inside, Self::Leaf)),
        }
    }
}

impl Nested for Bare {
    fn innermost() -> Self {
        Self(None)
    }
    fn around(self) -> Self {
        Self(Some(Box::new(self)))
    }
    fn inside(self) -> Option<Self> {
        self.0.map(|inside| *inside)
    }
}

fn is_bounded<T: Nested>(deepest: usize) {
    for format in [Format::JSON, Format::POSTCARD] {
        let value = T::of_depth(deepest);
        let mut out = Vec::new();
        format.encode(&value, &mut out).unwrap();
        // serde_json's own bound is one level lower than ours, and JSON cannot tell nested `null`s apart.
        if format == Format::POSTCARD {
            assert_eq!(format.decode::<T>(&out).unwrap(), value);
        }
        let deep = T::of_depth(100_000);
        assert!(matches!(format.encode(&deep, &mut out), Err(PayloadError::TooDeep)), "{format}");
        deep.dismantle();
    }
}

#[test]
fn a_value_of_the_maximum_depth_round_trips_and_a_deeper_one_is_refused() {
    is_bounded::<List>(MAX_DEPTH - 1);
    is_bounded::<Tree>(MAX_DEPTH - 1);
    is_bounded::<Map>(MAX_DEPTH - 1);
    is_bounded::<Term>(MAX_DEPTH - 1);
    is_bounded::<Fields>(MAX_DEPTH / 2 - 1);
    is_bounded::<Bare>(MAX_DEPTH);
}

#[test]
fn a_short_payload_cannot_exhaust_the_stack() {
    fn refused<T: DeserializeOwned + Debug>(format: Format, payload: &[u8]) {
        let error = format.decode::<T>(payload).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("nested too deep") || message.contains("recursion limit"), "{message}");
    }
    let ones = vec![1; 100_000];
    refused::<List>(Format::POSTCARD, &ones);
    refused::<Tree>(Format::POSTCARD, &ones);
    refused::<Map>(Format::POSTCARD, &ones);
    refused::<Term>(Format::POSTCARD, &ones);
    refused::<Fields>(Format::POSTCARD, &ones);
    refused::<Bare>(Format::POSTCARD, &ones);
    refused::<Tree>(Format::JSON, &vec![b'['; 100_000]);
    // A single number is enough for JSON, whose own bound counts brackets: the type nests without end.
    refused::<Bare>(Format::JSON, b"1");
    refused::<Vec<Bare>>(Format::JSON, b"[1]");
}

#[test]
fn the_bounds_do_not_change_ordinary_json() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(untagged)]
    enum Any {
        Number(u8),
        Many(Vec<Self>),
        Named { name: String, value: Option<Box<Self>> },
    }
    let text = br#"[1,[2,{"name":"a\n","value":[3]}],{"name":"b","value":null}]"#;
    let ours = Format::JSON.decode::<Any>(text).unwrap();
    assert_eq!(ours, serde_json::from_slice(text).unwrap());

    let nested = "[".repeat(100) + &"]".repeat(100);
    let value: serde_json::Value = Format::JSON.decode(nested.as_bytes()).unwrap();
    let mut out = Vec::new();
    Format::JSON.encode(&value, &mut out).unwrap();
    assert_eq!(out, nested.as_bytes());

    let deepest = "{\"next\":".repeat(126) + "{}" + &"}".repeat(126);
    assert!(Format::JSON.decode::<List>(deepest.as_bytes()).is_ok());
}
