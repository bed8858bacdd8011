//! Globs: patterns of paths.

use std::fmt;

use zk_wire::path::{self, PathError};

/// Reason why a text is not a glob.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// It is not the form of a path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// `**` is not the last name.
    #[error("\"**\" is not the whole of the last name")]
    Below,
}

/// Pattern of paths: `*` stands for any characters within one name, `/a/**` for everything below `/a` but not `/a`
/// itself, every other character for itself.
///
/// ```
/// use zk_mini::Glob;
///
/// let locks = Glob::new("/locks/*/lock-*")?;
/// assert!(locks.matches("/locks/a/lock-1") && !locks.matches("/locks/lock-1"));
/// # Ok::<(), zk_mini::GlobError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Glob {
    text: String,
    /// The text without `/**` at its end; `None` if it does not end so.
    above: Option<String>,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`GlobError`] if the text is none.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        path::validate(text)?;
        let above = text.strip_suffix("/**");
        if above.unwrap_or(text).contains("**") {
            return Err(GlobError::Below);
        }
        Ok(Self { text: text.into(), above: above.map(Into::into) })
    }

    /// Returns `true` if the pattern stands for the path.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        // The root is no name that a star can stand for.
        if path == "/" {
            return self.text == path;
        }
        let Some(above) = &self.above else { return names_match(&self.text, path) };
        // As many names as above the `**`, and then more.
        let depth = above.bytes().filter(|byte| *byte == b'/').count();
        let mut slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
        slashes.nth(depth).is_some_and(|(at, _)| names_match(above, &path[..at]))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Compares name by name.
fn names_match(glob: &str, path: &str) -> bool {
    let (mut globs, mut names) = (glob.split('/'), path.split('/'));
    loop {
        match (globs.next(), names.next()) {
            (None, None) => return true,
            (Some(glob), Some(name)) if name_matches(glob.as_bytes(), name.as_bytes()) => {}
            _ => return false,
        }
    }
}

/// Compares a name with a pattern. After a difference, the last star takes one more character: nothing before it can
/// help, so the time is at most the product of the lengths.
fn name_matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from, mut star) = (0, 0, None);
    while let Some(byte) = name.get(from) {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
            }
            Some(expected) if expected == byte => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((after, taken)) = star else { return false };
                (at, from) = (after, taken + 1);
                star = Some((after, taken + 1));
            }
        }
    }
    glob.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(glob: &str, path: &str) -> bool {
        Glob::new(glob).unwrap().matches(path)
    }

    #[test]
    fn a_star_stays_within_its_name() {
        for (glob, path) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/*", "/a"),
            ("/*/b", "/a/b"),
            ("/a-*", "/a-"),
            ("/*-a*z", "/x-y-abz"),
            ("/a/*", "/a/"),
            ("/l*k/*", "/lock/x-0000000001"),
            ("/ü*", "/üß"),
        ] {
            assert!(matches(glob, path), "{glob} {path}");
        }
        for (glob, path) in [
            ("/", "/a"),
            ("/a", "/a/b"),
            ("/*", "/"),
            ("/*", "/a/b"),
            ("/a*", "/b"),
            ("/a/b", "/a"),
            ("/*/b", "/a/b/b"),
            ("/?", "/a"),
            ("/[ab]", "/a"),
            ("/a*b", "/ab/b"),
            ("/*", "a"),
            ("/a", ""),
        ] {
            assert!(!matches(glob, path), "{glob} {path}");
        }
    }

    #[test]
    fn two_stars_are_everything_below_and_not_the_node_itself() {
        for (glob, path) in [
            ("/a/**", "/a/b"),
            ("/a/**", "/a/b/c"),
            ("/a/**", "/a/"),
            ("/**", "/a"),
            ("/**", "/a/b"),
            ("/*/b/**", "/a/b/c"),
        ] {
            assert!(matches(glob, path), "{glob} {path}");
        }
        for (glob, path) in [
            ("/a/**", "/a"),
            ("/a/**", "/ab/c"),
            ("/a/**", "/"),
            ("/**", "/"),
            ("/**", ""),
            ("/**", "a/b"),
            ("/*/b/**", "/a/c/c"),
        ] {
            assert!(!matches(glob, path), "{glob} {path}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for (glob, reason) in [
            ("", GlobError::Path(PathError::Empty)),
            ("a/*", GlobError::Path(PathError::Relative)),
            ("/a/", GlobError::Path(PathError::TrailingSlash)),
            ("/a//b", GlobError::Path(PathError::EmptyComponent)),
            ("/a/**/b", GlobError::Below),
            ("/a**", GlobError::Below),
            ("/**/**", GlobError::Below),
            ("/a/***", GlobError::Below),
        ] {
            assert_eq!(Glob::new(glob), Err(reason), "{glob}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_long_time() {
        let (glob, path) = (format!("/{}b", "*a".repeat(500)), format!("/{}", "a".repeat(5_000)));
        assert!(!matches(&glob, &path));
    }

    /// The definition, letter by letter.
    fn by_definition(glob: &[u8], name: &[u8]) -> bool {
        match (glob.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                by_definition(rest, name)
                    || name.split_first().is_some_and(|(_, less)| by_definition(glob, less))
            }
            (Some((byte, rest)), Some((first, less))) => byte == first && by_definition(rest, less),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_name_matches_as_defined(glob in "[ab*]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(name_matches(glob.as_bytes(), name.as_bytes()), by_definition(glob.as_bytes(), name.as_bytes()));
        }
    }
}
