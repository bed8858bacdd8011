//! Random stories of clients and their sessions, and the model that says what must happen in them.
//!
//! The stories are told to the core, to a server behind sockets, and to Apache ZooKeeper. A failing story is printed as
//! sentences, after it has been made as short as it can be.

mod model;

use std::fmt;

use proptest::prelude::*;

pub(crate) use model::{Heard, Model, Span, in_order};

/// Number of clients in a story.
pub(crate) const CLIENTS: usize = 3;

/// Names of the nodes that clients create and watch.
pub(crate) const NAMES: [&str; 3] = ["x", "y", "z"];

/// Client, by its index.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Client(pub(crate) usize);

/// Step of a story.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Opens a new session on a new connection. The connection that the client had is lost.
    Open {
        client: Client,
        timeout: u64,
    },
    /// Opens a connection and asks for the client's last session, even while it has a connection, or has expired.
    Reattach {
        client: Client,
        timeout: u64,
        right_password: bool,
    },
    Ping(Client),
    /// Creates an ephemeral node.
    Create(Client, &'static str),
    Delete(Client, &'static str),
    /// Watches a node that may not exist.
    Watch(Client, &'static str),
    /// Watches the list of nodes.
    WatchList(Client),
    /// Closes the session.
    Close(Client),
    /// Loses the connection.
    Lose(Client),
    /// A ping arrives on the last connection of the client after its end.
    Straggle(Client),
    /// Time passes.
    Wait(u64),
    /// The server is suspended for a time.
    Stall(u64),
    /// The server begins to write a snapshot; each later step writes a little of it.
    Snapshot,
    /// The server starts again from its last complete snapshot and the log.
    Restart,
    /// The last session of the client is made to expire.
    Expire(Client),
    /// Something goes wrong, once, for the last session of the client.
    Fault(Client, Fault),
    /// The connections of the client's session freeze. The client does nothing drastic before the thaw.
    Freeze(Client),
    Thaw(Client),
}

/// Fault that a rule of the server causes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The next write is lost with the connection.
    LoseWrite,
    /// The next write is applied, and its reply is lost with the connection.
    LoseReply,
    /// The next ping is ignored.
    IgnorePing,
    /// The next attempt to come back to the session is refused.
    RefuseReturn,
    /// Nodes of the session stay for a time when it expires.
    HoldNodes(u64),
}

impl Step {
    /// Returns the client that acts in this step.
    pub(crate) fn client(&self) -> Option<Client> {
        match self {
            Self::Open { client, .. } | Self::Reattach { client, .. } => Some(*client),
            Self::Ping(client)
            | Self::Create(client, _)
            | Self::Delete(client, _)
            | Self::Watch(client, _)
            | Self::WatchList(client)
            | Self::Close(client)
            | Self::Lose(client)
            | Self::Straggle(client)
            | Self::Expire(client)
            | Self::Fault(client, _)
            | Self::Freeze(client)
            | Self::Thaw(client) => Some(*client),
            Self::Wait(_) | Self::Stall(_) | Self::Snapshot | Self::Restart => None,
        }
    }
}

/// Story: a list of steps, and the settings of the server.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) tick: u64,
    /// Bounds of the session timeout.
    pub(crate) bounds: (u64, u64),
    pub(crate) steps: Vec<Step>,
}

/// Returns stories with everything that can happen to a core.
pub(crate) fn stories() -> impl Strategy<Value = Story> {
    let tick = prop_oneof![4 => Just(2_000), 1 => Just(100), 1 => Just(7), 1 => Just(1)];
    let step = prop_oneof![
        61 => public_step(12_000, 6_000, 500),
        2 => client().prop_map(Step::Straggle),
        2 => time(6_000, 500).prop_map(Step::Stall),
        2 => Just(Step::Snapshot),
        2 => client().prop_map(Step::Expire),
        6 => (client(), fault()).prop_map(|(client, fault)| Step::Fault(client, fault)),
        3 => client().prop_map(Step::Freeze),
        3 => client().prop_map(Step::Thaw),
    ];
    (tick, proptest::collection::vec(step, 1..60)).prop_map(|(tick, steps)| Story {
        tick,
        bounds: (tick, 1_000_000),
        steps,
    })
}

/// Returns stories with what clients and the operator of a server do. Timeouts and waits are a few ticks long.
pub(crate) fn public_stories(tick: u64, steps: usize) -> impl Strategy<Value = Story> {
    proptest::collection::vec(public_step(6 * tick, 3 * tick, tick / 4), 1..steps)
        .prop_map(move |steps| Story { tick, bounds: (2 * tick, 60_000), steps })
}

fn public_step(longest_timeout: u64, longest_wait: u64, unit: u64) -> impl Strategy<Value = Step> {
    let name = || proptest::sample::select(NAMES.as_slice());
    let timeout = || time(longest_timeout, unit);
    prop_oneof![
        6 => (client(), timeout()).prop_map(|(client, timeout)| Step::Open { client, timeout }),
        6 => (client(), timeout(), proptest::bool::weighted(0.75))
            .prop_map(|(client, timeout, right_password)| Step::Reattach { client, timeout, right_password }),
        6 => client().prop_map(Step::Ping),
        8 => (client(), name()).prop_map(|(client, name)| Step::Create(client, name)),
        2 => (client(), name()).prop_map(|(client, name)| Step::Delete(client, name)),
        6 => (client(), name()).prop_map(|(client, name)| Step::Watch(client, name)),
        3 => client().prop_map(Step::WatchList),
        2 => client().prop_map(Step::Close),
        4 => client().prop_map(Step::Lose),
        14 => time(longest_wait, unit).prop_map(Step::Wait),
        2 => Just(Step::Restart),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let others = vec![Fault::LoseWrite, Fault::LoseReply, Fault::IgnorePing, Fault::RefuseReturn];
    prop_oneof![
        3 => proptest::sample::select(others),
        1 => time(6_000, 500).prop_map(|span| Fault::HoldNodes(span.max(1))),
    ]
}

fn client() -> impl Strategy<Value = Client> {
    (0..CLIENTS).prop_map(Client)
}

/// Returns times. Half of them are multiples of `unit`, which meet the ticks exactly.
fn time(longest: u64, unit: u64) -> impl Strategy<Value = u64> {
    prop_oneof![0..longest, (0..longest / unit).prop_map(move |n| n * unit)]
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["Ann", "Bob", "Cid"].get(self.0).copied().unwrap_or("somebody"))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { client, timeout } => write!(f, "{client} opens a session of {timeout} ms"),
            Self::Reattach { client, timeout, right_password } => {
                let password = if *right_password { "right" } else { "wrong" };
                write!(f, "{client} comes back with the {password} password, for {timeout} ms")
            }
            Self::Ping(client) => write!(f, "{client} pings"),
            Self::Create(client, name) => write!(f, "{client} creates {name}"),
            Self::Delete(client, name) => write!(f, "{client} deletes {name}"),
            Self::Watch(client, name) => write!(f, "{client} watches {name}"),
            Self::WatchList(client) => write!(f, "{client} watches the list"),
            Self::Close(client) => write!(f, "{client} closes the session"),
            Self::Lose(client) => write!(f, "{client} loses the connection"),
            Self::Straggle(client) => write!(f, "a late ping of {client} arrives on a dead connection"),
            Self::Wait(span) => write!(f, "{span} ms pass"),
            Self::Stall(span) => write!(f, "the server is suspended for {span} ms"),
            Self::Snapshot => write!(f, "the server begins a snapshot"),
            Self::Restart => write!(f, "the server starts again"),
            Self::Expire(client) => write!(f, "the session of {client} is made to expire"),
            Self::Fault(client, Fault::LoseWrite) => write!(f, "the next write of {client} will be lost"),
            Self::Fault(client, Fault::LoseReply) => {
                write!(f, "the reply to the next write of {client} will be lost")
            }
            Self::Fault(client, Fault::IgnorePing) => write!(f, "the next ping of {client} will be ignored"),
            Self::Fault(client, Fault::RefuseReturn) => {
                write!(f, "the next return of {client} will be refused")
            }
            Self::Fault(client, Fault::HoldNodes(span)) => {
                write!(f, "the nodes of {client} will stay for {span} ms when the session expires")
            }
            Self::Freeze(client) => write!(f, "the session of {client} freezes"),
            Self::Thaw(client) => write!(f, "the session of {client} thaws"),
        }
    }
}

/// Prints the story as sentences.
impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a story, with a tick of {} ms:", self.tick)?;
        self.steps.iter().enumerate().try_for_each(|(n, step)| write!(f, "\n{:>4}. {step}", n + 1))
    }
}
