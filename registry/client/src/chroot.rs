//! The chroot: the caller's `/` is a node of the server's tree.

use bytes::{BufMut, BytesMut};
use zk_wire::path::{self, PathError};
use zk_wire::{ByteString, Encode, put_len};

/// Path of the server's tree that the caller sees as `/`. Empty for the root; never ends with a slash.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Chroot(String);

/// Path of the server's tree in its two parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FullPath<'a> {
    chroot: &'a str,
    /// The caller's path; empty for the chroot itself.
    below: &'a str,
}

impl Chroot {
    /// Takes a chroot that `servers::parse_chroot` has checked.
    pub(crate) fn new(checked: String) -> Self {
        Self(checked)
    }

    /// Returns the path; empty for the root.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the server's path of a caller's path.
    pub(crate) fn apply(&self, path: &str) -> Result<ByteString, PathError> {
        let FullPath { chroot, below } = self.full(path)?;
        Ok(if chroot.is_empty() { below.into() } else { format!("{chroot}{below}").into() })
    }

    /// Returns the same, to be written without a copy in between.
    pub(crate) fn full<'a>(&'a self, path: &'a str) -> Result<FullPath<'a>, PathError> {
        path::validate(path)?;
        let chroot = self.0.as_str();
        Ok(FullPath { chroot, below: if !chroot.is_empty() && path == "/" { "" } else { path } })
    }

    /// Returns the server's path for a create.
    pub(crate) fn apply_for_create(&self, path: &str, is_sequential: bool) -> Result<ByteString, PathError> {
        if is_sequential { self.apply_sequential(path) } else { self.apply(path) }
    }

    /// Accepts a slash at the end, because a counter follows it.
    fn apply_sequential(&self, path: &str) -> Result<ByteString, PathError> {
        path::validate(&format!("{path}0"))?;
        Ok(format!("{}{path}", self.0).into())
    }

    /// Returns the caller's path of a server's path. A path outside of the chroot stays as it is.
    pub(crate) fn strip<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(self.0.as_str()) {
            Some("") if !self.0.is_empty() => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }
}

impl Encode for FullPath<'_> {
    fn encode(&self, out: &mut BytesMut) {
        put_len(self.chroot.len() + self.below.len(), out);
        out.put_slice(self.chroot.as_bytes());
        out.put_slice(self.below.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_if_it_were_one() {
        for chroot in ["", "/a", "/a/b"] {
            let chroot = Chroot::new(chroot.to_owned());
            for path in ["/", "/x", "/x/y"] {
                let (mut parts, mut whole) = (BytesMut::new(), BytesMut::new());
                chroot.full(path).unwrap().encode(&mut parts);
                chroot.apply(path).unwrap().encode(&mut whole);
                assert_eq!(parts, whole, "{chroot:?} {path}");
            }
        }
        assert!(Chroot::default().full("/a//b").is_err());
    }

    #[test]
    fn stripping_undoes_applying() {
        for chroot in ["", "/a", "/a/b"] {
            let chroot = Chroot::new(chroot.to_owned());
            for path in ["/", "/a", "/x/y", "/a/b/c"] {
                assert_eq!(chroot.strip(&chroot.apply(path).unwrap()), path, "{chroot:?}");
            }
        }
        assert_eq!(Chroot::new("/a".to_owned()).apply("/").unwrap(), "/a");
    }

    #[test]
    fn a_neighbour_of_the_chroot_is_not_below_it() {
        assert_eq!(Chroot::new("/a".to_owned()).strip("/ab"), "/ab");
    }

    #[test]
    fn only_a_sequential_path_may_end_with_a_slash() {
        let chroot = Chroot::default();
        assert_eq!(chroot.apply("/a/"), Err(PathError::TrailingSlash));
        assert_eq!(chroot.apply_sequential("/a/").unwrap(), "/a/");
        assert_eq!(chroot.apply_sequential("/a//"), Err(PathError::EmptyComponent));
        assert_eq!(Chroot::new("/a".to_owned()).apply_sequential("/").unwrap(), "/a/");
    }
}
