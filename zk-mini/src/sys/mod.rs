//! Differences between systems: files, names and sockets. Each has the same functions; no other file asks for the system.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{
    allow_restart, connected_pair, is_same_file, lock_options, name_bytes, name_from_bytes, open_to_sync,
    private_options, protect_lock, sync_dir, write_all_at,
};
#[cfg(windows)]
pub(crate) use windows::{
    allow_restart, connected_pair, is_same_file, lock_options, name_bytes, name_from_bytes, open_to_sync,
    private_options, protect_lock, sync_dir, write_all_at,
};
