//! A hash that is the same in every process and version: choices by key must not move when a client is updated.

/// Hash of several parts: FNV-1a, whose bits are then mixed, because its high ones hardly depend on the last bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a part. Its length is added, too, so that parts cannot run into each other.
    pub(crate) fn add(self, part: &[u8]) -> Self {
        let length = (part.len() as u64).to_le_bytes();
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(part.iter().chain(&length).fold(self.0, step))
    }

    /// Returns the hash: all bits depend on all parts.
    pub(crate) fn finish(self) -> u64 {
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes_and_parts_are_kept_apart() {
        let hash =
            |parts: &[&str]| parts.iter().fold(Hash::new(), |hash, part| hash.add(part.as_bytes())).finish();
        assert_eq!(hash(&["user", "10.0.0.1"]), 3_587_350_161_282_428_372);
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["", "a"]), hash(&["a", ""]));
    }
}
