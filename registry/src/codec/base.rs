//! Node below which a format keeps its services: the registry's root, or a path of its own. Pure.

use crate::service::{self, NameError};

/// Node whose children are the services of a format.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Base(Option<String>);

impl Base {
    /// Chooses a path below the chroot instead of the registry's root.
    pub(super) fn at(path: impl Into<String>) -> Self {
        Self(Some(path.into()))
    }

    /// Returns the path of a service's node.
    pub(super) fn service_path(&self, root: &str, service: &str) -> Result<String, NameError> {
        service::service_path(self.below_chroot(root), service)
    }

    /// Returns the path of the node whose children are the services.
    pub(super) fn services_path(&self, root: &str) -> Result<String, NameError> {
        service::services_path(self.below_chroot(root))
    }

    fn below_chroot<'a>(&'a self, root: &'a str) -> &'a str {
        self.0.as_deref().map_or(root, |path| path.strip_prefix('/').unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_takes_the_place_of_the_root() {
        let paths =
            |base: Base| (base.service_path("root", "s").unwrap(), base.services_path("root").unwrap());
        let owned = |(service, services): (&str, &str)| (service.to_owned(), services.to_owned());
        assert_eq!(paths(Base::default()), owned(("/root/s", "/root")));
        assert_eq!(paths(Base::at("/a/b")), owned(("/a/b/s", "/a/b")));
        assert_eq!(paths(Base::at("/")), owned(("/s", "/")));
        assert_eq!(Base::at("/a/").service_path("", "s"), Err(NameError::OuterSlash));
    }
}
