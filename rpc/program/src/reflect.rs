//! Descriptions of services, as the method `rpc.reflect/describe` of every server gives them.

use rpc_client::{Client, Code, Error};
use rpc_wire::{MethodKind, ServiceDescriptor};
use serde_json::json;

/// Asks an instance what it offers.
pub(crate) async fn describe(client: &Client, service: &str) -> Result<ServiceDescriptor, Error> {
    client.call("rpc.reflect/describe", &json!({ "service": service })).idempotent().await
}

/// Returns the shape of a method; `None` if the server cannot tell it.
pub(crate) async fn kind(client: &Client, service: &str, method: &str) -> Result<Option<MethodKind>, Error> {
    match describe(client, service).await {
        Ok(descriptor) => Ok(descriptor.methods.iter().find(|known| known.name == method).map(|m| m.kind)),
        Err(error) if error.code() == Code::UNIMPLEMENTED => Ok(None),
        Err(error) => Err(error),
    }
}
