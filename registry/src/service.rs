//! The names of services, and the nodes that they stand for. No I/O.

use zk_wire::path::{self, PathError};

/// Why a string cannot name a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It begins or ends with a slash.
    #[error("it begins or ends with \"/\"; write \"demo\" or \"team/demo\"")]
    OuterSlash,
    /// It stands for a node that ZooKeeper keeps for itself.
    #[error("\"zookeeper\" belongs to ZooKeeper itself")]
    Reserved,
    /// It makes no node's path.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// The path of the service's node: `/{root}/{service}`.
pub(crate) fn service_path(root: &str, service: &str) -> Result<String, NameError> {
    let path = format!("{}/{}", root_path(root)?, checked(service)?);
    path::validate(&path)?;
    if path == RESERVED || path.starts_with("/zookeeper/") {
        return Err(NameError::Reserved);
    }
    Ok(path)
}

/// The path of the root; empty for none.
pub(crate) fn root_path(root: &str) -> Result<String, NameError> {
    if root.is_empty() { Ok(String::new()) } else { checked(root).map(|root| format!("/{root}")) }
}

fn checked(name: &str) -> Result<&str, NameError> {
    if name.is_empty() {
        Err(NameError::Empty)
    } else if name.starts_with('/') || name.ends_with('/') {
        Err(NameError::OuterSlash)
    } else {
        Ok(name)
    }
}

const RESERVED: &str = "/zookeeper";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_node_below_the_root() {
        assert_eq!(service_path("", "demo").as_deref(), Ok("/demo"));
        assert_eq!(service_path("services", "team/demo").as_deref(), Ok("/services/team/demo"));
        assert_eq!(service_path("services", "zookeeper").as_deref(), Ok("/services/zookeeper"));
    }

    #[test]
    fn each_rule_has_its_error() {
        for (name, error) in [
            ("", NameError::Empty),
            ("/demo", NameError::OuterSlash),
            ("demo/", NameError::OuterSlash),
            ("zookeeper", NameError::Reserved),
            ("zookeeper/x", NameError::Reserved),
            ("a//b", NameError::Path(PathError::EmptyComponent)),
            ("..", NameError::Path(PathError::RelativeComponent)),
            ("a\nb", NameError::Path(PathError::ForbiddenCharacter(10))),
        ] {
            assert_eq!(service_path("", name), Err(error), "{name:?}");
        }
        assert_eq!(service_path("/x", "demo"), Err(NameError::OuterSlash));
    }
}
