//! Reports of a server about itself: figures, which are values, and the texts that show them.
//!
//! The shell takes the figures under the lock of the state; a text is written from them when the lock is free.

pub(crate) mod catalogue;
pub mod figures;
pub(crate) mod four_letter;
pub(crate) mod stats;
