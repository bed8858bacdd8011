//! Names of services, and the paths of their nodes. Pure.

use zk_wire::path::{self, PathError};

/// Node that ZooKeeper keeps for itself.
const RESERVED: &str = "/zookeeper";

/// Rule that a name of a service breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty.
    #[error("it is empty")]
    Empty,
    /// The name begins or ends with a slash.
    #[error("it begins or ends with \"/\"; write \"demo\" or \"team/demo\"")]
    OuterSlash,
    /// The id of an instance has a slash.
    #[error("it has a \"/\"")]
    Slash,
    /// The name belongs to a node that ZooKeeper keeps for itself.
    #[error("\"zookeeper\" belongs to ZooKeeper itself")]
    Reserved,
    /// The name makes no valid path of a node.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Returns the path of the service's node: `/{root}/{service}`.
pub(crate) fn service_path(root: &str, service: &str) -> Result<String, NameError> {
    let path = format!("{}/{}", root_path(root)?, checked(service)?);
    path::validate(&path)?;
    if is_reserved(&path) {
        return Err(NameError::Reserved);
    }
    Ok(path)
}

/// Returns true for the paths of nodes that ZooKeeper keeps for itself.
pub(crate) fn is_reserved(path: &str) -> bool {
    path.strip_prefix(RESERVED).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the path of the node whose children are the services.
pub(crate) fn services_path(root: &str) -> Result<String, NameError> {
    let path = root_path(root)?;
    Ok(if path.is_empty() { "/".to_owned() } else { path })
}

/// Returns the path of the root; empty without a root.
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
