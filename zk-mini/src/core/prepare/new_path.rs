//! Paths of new nodes: in memory of their own, so that they do not keep the request in memory.

use bytes::Bytes;
use zk_wire::ByteString;

/// All numbers of two digits, one after the other.
const PAIRS: &[u8; 200] = b"\
    0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
    5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/// Longest paths that have a place of their own: together with the count of owners they fill 48 and 80 bytes of memory.
const SHORT: usize = 23;
const MEDIUM: usize = 55;

/// Path beside its count of owners. Others get a count when they get a second owner: in memory of its own.
struct PathPlace<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> PathPlace<N> {
    /// Returns a path of two parts, which fit.
    fn with(front: &[u8], back: &[u8]) -> Bytes {
        let mut bytes = [0; N];
        bytes[..front.len()].copy_from_slice(front);
        if !back.is_empty() {
            bytes[front.len()..front.len() + back.len()].copy_from_slice(back);
        }
        Bytes::from_owner(Self { bytes, len: (front.len() + back.len()) as u8 })
    }
}

impl<const N: usize> AsRef<[u8]> for PathPlace<N> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Returns a copy of a path with ASCII behind it.
pub(super) fn owned(path: &str, behind: &[u8]) -> ByteString {
    let bytes = match path.len() + behind.len() {
        len if len <= SHORT => PathPlace::<SHORT>::with(path.as_bytes(), behind),
        len if len <= MEDIUM => PathPlace::<MEDIUM>::with(path.as_bytes(), behind),
        _ => [path.as_bytes(), behind].concat().into(),
    };
    // Text with ASCII behind it is text, so this cannot fail.
    ByteString::try_from(bytes).unwrap_or_default()
}

/// Returns `{path}{number:010}`, in a fraction of the time of `format!`, which took a tenth of a create.
pub(super) fn numbered(path: &str, number: i32) -> ByteString {
    let Ok(number) = u32::try_from(number) else { return format!("{path}{number:010}").into() };
    let mut digits = [[0; 2]; 5];
    for (place, unit) in digits.iter_mut().zip([100_000_000, 1_000_000, 10_000, 100, 1]) {
        let pair = (number / unit % 100) as usize;
        place.copy_from_slice(&PAIRS[2 * pair..2 * pair + 2]);
    }
    owned(path, digits.as_flattened())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_pads_them() {
        let at_the_edges = (0..31).flat_map(|bit| [(1 << bit) - 1, 1 << bit, -(1 << bit), -(1 << bit) - 1]);
        for number in at_the_edges.chain([i32::MIN, i32::MAX, -999_999_999, -1_000_000_000, 1_234_567_890]) {
            assert_eq!(numbered("/a/x", number), format!("/a/x{number:010}"));
        }
    }

    #[test]
    fn paths_of_all_lengths_are_copied_whole() {
        for len in 0..100 {
            let path = format!("/{}", "ü".repeat(len));
            assert_eq!(owned(&path, &[]), path);
            assert_eq!(numbered(&path, 7), format!("{path}0000000007"));
            let ascii = "a".repeat(len);
            assert_eq!(owned(&ascii, b"1"), format!("{ascii}1"));
        }
    }
}
