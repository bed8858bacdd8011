//! One look at the instances of a service.

use zk_client::{Error, ErrorCode};

use crate::filter::Filter;
use crate::instance::Instance;
use crate::members::{Members, SkipReason, Skipped};
use crate::merge::merge;
use crate::node::ServiceNode;

/// Maximum number of looks while connections are lost.
const LOOKS: u32 = 4;

/// Looks at the service in each format, one after the other, and joins what they show.
pub(crate) async fn discover(nodes: &[ServiceNode], filter: &Filter) -> Result<Members, Error> {
    let mut formats = Vec::with_capacity(nodes.len());
    for node in nodes {
        formats.push(look_again(node).await?);
    }
    let mut members = if formats.len() > 1 { merge(&formats) } else { formats.pop().unwrap_or_default() };
    members.instances.retain(|_, instance| filter.accepts(instance));
    Ok(members)
}

/// Looks again if the connection or the session is lost meanwhile. The next look waits for another connection.
async fn look_again(node: &ServiceNode) -> Result<Members, Error> {
    for _ in 1..LOOKS {
        match look(node).await {
            Err(Error::ConnectionLost { sent: true, .. } | Error::SessionExpired { .. }) => {}
            looked => return looked,
        }
    }
    look(node).await
}

/// Lists the node's children and reads all of them at once. A service without a node has no members.
async fn look(node: &ServiceNode) -> Result<Members, Error> {
    let ServiceNode { client, path, codec, .. } = node;
    let mut names = match client.children(path).await {
        Ok((names, _)) => names,
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => return Ok(Members::default()),
        Err(error) => return Err(error),
    };
    names.retain(|name| codec.is_instance(name));
    let mut members = Members::default();
    let mut instances = Vec::with_capacity(names.len());
    let mut add = |name: &str, read: Result<Instance, SkipReason>| match read {
        Ok(instance) => instances.push((name.into(), instance.into())),
        Err(reason) => members.skipped.push(Skipped { id: name.into(), reason }),
    };
    if codec.reads_data() {
        let paths: Vec<_> = names.iter().map(|name| zk_wire::path::join(path, name)).collect();
        for (name, read) in names.iter().zip(client.get_all(&paths).await) {
            match read {
                Ok((data, _)) => add(name, node.decode(name, &data).map_err(SkipReason::from)),
                Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {}
                Err(error) if error.code().is_some() && !error.is_retryable() => {
                    add(name, Err(SkipReason::Unreadable(error.to_string())));
                }
                Err(error) => return Err(error),
            }
        }
    } else {
        names.iter().for_each(|name| add(name, node.decode(name, &[]).map_err(SkipReason::from)));
    }
    // At once: one by one, each would look for its place among thousands.
    members.instances = instances.into_iter().collect();
    members.skipped.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(members)
}
