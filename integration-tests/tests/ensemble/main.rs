//! Registry, client and data files with a real Apache ZooKeeper, whose servers are killed under them.

mod audit;
mod bad_input;
mod clients;
mod command_line;
mod exchange;
mod hand_over;
mod harness;
mod local_sessions;
mod locks;
mod persistent_watch;
mod read_only;
mod reconfig;
mod secured;
mod services;
mod session;
mod simulated;
mod throttle;
