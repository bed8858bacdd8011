//! Scenarios that hold with every ZooKeeper: the tests run each on zk-mini and on Apache's.

pub mod bad_input;
pub mod registry;
pub mod rpc;
pub mod secured;

use std::sync::Arc;

use ::registry::{Members, Subscription};

use crate::wait::PATIENCE;

/// Waits for members that `wanted` accepts.
///
/// # Panics
/// If they do not come; the message has `what`.
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
    found.unwrap_or_else(|| panic!("not seen: {what}; the members are {:?}", subscription.current()))
}
