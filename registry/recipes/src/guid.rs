//! Names that are found again when the reply to their create was lost. Pure.

use std::fmt;

use zk_client::SessionId;

/// Unique part of a node's name: the session, so that forked processes whose random numbers are the same differ, and a random
/// number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Guid {
    session: SessionId,
    random: u64,
}

impl Guid {
    pub(crate) fn new(session: SessionId, random: u64) -> Self {
        Self { session, random }
    }

    /// Returns the name as Curator protects it, up to the counter: `_c_<uuid>-lock-`.
    pub(crate) fn curator(self, rest: &str) -> String {
        let ([a, b, c], [d, e]) = self.parts();
        format!("_c_{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}-{rest}")
    }

    /// Returns the name as kazoo writes it, up to the counter: `<32 digits>__lock__`.
    pub(crate) fn kazoo(self, rest: &str) -> String {
        format!("{self}{rest}")
    }

    /// Returns the groups of digits of a UUID.
    fn parts(self) -> ([u64; 3], [u64; 2]) {
        let high = self.session.0.cast_unsigned();
        let low = self.random;
        ([high >> 32, high >> 16 & 0xffff, high & 0xffff], [low >> 48, low & 0xffff_ffff_ffff])
    }
}

/// The 32 hexadecimal digits.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.session.0, self.random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_curator_and_kazoo() {
        let guid = Guid::new(SessionId(0x0123_4567_89ab_cdef), 0x0fed_cba9_8765_4321);
        assert_eq!(guid.curator("lock-"), "_c_01234567-89ab-cdef-0fed-cba987654321-lock-");
        assert_eq!(guid.kazoo("__lock__"), "0123456789abcdef0fedcba987654321__lock__");
        let negative = Guid::new(SessionId(-1), 0);
        assert_eq!(negative.curator(""), "_c_ffffffff-ffff-ffff-0000-000000000000-");
        assert_eq!(negative.to_string(), "ffffffffffffffff0000000000000000");
    }
}
