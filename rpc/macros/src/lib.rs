//! The attribute `service`: makes a typed RPC service, and its client, of a trait. Use it as `rpc_server::service` and
//! `rpc_client::service`, which have the documentation and the examples.
//!
//! # Inside
//! `definition` reads the trait and finds the mistakes in it; `server` and `client` write the two halves.
#![forbid(unsafe_code)]

mod attributes;
mod client;
mod definition;
mod server;

use proc_macro::TokenStream;
use syn::{ItemTrait, Path};

use crate::attributes::{ServiceArguments, client_crate, server_crate};
use crate::definition::Definition;

/// Makes the server's half of a service; see `rpc_server::service`.
#[proc_macro_attribute]
pub fn server_service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(arguments, item, true, |definition, own_crate, client| {
        let server = server::generate(definition, &own_crate.unwrap_or_else(server_crate));
        let client = client.map(|client| client::generate(definition, &client));
        quote::quote!(#server #client)
    })
}

/// Makes the client's half of a service; see `rpc_client::service`.
#[proc_macro_attribute]
pub fn client_service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(arguments, item, false, |definition, own_crate, _| {
        client::generate(definition, &own_crate.unwrap_or_else(client_crate))
    })
}

fn expand(
    arguments: TokenStream,
    item: TokenStream,
    may_have_client: bool,
    generate: impl FnOnce(&Definition, Option<Path>, Option<Path>) -> proc_macro2::TokenStream,
) -> TokenStream {
    let item = match syn::parse::<ItemTrait>(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error().into(),
    };
    let expanded = ServiceArguments::parse(arguments.into(), may_have_client).and_then(|arguments| {
        let definition = Definition::read(arguments.name, &item)?;
        Ok(generate(&definition, arguments.own_crate, arguments.client))
    });
    expanded.unwrap_or_else(|error| with_trait(&error, item)).into()
}

/// Returns the mistakes with the trait as it was written, so that the compiler does not also complain of what lacks it.
fn with_trait(error: &syn::Error, item: ItemTrait) -> proc_macro2::TokenStream {
    let (mistakes, item) = (error.to_compile_error(), attributes::without_own(item));
    quote::quote! {
        #mistakes

        #[allow(dead_code, async_fn_in_trait)]
        #item
    }
}
