//! Access: identities, access control lists and the passwords of sessions.

pub(crate) mod acl_table;
pub(crate) mod address;
pub(crate) mod credentials;
pub(crate) mod digest;
pub(crate) mod network;
pub(crate) mod password;
pub(crate) mod requester;
pub(crate) mod sasl;
pub(crate) mod sent_acl;
pub(crate) mod shared_acl;
pub(crate) mod x509;
