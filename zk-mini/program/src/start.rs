//! The start of a server, as all commands do it.

use zk_mini::{Builder, Error, ZkMini};

use crate::error::CliError;
use crate::load::Loading;

/// Starts a server, which has the nodes of the tree before its first client comes.
pub(crate) async fn start(builder: Builder, loading: Option<Loading>) -> Result<ZkMini, CliError> {
    let Some(loading) = loading else { return Ok(builder.start().await?) };
    builder.load(&loading.tree).start().await.map_err(|error| match error {
        Error::Load(error) => loading.refused(error).into(),
        error => error.into(),
    })
}
