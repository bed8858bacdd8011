//! Answers four-letter words: figures are copied under the lock of the state, and formatted after the unlock.

use tokio::task::spawn_blocking;

use crate::core::{Frame, Mode};
use crate::report::four_letter::{
    FourLetterWord, WordRequest, clients, conf, dirs, dump, envi, mntr, server, watches,
};
use crate::shell::engine::{ConnectionGuard, Engine};
use crate::shell::outbox::Close;
use crate::shell::state::ServerState;
use crate::shell::system_info;
use crate::shell::turn::Turn;

/// Number of lines from which on a text is written on a thread of its own.
const MANY_LINES: usize = 5_000;

/// The text of an answer, to be written when the lock is free.
struct PendingText {
    /// Approximate number of lines.
    lines: usize,
    write: Box<dyn FnOnce() -> String + Send>,
}

impl PendingText {
    fn new(lines: usize, write: impl FnOnce() -> String + Send + 'static) -> Self {
        Self { lines, write: Box::new(write) }
    }

    fn short(write: impl FnOnce() -> String + Send + 'static) -> Self {
        Self::new(1, write)
    }

    fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::short(move || text)
    }

    async fn write(self) -> String {
        if self.lines > MANY_LINES {
            // It fails only if the runtime has ended.
            spawn_blocking(self.write).await.unwrap_or_default()
        } else {
            (self.write)()
        }
    }
}

impl Engine {
    /// Answers a four-letter word and closes its connection.
    pub(crate) async fn answer(&self, guard: &ConnectionGuard, request: WordRequest) {
        let answer = self.turn(|state, turn| {
            state.connections.word_received(guard.id);
            // Each server of an ensemble answers for itself.
            let before = state.core.place(guard.server);
            let answer = self.answer_to(request, state, turn, guard);
            state.core.place(before);
            answer
        });
        let mut text = answer.write().await;
        // Four bytes may ask for the watches of all clients.
        let (len, max) = (text.len(), self.limits.max_backlog);
        if len > max {
            text = format!("The answer takes {len} bytes, and at most {max} may wait for a client.\n");
        }
        self.turn(|state, turn| {
            guard.outbox.push(&Frame::Shared(text.into()), turn);
            state.connections.word_answered(guard.id);
            guard.outbox.close(Close::Flushed, turn);
        });
    }

    /// Performs a word, and takes the figures that its answer shows.
    fn answer_to(
        &self,
        request: WordRequest,
        state: &mut ServerState,
        turn: &Turn<'_>,
        guard: &ConnectionGuard,
    ) -> PendingText {
        let config = self.configuration_of(guard.server, state);
        let files = self.setup.files.clone();
        let word = match request {
            WordRequest::Allowed(word) => word,
            WordRequest::Refused(word) => {
                return PendingText::text(format!(
                    "{word} is not executed because it is not in the whitelist.\n"
                ));
            }
            WordRequest::SetTraceMask(mask) => {
                state.trace_mask = mask;
                return PendingText::text(mask.to_string());
            }
            WordRequest::SetNothing => return PendingText::text(""),
        };
        match word {
            FourLetterWord::Conf => {
                let member = state.core.membership();
                PendingText::short(move || {
                    conf::answer(&config, &system_info::disk(files.as_deref()), member.as_ref())
                })
            }
            FourLetterWord::Cons => {
                let (connections, asking) = (state.connection_figures(), guard.id);
                PendingText::new(connections.len(), move || clients::answer(&connections, asking))
            }
            FourLetterWord::Crst => {
                state.reset_connection_figures();
                PendingText::text("Connection stats reset.\n")
            }
            FourLetterWord::Dirs => {
                PendingText::short(move || dirs::answer(&system_info::disk(files.as_deref())))
            }
            FourLetterWord::Dump => {
                let figures = state.expiry_figures(turn.now);
                PendingText::new(dump::lines(&figures), move || dump::answer(&figures))
            }
            FourLetterWord::Envi => {
                PendingText::short(move || envi::answer(&config, &system_info::environment()))
            }
            FourLetterWord::Gtmk | FourLetterWord::Stmk => PendingText::text(state.trace_mask.to_string()),
            // The real server has no answer either before its 128th transaction.
            FourLetterWord::Hash => PendingText::text(""),
            FourLetterWord::Isro => {
                PendingText::text(if state.core.mode() == Mode::ReadOnly { "ro" } else { "rw" })
            }
            FourLetterWord::Mntr => {
                let figures = state.figures(&config, turn.now);
                PendingText::short(move || mntr::answer(&figures, system_info::descriptors()))
            }
            FourLetterWord::Ruok => PendingText::text("imok"),
            FourLetterWord::Srst => {
                state.reset_figures();
                PendingText::text("Server stats reset.\n")
            }
            FourLetterWord::Srvr => {
                let figures = state.server_figures(turn.now);
                PendingText::short(move || server::answer(&config, &figures))
            }
            FourLetterWord::Stat => {
                let (figures, connections) = (state.server_figures(turn.now), state.connection_figures());
                let asking = guard.id;
                PendingText::new(connections.len(), move || {
                    server::answer_with_clients(&config, &figures, &connections, asking)
                })
            }
            FourLetterWord::Wchc => {
                let figures = state.watch_figures();
                PendingText::new(figures.pairs.len(), move || watches::by_session(figures))
            }
            FourLetterWord::Wchp => {
                let figures = state.watch_figures();
                PendingText::new(figures.pairs.len(), move || watches::by_path(figures))
            }
            FourLetterWord::Wchs => {
                let counts = state.watch_counts();
                PendingText::short(move || watches::summary(counts))
            }
        }
    }
}
