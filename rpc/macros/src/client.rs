//! The client's half: a type with a method for each of the service's.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Path, Type, Visibility};

use crate::definition::{Definition, Kind, Method};

/// Returns the typed client. `client` is the path of the crate of clients.
pub(crate) fn generate(definition: &Definition, client: &Path) -> TokenStream {
    let Definition { visibility, ident, name, methods, .. } = definition;
    let typed = format_ident!("{ident}Client");
    let methods = methods.iter().map(|method| call(method, visibility, client));
    let summary =
        format!("Typed client of the service `{name}`. Cheap to clone, as the client that it wraps.");
    quote! {
        #[doc = #summary]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #visibility struct #typed {
            client: #client::Client,
        }

        // A program need not call every method.
        #[allow(dead_code)]
        impl #typed {
            /// Name of the service.
            #visibility const SERVICE: &'static str = #name;

            /// Calls the service by this client.
            #visibility fn new(client: #client::Client) -> Self {
                Self { client }
            }

            /// Returns the client that makes the calls.
            #visibility fn client(&self) -> &#client::Client {
                &self.client
            }

            #(#methods)*
        }

        impl ::core::convert::From<#client::Client> for #typed {
            fn from(client: #client::Client) -> Self {
                Self::new(client)
            }
        }
    }
}

fn call(method: &Method, visibility: &Visibility, client: &Path) -> TokenStream {
    let Method { attributes, ident, name, result, is_idempotent, kind, .. } = method;
    let parameters = method.arguments().map(|(ident, ty, _)| quote!(#ident: #ty));
    let idempotent = is_idempotent.then(|| quote!(.idempotent()));
    let argument = argument(method);
    let message = method.messages();
    let (awaited, call) = match kind {
        Kind::Unary => (quote!(#result), quote!(call(#name, #argument)#idempotent)),
        Kind::ServerStream => (quote!(#client::Messages<#result>), quote!(server_stream(#name, #argument))),
        Kind::ClientStream => (quote!(#client::Upload<#message, #result>), quote!(client_stream(#name))),
        Kind::BidiStream => {
            let halves = quote!((#client::MessageSender<#message>, #client::Messages<#result>));
            (halves, quote!(bidi_stream(#name)))
        }
    };
    let call_type = match kind {
        Kind::Unary => quote!(Call),
        Kind::ServerStream | Kind::ClientStream | Kind::BidiStream => quote!(StreamCall),
    };
    quote! {
        #(#attributes)*
        #visibility fn #ident(&self, #(#parameters),*) -> #client::#call_type<'_, #awaited> {
            self.client.#call
        }
    }
}

/// Returns a reference to what is sent: nothing, the one argument, or all of them in a tuple.
fn argument(method: &Method) -> TokenStream {
    let arguments: Vec<_> = method.arguments().collect();
    match *arguments {
        [] => quote!(&()),
        [(ident, Type::Reference(_), _)] => quote!(#ident),
        [(ident, ..)] => quote!(&#ident),
        _ => {
            let idents = arguments.iter().map(|one| one.0);
            quote!(&(#(#idents),*))
        }
    }
}
