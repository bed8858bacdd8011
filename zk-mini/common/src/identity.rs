//! Names of a peer, by its certificate.

/// Names in the certificate by which a peer has proved who it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Identity {
    /// Common name of the subject.
    pub common_name: Option<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// URIs, for example `spiffe://example.org/billing`.
    pub uris: Vec<String>,
}
