//! Descriptions of services, as the method `rpc.reflect/describe` of every server gives them.

use rpc_client::{Client, Code, Error};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Description of a service.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Descriptor {
    pub(crate) name: String,
    pub(crate) methods: Vec<Method>,
}

/// Description of a method.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) argument: Option<String>,
    #[serde(default)]
    pub(crate) result: Option<String>,
    #[serde(default)]
    pub(crate) docs: Option<String>,
}

/// Shape of a method.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Unary,
    ServerStream,
    ClientStream,
    BidiStream,
}

/// Asks an instance what it offers.
pub(crate) async fn describe(client: &Client, service: &str) -> Result<Descriptor, Error> {
    client.call("rpc.reflect/describe", &json!({ "service": service })).idempotent().await
}

/// Returns the shape of a method; `None` if the server cannot tell it.
pub(crate) async fn kind(client: &Client, service: &str, method: &str) -> Result<Option<Kind>, Error> {
    match describe(client, service).await {
        Ok(descriptor) => Ok(descriptor.methods.iter().find(|known| known.name == method).map(|m| m.kind)),
        Err(error) if error.code() == Code::UNIMPLEMENTED => Ok(None),
        Err(error) => Err(error),
    }
}
