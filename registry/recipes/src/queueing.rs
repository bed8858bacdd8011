//! Ways to a turn, the same for all locks.

use std::time::Duration;

use crate::contender::{Contender, Loss, Phase, Seat, in_order};
use crate::error::Error;
use crate::guard::Guard;
use crate::protected::again;

/// Waits for our turn.
pub(crate) async fn acquire(seat: &Seat) -> Result<Guard, Error> {
    loop {
        if let Some(guard) = turn(Contender::start(seat.clone())).await? {
            return Ok(guard);
        }
    }
}

/// Waits until it is the turn of this contender; `None` if that was lost again at once.
pub(crate) async fn turn(mut contender: Contender) -> Result<Option<Guard>, Error> {
    let phase = contender.reached(|phase| is_sure(phase) || is_lost(phase)).await?;
    Ok(guard(contender, phase))
}

/// Takes the turn if it is ours at once, and leaves nothing behind otherwise.
pub(crate) async fn try_acquire(seat: &Seat) -> Result<Option<Guard>, Error> {
    loop {
        let mut contender = Contender::start(seat.clone());
        let is_decided = |phase: &Phase| is_sure(phase) || is_lost(phase) || *phase == Phase::Waiting;
        match contender.reached(is_decided).await? {
            Phase::Waiting => {
                contender.withdraw().await?;
                return Ok(None);
            }
            phase => {
                if let Some(guard) = guard(contender, phase) {
                    return Ok(Some(guard));
                }
            }
        }
    }
}

/// Waits for some time, by the client's clock; `None` if that is over.
pub(crate) async fn within<T>(
    seat: &Seat,
    limit: Duration,
    acquire: impl Future<Output = Result<T, Error>>,
) -> Result<Option<T>, Error> {
    seat.client.clock().timeout(limit, acquire).await.transpose()
}

/// Returns the data of all nodes that contend, in order.
pub(crate) async fn contenders(seat: &Seat) -> Result<Vec<String>, Error> {
    let Seat { client, recipe, path, .. } = seat;
    let names = again(client, async || match client.children(path).await {
        Err(error) if error.code() == Some(zk_client::ErrorCode::NO_NODE) => Ok(Vec::new()),
        children => Ok(children?.0),
    });
    let names = in_order(names.await.map_err(Error::of(recipe, path))?);
    let paths: Vec<_> = names.iter().map(|name| zk_wire::path::join(path, name)).collect();
    let mut identities = Vec::with_capacity(paths.len());
    for data in client.get_all(&paths).await {
        match data {
            Ok((data, _)) => identities.push(String::from_utf8_lossy(&data).into_owned()),
            Err(error) if error.code() == Some(zk_client::ErrorCode::NO_NODE) => {}
            Err(error) => return Err(Error::of(recipe, path)(error)),
        }
    }
    Ok(identities)
}

fn guard(contender: Contender, phase: Phase) -> Option<Guard> {
    match phase {
        Phase::Holding { path, created, .. } => Some(Guard::new(contender, path, created)),
        _ => None,
    }
}

fn is_sure(phase: &Phase) -> bool {
    matches!(phase, Phase::Holding { sure: true, .. })
}

fn is_lost(phase: &Phase) -> bool {
    matches!(phase, Phase::Lost(Loss::SessionExpired | Loss::Deleted))
}
