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
            (Some(glob), Some(name)) if name_matches(glob, name) => {}
            _ => return false,
        }
    }
}

/// Compares a name with a pattern, in a time by the sum of their lengths: a part between two stars is looked for once, and behind
/// the part before it. The leftmost place of each leaves most of the name to the others.
fn name_matches(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
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
        // By the product of the lengths it would be many minutes.
        const MANY: usize = 300_000;
        let path = format!("/{}", "a".repeat(2 * MANY));
        for part in
            ["*a".repeat(MANY), "a*".repeat(MANY), format!("*{}", "a".repeat(MANY)), "*aab".repeat(MANY)]
        {
            for end in ["b", "b*", "*b", "*b*"] {
                assert!(!matches(&format!("/{part}{end}").replace("**", "*"), &path));
            }
        }
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
            prop_assert_eq!(name_matches(&glob, &name), by_definition(glob.as_bytes(), name.as_bytes()));
        }
    }
}
