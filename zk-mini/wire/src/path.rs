//! Rules for paths of nodes, from Apache ZooKeeper's `PathUtils.validatePath`, and functions that take paths apart.

/// Reason why a path cannot name a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path is empty.
    #[error("path is empty; the root is \"/\"")]
    Empty,
    /// The path does not begin with a slash.
    #[error("path does not begin with \"/\"")]
    Relative,
    /// The path ends with a slash and is not the root.
    #[error("path ends with \"/\"")]
    TrailingSlash,
    /// Two slashes follow each other.
    #[error("path has an empty component (\"//\")")]
    EmptyComponent,
    /// A component is `.` or `..`.
    #[error("path has \".\" or \"..\" as a component")]
    RelativeComponent,
    /// A character is forbidden by ZooKeeper.
    #[error("path has the forbidden character U+{0:04X}")]
    ForbiddenCharacter(u32),
}

/// Checks that `path` can name a node.
///
/// # Errors
/// The first rule that the path breaks, from left to right.
///
/// ```
/// use zk_wire::path::{PathError, validate};
/// assert_eq!(validate("/services/echo"), Ok(()));
/// assert_eq!(validate("/a/../b"), Err(PathError::RelativeComponent));
/// ```
pub fn validate(path: &str) -> Result<(), PathError> {
    // One quick pass over the bytes; the rules below take several.
    if is_plain(path) {
        return Ok(());
    }
    let Some(components) = path.strip_prefix('/') else {
        return Err(if path.is_empty() { PathError::Empty } else { PathError::Relative });
    };
    if components.is_empty() {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    for component in components.split('/') {
        match component {
            "" => return Err(PathError::EmptyComponent),
            "." | ".." => return Err(PathError::RelativeComponent),
            _ => {}
        }
        if let Some(c) = component.chars().find(|&c| is_forbidden(c)) {
            return Err(PathError::ForbiddenCharacter(u32::from(c)));
        }
    }
    Ok(())
}

/// Bytes of a path that are checked at once, with the one before them.
const PIECE: usize = 1 + 8;

/// Returns `true` for the common valid paths: ASCII, and no component that is empty or begins with a dot. Other paths
/// may be valid, too.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') || bytes.last() == Some(&b'/') {
        return false;
    }
    // A piece begins with the last byte of the one before; the last piece may have more in common with it.
    let mut left = bytes;
    while let Some(piece) = left.first_chunk::<PIECE>() {
        if !is_plain_piece(piece) {
            return false;
        }
        left = &left[PIECE - 1..];
    }
    bytes.last_chunk::<PIECE>().map_or_else(|| is_plain_piece(left), |last| is_plain_piece(last))
}

/// Returns `true` if no byte after the first is odd where it stands. All are looked at, so that it is done at once.
#[inline(always)]
fn is_plain_piece(piece: &[u8]) -> bool {
    let pairs = piece.iter().zip(piece.iter().skip(1));
    pairs.fold(true, |plain, (before, byte)| {
        let begins_badly = (*before == b'/') & ((*byte == b'/') | (*byte == b'.'));
        plain & matches!(byte, b' '..=b'~') & !begins_badly
    })
}

/// Splits a path into the parent's path and the node's name; `None` for the root and for paths without a slash. The
/// parent of a top-level node is `/`.
///
/// ```
/// assert_eq!(zk_wire::path::split("/a/b"), Some(("/a", "b")));
/// assert_eq!(zk_wire::path::split("/a"), Some(("/", "a")));
/// assert_eq!(zk_wire::path::split("/"), None);
/// ```
#[must_use]
#[inline]
pub fn split(path: &str) -> Option<(&str, &str)> {
    let slash = last_slash(path)?;
    match (&path[..slash], &path[slash + 1..]) {
        ("", "") => None,
        ("", name) => Some(("/", name)),
        halves => Some(halves),
    }
}

/// Returns the place of the last slash in a path.
#[must_use]
#[inline]
pub fn last_slash(path: &str) -> Option<usize> {
    // Eight bytes at once, from the end: most names have a few more.
    let (front, words) = path.as_bytes().as_rchunks::<8>();
    for (at, word) in words.iter().enumerate().rev() {
        let slashes = slashes_in(*word);
        if slashes != 0 {
            return Some(front.len() + 8 * at + 7 - slashes.leading_zeros() as usize / 8);
        }
    }
    front.iter().rposition(|byte| *byte == b'/')
}

/// Returns the highest bit of each byte that is a slash.
fn slashes_in(word: [u8; 8]) -> u64 {
    const LOWER: u64 = u64::from_ne_bytes([0x7F; 8]);
    let others = u64::from_le_bytes(word) ^ u64::from_ne_bytes([b'/'; 8]);
    // The sum has the highest bit of each byte that has a lower one, and carries nothing to the next byte.
    let lower = (others & LOWER) + LOWER;
    !(lower | others | LOWER)
}

/// Returns the path of `name` below `parent`.
#[must_use]
pub fn join(parent: &str, name: &str) -> String {
    match parent {
        "/" => format!("/{name}"),
        _ => format!("{parent}/{name}"),
    }
}

/// Returns `true` for a character that ZooKeeper forbids. Java looks at UTF-16 units, so characters beyond the basic
/// plane (a pair of surrogates) are forbidden, too.
fn is_forbidden(c: char) -> bool {
    matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slash_is_found_wherever_it_is() {
        for len in 0..40 {
            // Neighbours of the slash in value, and bytes with the highest bit.
            for filling in ['a', '.', '0', '\u{af}', '\0'] {
                let text: String = std::iter::repeat_n(filling, len).collect();
                assert_eq!(last_slash(&text), None);
                for (at, _) in text.char_indices() {
                    let path = format!("/{}/{}", &text[..at], &text[at..]);
                    assert_eq!(last_slash(&path), Some(at + 1), "{path:?}");
                }
            }
        }
    }

    #[test]
    fn ordinary_and_odd_but_valid_paths_pass() {
        for path in ["/", "/a", "/a b", "/...", "/.a", "/a.", "/..a", "/a/ü/漢"] {
            assert_eq!(validate(path), Ok(()), "{path:?}");
        }
    }

    #[test]
    fn each_rule_has_its_error() {
        for (path, error) in [
            ("", PathError::Empty),
            ("a", PathError::Relative),
            ("/a/", PathError::TrailingSlash),
            ("//", PathError::TrailingSlash),
            ("/a//b", PathError::EmptyComponent),
            ("/a/./b", PathError::RelativeComponent),
            ("/..", PathError::RelativeComponent),
            ("/a\0", PathError::ForbiddenCharacter(0)),
            ("/\u{1f}", PathError::ForbiddenCharacter(0x1f)),
            ("/\u{9f}", PathError::ForbiddenCharacter(0x9f)),
            ("/\u{f8ff}", PathError::ForbiddenCharacter(0xf8ff)),
            ("/\u{fffd}", PathError::ForbiddenCharacter(0xfffd)),
            ("/🦀", PathError::ForbiddenCharacter(0x1f980)),
        ] {
            assert_eq!(validate(path), Err(error), "{path:?}");
        }
    }

    #[test]
    fn a_rule_counts_at_every_place_of_a_path() {
        for len in 2..40 {
            let plain = format!("/{}", "a".repeat(len - 1));
            assert_eq!(validate(&plain), Ok(()));
            for at in 1..len {
                let with = |odd: &str| format!("{}{odd}{}", &plain[..at], &plain[at + 1..]);
                let error = PathError::ForbiddenCharacter(0x1f);
                assert_eq!(validate(&with("\u{1f}")), Err(error), "{len} {at}");
                assert_eq!(validate(&with("\u{7f}")), Err(PathError::ForbiddenCharacter(0x7f)), "{len} {at}");
                assert_eq!(validate(&with("ü")), Ok(()), "{len} {at}");
                let slash = match at {
                    _ if at + 1 == len => Err(PathError::TrailingSlash),
                    1 => Err(PathError::EmptyComponent),
                    _ => Ok(()),
                };
                assert_eq!(validate(&with("/")), slash, "{len} {at}");
                let dots = format!("{}a/./{}", &plain[..at], &plain[at..]);
                assert_eq!(validate(&dots), Err(PathError::RelativeComponent), "{len} {at}");
                let slashes = format!("{}//{}", &plain[..at], &plain[at..]);
                assert_eq!(validate(&slashes), Err(PathError::EmptyComponent), "{len} {at}");
            }
        }
    }

    #[test]
    fn joining_undoes_splitting() {
        for path in ["/a", "/a/b", "/a/b/c"] {
            let (parent, name) = split(path).unwrap();
            assert_eq!(join(parent, name), path);
        }
    }
}
