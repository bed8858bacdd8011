//! Decision to show members of the cache, as a state machine: they are read while no server is connected, and shown as long as
//! the registry has not answered. It knows no file, connection or task.

use std::sync::Arc;

use crate::members::Members;

/// Events that the shell reports.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// A connection exists.
    Connected,
    /// No connection exists.
    Disconnected,
    /// The cache was read; `None` if it has no members.
    Loaded(Option<Members>),
    /// The registry has shown its members.
    Answered,
}

/// Steps for the shell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// Read the cache.
    Load,
    /// Show these members.
    Show(Arc<Members>),
}

/// The state machine.
#[derive(Debug, Default)]
pub(crate) struct Fallback {
    is_away: bool,
    state: FallbackState,
}

#[derive(Debug, Default)]
enum FallbackState {
    /// The cache was not needed yet.
    #[default]
    Unread,
    Loading,
    Loaded(Arc<Members>),
    Over,
}

impl Fallback {
    /// Takes an input. Drain [`Self::poll_output`] after it.
    pub(crate) fn handle(&mut self, input: Input) {
        match (input, &self.state) {
            (Input::Connected, _) => self.is_away = false,
            (Input::Disconnected, _) => self.is_away = true,
            (Input::Answered | Input::Loaded(None), _) => self.state = FallbackState::Over,
            (Input::Loaded(Some(members)), FallbackState::Loading) => {
                self.state = FallbackState::Loaded(Arc::new(members));
            }
            (Input::Loaded(Some(_)), _) => {}
        }
    }

    /// Returns the next output, if there is one.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        // While a server is connected, its answer is a moment away.
        if !self.is_away {
            return None;
        }
        let (next, output) = match &self.state {
            FallbackState::Unread => (FallbackState::Loading, Output::Load),
            FallbackState::Loaded(members) => (FallbackState::Over, Output::Show(members.clone())),
            FallbackState::Loading | FallbackState::Over => return None,
        };
        self.state = next;
        Some(output)
    }
}

#[cfg(test)]
mod tests {
    use super::Input::{Answered, Connected, Disconnected};
    use super::*;

    fn cached() -> Members {
        Members { stale: true, cached: Some(7), ..Members::default() }
    }

    fn loaded() -> Input {
        Input::Loaded(Some(cached()))
    }

    fn outputs(inputs: impl IntoIterator<Item = Input>) -> Vec<Output> {
        let mut fallback = Fallback::default();
        let mut outputs = Vec::new();
        for input in inputs {
            fallback.handle(input);
            outputs.extend(std::iter::from_fn(|| fallback.poll_output()));
        }
        outputs
    }

    #[test]
    fn members_are_read_and_shown_once_while_the_registry_is_away() {
        let shown = [Output::Load, Output::Show(Arc::new(cached()))];
        assert_eq!(outputs([Disconnected, loaded()]), shown);
        assert_eq!(outputs([Disconnected, loaded(), Connected, Disconnected]), shown);
        assert_eq!(outputs([Connected, Disconnected, loaded()]), shown, "it hangs");
    }

    #[test]
    fn nothing_is_read_while_a_server_is_connected() {
        assert_eq!(outputs([Connected, Answered, Disconnected]), []);
    }

    #[test]
    fn an_answer_comes_before_the_cache() {
        assert_eq!(outputs([Disconnected, Connected, Answered, loaded(), Disconnected]), [Output::Load]);
        let late = [Disconnected, Connected, loaded(), Disconnected];
        assert_eq!(outputs(late), [Output::Load, Output::Show(Arc::new(cached()))], "no answer came");
    }

    #[test]
    fn without_a_file_the_answer_is_awaited() {
        let inputs = [Disconnected, Input::Loaded(None), Connected, Disconnected];
        assert_eq!(outputs(inputs), [Output::Load]);
    }
}
