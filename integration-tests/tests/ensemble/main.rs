//! Our side with a real Apache ZooKeeper: an ensemble whose servers are killed under a live registry.

mod bad_input;
mod hand_over;
mod harness;
mod services;
mod session;
