//! The shell around the core: it moves bytes, reads clocks and waits. Only this module and the public handles name
//! tokio.
//!
//! A request comes in at a [`listener`], from which [`accept`] takes it, or a [`connector`]; a task, [`connection`], reads it and hands its [`frames`] to
//! the [`engine`], which holds the [`state`] behind a mutex. The state hands each frame to the core and performs the
//! outputs: replies go to the [`outbox`] of a connection, or first to the [`journal`] until the [`keeper`] has
//! written the transactions before them to the disk.
//!
//! Room for more: another protocol on the same port is recognised in [`opening`]; TLS is recognised there, too, and its stream handed
//! to [`connection::spawn`] anew, which flushes it after each batch. Faults are decided in
//! the core, where requests and answers pass, with the core's deadlines; `ServerState::perform` performs them.

pub(crate) mod accept;
pub(crate) mod accept_barrier;
pub(crate) mod came;
pub(crate) mod change;
pub(crate) mod changes;
pub(crate) mod chunks;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod connector;
pub(crate) mod engine;
pub(crate) mod exchange;
pub(crate) mod frames;
pub(crate) mod gather;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod keeper;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod listens;
pub(crate) mod newcomers;
pub(crate) mod opening;
pub(crate) mod outbox;
pub(crate) mod panics;
pub(crate) mod remote;
pub(crate) mod runtime;
pub(crate) mod security;
pub(crate) mod state;
pub(crate) mod system_info;
pub(crate) mod time;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod together;
pub(crate) mod turn;
pub(crate) mod turn_log;
pub(crate) mod turned_away;
pub(crate) mod words;
