//! Argument and result of `rpc.health`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Question for the health of a service.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct HealthRequest {
    /// Name of the service; empty for the server as a whole.
    #[serde(default)]
    pub service: String,
}

/// Answer to a [`HealthRequest`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HealthReport {
    /// Health of the service.
    pub status: HealthStatus,
}

/// Health of a service. The names on the wire are those of gRPC.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthStatus {
    /// Calls are welcome.
    Serving,
    /// Calls should go elsewhere.
    NotServing,
    /// The server does not know the service.
    ServiceUnknown,
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        })
    }
}
