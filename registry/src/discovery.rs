//! Finding the instances of a service once.

use tokio::task::JoinSet;
use zk_client::{Client, Error, ErrorCode};

use crate::instance::Instance;
use crate::members::{InstanceId, Members, SkipReason, Skipped};

/// Lists the node's children and reads them, many at a time. A service without a node has no members.
pub(crate) async fn discover(client: &Client, path: &str) -> Result<Members, Error> {
    let names = match client.children(path).await {
        Ok((names, _)) => names,
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => return Ok(Members::default()),
        Err(error) => return Err(error),
    };
    let mut members = Members::default();
    let mut names = names.into_iter();
    let mut reads = JoinSet::new();
    loop {
        while reads.len() < READS {
            let Some(name) = names.next() else { break };
            let (client, node) = (client.clone(), zk_wire::path::join(path, &name));
            reads.spawn(async move { (InstanceId::from(name.as_str()), client.get(&node).await) });
        }
        let Some(read) = reads.join_next().await else { break };
        let Ok((id, read)) = read else { continue };
        match read {
            Ok((data, _)) => match Instance::from_json(&data) {
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

/// How many nodes are read at the same time.
const READS: usize = 128;
