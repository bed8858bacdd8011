//! The task of a source with a cache: shows members of the disk until the registry answers, and writes what it answers.

use tokio::sync::watch;
use tokio::task::JoinSet;
use zk_client::{Client, SessionState};

use super::view::View;
use crate::cache::ServiceCache;
use crate::cache::fallback::{Fallback, Input, Output};
use crate::node::is_connected;

/// Runs until the last subscriber is gone or the client is closed.
pub(super) async fn cached(
    cache: ServiceCache,
    client: Client,
    mut answers: watch::Receiver<View>,
    views: watch::Sender<View>,
) {
    let writer = cache.clone().writer();
    let mut fallback = Fallback::default();
    let mut states = client.states();
    let mut loads = JoinSet::new();
    let mut state = Some(states.current());
    loop {
        if let Some(state) = state {
            fallback.handle(connection(state));
        }
        while let Some(output) = fallback.poll_output() {
            match output {
                Output::Load => drop(loads.spawn(cache.clone().load())),
                Output::Show(members) => {
                    views.send_replace(View { members: Some(members), ..View::default() });
                }
            }
        }
        tokio::select! {
            biased;
            () = views.closed() => return,
            changed = answers.changed() => {
                if changed.is_err() {
                    return;
                }
                let view = answers.borrow_and_update().clone();
                if let Some(members) = &view.members {
                    writer.show(members);
                    fallback.handle(Input::Answered);
                    views.send_replace(view);
                } else if views.borrow().members.is_none() {
                    views.send_replace(view);
                }
            }
            changed = states.changed(), if state.is_some() => state = changed,
            Some(Ok(members)) = loads.join_next() => fallback.handle(Input::Loaded(members)),
        }
    }
}

/// Returns the input for a state of the client.
fn connection(state: SessionState) -> Input {
    if is_connected(state) == Some(true) { Input::Connected } else { Input::Disconnected }
}
