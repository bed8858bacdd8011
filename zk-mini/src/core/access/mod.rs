//! Who may do what: identities, access control lists and the passwords of sessions.

pub(crate) mod acl;
pub(crate) mod address;
pub(crate) mod digest;
pub(crate) mod password;
pub(crate) mod shared_acl;
