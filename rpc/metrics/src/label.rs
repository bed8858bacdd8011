//! Labels that have a meaning to this crate.

/// Value of a label that stands for all those without a series of their own, such as codes without a name.
pub(crate) const OTHER: &str = "_OTHER";

/// Label of the process that is called.
pub(crate) const INSTANCE_LABEL: &str = "server_instance";
