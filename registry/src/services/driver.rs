//! The task behind the names of the services: performs the core's requests with a client.

use std::collections::BTreeSet;
use std::sync::Arc;

use common::Clock;
use common::log::quietly;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zk_client::{Error, SessionState, Watch};

use super::core::{Core, Input, Output, ServiceNames};
use crate::node::{ServiceNode, fired, is_connected, list};
use crate::service::is_reserved;

/// Progress of the driver.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) names: Option<Arc<ServiceNames>>,
    /// Error of the last list, if the servers refused it before any was answered.
    pub(super) refused: Option<Error>,
}

/// Owns the core and feeds it.
pub(super) struct Driver {
    /// Parent of the services.
    node: ServiceNode,
    core: Core,
    clock: Clock,
    watch: Option<Watch>,
    /// The list under way.
    listing: JoinSet<Result<(Vec<String>, Watch), Error>>,
    /// The last refusal, until there is a list.
    logged: Option<String>,
}

impl Driver {
    pub(super) fn new(node: ServiceNode, clock: Clock, seed: u64) -> Self {
        Self { node, core: Core::new(seed), clock, watch: None, listing: JoinSet::new(), logged: None }
    }

    /// Runs until the last handle is gone or the client is closed.
    pub(super) async fn run(mut self, views: watch::Sender<View>) {
        self.drive(&views).await;
        // The last names are never asked for again: they are stale.
        self.feed(Input::Disconnected, &views);
    }

    async fn drive(&mut self, views: &watch::Sender<View>) {
        let mut states = self.node.client.states();
        let Some(input) = states.wait_for(|_| true).await.and_then(connection) else { return };
        self.feed(input, views);
        loop {
            let input = tokio::select! {
                biased;
                () = views.closed() => return,
                state = states.changed() => match state.and_then(connection) {
                    Some(input) => input,
                    None => return,
                },
                () = fired(&mut self.watch) => {
                    self.watch = None;
                    Input::Changed
                }
                Some(Ok(listed)) = self.listing.join_next() => self.listed(listed, views),
                () = self.clock.sleep_until(self.core.poll_deadline()) => Input::Timeout,
            };
            self.feed(input, views);
        }
    }

    fn feed(&mut self, input: Input, views: &watch::Sender<View>) {
        self.core.handle(self.clock.now(), input);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::List => {
                    let node = self.node.clone();
                    let list = async move { list(&node.client, &node.path).await };
                    self.listing.spawn(self.clock.attend(list));
                }
                Output::Publish(names) => {
                    views.send_replace(View { names: Some(names), refused: None });
                }
            }
        }
    }

    fn listed(&mut self, listed: Result<(Vec<String>, Watch), Error>, views: &watch::Sender<View>) -> Input {
        match listed {
            Ok((children, watch)) => {
                self.watch = Some(watch);
                self.logged = None;
                Input::Listed(Some(self.names(&children)))
            }
            Err(error) => {
                quietly(|| tracing::debug!(path = %self.node.path, %error, "services: cannot list"));
                if error.is_retryable() {
                    return Input::Listed(None);
                }
                let text = error.to_string();
                if self.logged.as_ref() != Some(&text) {
                    quietly(|| tracing::warn!(path = %self.node.path, %error, "services cannot be listed"));
                    self.logged = Some(text);
                }
                if views.borrow().names.is_none() {
                    views.send_replace(View { names: None, refused: Some(error) });
                }
                Input::Refused
            }
        }
    }

    fn names(&self, children: &[String]) -> BTreeSet<String> {
        let services =
            children.iter().filter(|child| !is_reserved(&zk_wire::path::join(&self.node.path, child)));
        services.filter_map(|child| self.node.codec.service_name(child)).collect()
    }
}

/// Returns the input for a state of the client; `None` once the client is closed.
fn connection(state: SessionState) -> Option<Input> {
    is_connected(state).map(|connected| if connected { Input::Connected } else { Input::Disconnected })
}
