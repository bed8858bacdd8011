//! What must hold whatever the ZooKeeper: each scenario takes a way to reach one, and is run on zk-mini and on Apache's.

pub mod bad_input;
pub mod registry;
pub mod rpc;

use std::sync::Arc;

use ::registry::{Members, Subscription};

use crate::wait::PATIENCE;

/// The next members for which `wanted` holds.
///
/// # Panics
/// When they do not come.
pub async fn members(
    what: &str,
    subscription: &mut Subscription,
    wanted: impl Fn(&Members) -> bool,
) -> Arc<Members> {
    let found = async {
        let mut members = subscription.current();
        while !wanted(&members) {
            members = subscription.changed().await?;
        }
        Some(members)
    };
    let found = tokio::time::timeout(PATIENCE, found).await.ok().flatten();
    found.unwrap_or_else(|| panic!("not seen: {what}; but {:?}", subscription.current()))
}
