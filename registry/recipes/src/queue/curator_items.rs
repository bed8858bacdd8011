//! Frame of the items in an entry of Curator's `DistributedQueue`: one node may hold several items.
//!
//! ```
//! use zk_recipes::curator_items;
//!
//! let data = curator_items::encode([&b"first"[..], b"second"]);
//! assert_eq!(curator_items::decode(&data).unwrap(), ["first", "second"]);
//! assert_eq!(curator_items::decode(&"plain text".into()), None);
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

const VERSION: i32 = 0x0001_0001;
const ITEM: u8 = 1;
const END: u8 = 2;

/// Returns the data of an entry with these items.
pub fn encode<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Bytes {
    let mut data = BytesMut::new();
    data.put_i32(VERSION);
    for item in items {
        let item = item.as_ref();
        data.put_u8(ITEM);
        // Servers refuse data long before its length does not fit.
        data.put_i32(i32::try_from(item.len()).unwrap_or(i32::MAX));
        data.put_slice(item);
    }
    data.put_u8(END);
    data.freeze()
}

/// Returns the items of an entry; `None` if its data is no such frame.
#[must_use]
pub fn decode(data: &Bytes) -> Option<Vec<Bytes>> {
    let mut rest = data.clone();
    if rest.try_get_i32().ok()? != VERSION {
        return None;
    }
    let mut items = Vec::new();
    loop {
        match rest.try_get_u8().ok()? {
            ITEM => {
                let length = usize::try_from(rest.try_get_i32().ok()?).ok()?;
                if length > rest.len() {
                    return None;
                }
                items.push(rest.split_to(length));
            }
            END => return Some(items),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_curators() {
        let data = encode(["ab", ""]);
        assert_eq!(data, &[0, 1, 0, 1, 1, 0, 0, 0, 2, b'a', b'b', 1, 0, 0, 0, 0, 2][..]);
        for cut in 0..data.len() {
            assert_eq!(decode(&data.slice(..cut)), None, "{cut}");
        }
        assert_eq!(decode(&Bytes::from_static(&[0, 1, 0, 1, 1, 255, 255, 255, 255, 2])), None);
        assert_eq!(decode(&Bytes::from_static(&[0, 1, 0, 1, 3])), None);
    }
}
