//! The server's half: the trait to implement, and the service that it makes.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Ident, Path, Type};

use crate::definition::{Definition, Kind, Method, Parameter, Role};

/// Returns the trait, and its implementation for a shared value. `server` is the path of the crate of servers.
pub(crate) fn generate(definition: &Definition, server: &Path) -> TokenStream {
    let Definition { attributes, visibility, ident, supertraits, methods, .. } = definition;
    let declared = methods.iter().map(declare);
    let forwarded = methods.iter().map(forward);
    let into_service = into_service(definition, server);
    // Not every trait that a service asks for is one that `Arc` passes on.
    let shared = (!supertraits.is_empty()).then(|| quote!(where ::std::sync::Arc<__S>: #supertraits));
    let supertraits = supertraits.iter();
    quote! {
        #(#attributes)*
        #visibility trait #ident: #(#supertraits +)* ::core::marker::Send + ::core::marker::Sync + 'static {
            #(#declared)*
            #into_service
        }

        impl<__S: #ident> #ident for ::std::sync::Arc<__S> #shared {
            #(#forwarded)*
        }
    }
}

fn declare(method: &Method) -> TokenStream {
    let (attributes, signature) = (&method.attributes, signature(method));
    quote! {
        #(#attributes)*
        #signature;
    }
}

fn forward(method: &Method) -> TokenStream {
    let (ident, signature) = (&method.ident, signature(method));
    let conditions = conditions(method);
    let parameters = method.parameters.iter().map(|parameter| &parameter.ident);
    quote! {
        #(#conditions)*
        #signature {
            __S::#ident(self, #(#parameters),*)
        }
    }
}

fn signature(method: &Method) -> TokenStream {
    let Method { ident, parameters, output, .. } = method;
    let parameters = parameters.iter().map(|Parameter { ident, ty, .. }| quote!(#ident: #ty));
    quote! {
        fn #ident(&self, #(#parameters),*)
            -> impl ::core::future::Future<Output = #output> + ::core::marker::Send
    }
}

fn into_service(definition: &Definition, server: &Path) -> TokenStream {
    let Definition { ident, name, docs, methods, .. } = definition;
    let methods = methods.iter().map(|method| register(ident, method, server));
    let summary =
        format!("Makes the service `{name}` of this value, for `Server::new` or `Server::add_service`.");
    quote! {
        #[doc = #summary]
        fn into_service(self) -> #server::Service
        where
            Self: ::core::marker::Sized,
        {
            let __state = ::std::sync::Arc::new(self);
            let __builder = #server::Service::builder(#name).docs(#docs);
            #(#methods)*
            __builder.build()
        }
    }
}

/// Returns the statement that adds a method to the builder.
fn register(service: &Ident, method: &Method, server: &Path) -> TokenStream {
    let Method { ident, name, docs, kind, .. } = method;
    let conditions = conditions(method);
    let (pattern, ty, span) = match method.messages() {
        Some(message) => {
            let messages = method.parameters.iter().find(|one| matches!(one.role, Role::Messages(_)));
            let messages = messages.map(|messages| &messages.ident).into_token_stream();
            (messages, quote!(#server::Messages<#message>), message.span())
        }
        None => argument(method),
    };
    let lent = method.parameters.iter().map(|Parameter { ident, ty, role }| match (role, ty) {
        (Role::Context, _) => quote!(__context),
        (Role::Argument { .. }, Type::Reference(_)) => quote!(&#ident),
        _ => quote!(#ident),
    });
    let add = match kind {
        Kind::Unary => "method",
        Kind::ServerStream => "server_stream",
        Kind::ClientStream => "client_stream",
        Kind::BidiStream => "bidi_stream",
    };
    // A type that serde does not know is reported where the user has written it.
    let add = Ident::new(add, span.resolved_at(proc_macro2::Span::call_site()));
    let result = &method.result;
    let check = quote_spanned!(result.span()=> #server::__private::assert_result::<#result>(););
    quote! {
        #(#conditions)*
        let __builder = {
            #check
            let __state = ::std::sync::Arc::clone(&__state);
            __builder
                .#add(#name, move |#pattern: #ty, __context: #server::Context| {
                    let __state = ::std::sync::Arc::clone(&__state);
                    async move { <Self as #service>::#ident(&__state, #(#lent),*).await }
                })
                .describe(#name, #docs)
        };
    }
}

/// Returns pattern and type of what is decoded: nothing, the one argument, or all of them in a tuple.
fn argument(method: &Method) -> (TokenStream, TokenStream, proc_macro2::Span) {
    let arguments: Vec<_> = method.arguments().collect();
    match *arguments {
        [] => (quote!(()), quote!(()), method.ident.span()),
        [(ident, ty, owned)] => (quote!(#ident), quote!(#owned), ty.span()),
        [(_, first, _), ..] => {
            let (idents, types) = (arguments.iter().map(|one| one.0), arguments.iter().map(|one| one.2));
            (quote!((#(#idents),*)), quote!((#(#types),*)), first.span())
        }
    }
}

/// Returns the attributes that decide whether the method exists.
fn conditions(method: &Method) -> impl Iterator<Item = &Attribute> {
    method.attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
}
