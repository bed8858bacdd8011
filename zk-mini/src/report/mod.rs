//! What a server tells of itself.

pub(crate) mod four_letter;
