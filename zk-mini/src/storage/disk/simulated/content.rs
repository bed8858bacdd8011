//! Content of a simulated file: what is durable, and what a loss of power may leave of the rest.

use fastrand::Rng;

/// Number of bytes that a disk writes in one piece, or not at all.
const SECTOR: usize = 512;

/// Content of a file, with or without a name.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<ContentChange>,
}

/// A change of a file's content.
#[derive(Debug)]
pub(super) enum ContentChange {
    /// Bytes written at an offset.
    Bytes(usize, Vec<u8>),
    /// A new length.
    Len(usize),
}

impl Content {
    pub(super) fn make(&mut self, change: ContentChange) {
        apply(&mut self.now, &change, |_| true);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
        self.durable.clone_from(&self.now);
    }

    pub(super) fn lose_unsynced(&mut self, rng: &mut Rng) {
        // Often all or nothing, else sector by sector.
        let chance = [0.0, 0.5, 1.0][rng.usize(0..3)];
        for change in self.unsynced.drain(..) {
            let is_len = matches!(change, ContentChange::Len(_));
            if !is_len || rng.f64() < chance {
                apply(&mut self.durable, &change, |_| rng.f64() < chance);
            }
        }
        self.now.clone_from(&self.durable);
    }
}

/// Applies a change; of bytes, only those in sectors that are `kept`.
fn apply(content: &mut Vec<u8>, change: &ContentChange, mut kept: impl FnMut(usize) -> bool) {
    match change {
        ContentChange::Len(len) => content.resize(*len, 0),
        ContentChange::Bytes(offset, bytes) => {
            let mut at = *offset;
            let end = offset + bytes.len();
            while at < end {
                let next = end.min((at / SECTOR + 1) * SECTOR);
                if kept(at / SECTOR) {
                    content.resize(content.len().max(next), 0);
                    content[at..next].copy_from_slice(&bytes[at - offset..next - offset]);
                }
                at = next;
            }
        }
    }
}
