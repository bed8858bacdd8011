//! One look at the instances of a service.

use zk_client::{Error, ErrorCode};

use crate::members::{InstanceId, Members, SkipReason, Skipped};
use crate::node::ServiceNode;

/// Lists the node's children and reads all of them at once. A service without a node has no members.
pub(crate) async fn discover(node: &ServiceNode) -> Result<Members, Error> {
    let ServiceNode { client, path, codec, .. } = node;
    let names = match client.children(path).await {
        Ok((names, _)) => names,
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => return Ok(Members::default()),
        Err(error) => return Err(error),
    };
    let paths: Vec<_> = names.iter().map(|name| zk_wire::path::join(path, name)).collect();
    let mut members = Members::default();
    for (name, read) in names.iter().zip(client.get_all(&paths).await) {
        let id = InstanceId::from(name.as_str());
        match read {
            Ok((data, _)) => match codec.decode(name, &data) {
                Ok(instance) => drop(members.instances.insert(id, instance.into())),
                Err(defect) => members.skipped.push(Skipped { id, reason: defect.into() }),
            },
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {}
            Err(error) if error.code().is_some() && !error.is_retryable() => {
                members.skipped.push(Skipped { id, reason: SkipReason::Unreadable(error.to_string()) });
            }
            Err(error) => return Err(error),
        }
    }
    members.skipped.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(members)
}
