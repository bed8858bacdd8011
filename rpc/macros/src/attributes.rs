//! Attributes of a service and of its methods.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{
    Attribute, Expr, ExprLit, ItemTrait, Lit, LitStr, Meta, MetaNameValue, Path, Result, Token, TraitItem,
};

/// Attribute of a method that may be repeated.
const IDEMPOTENT: &str = "idempotent";

/// Attribute of a method with its name for clients.
const METHOD: &str = "method";

/// Beginning of the names of the library's own services.
const RESERVED: &str = "rpc.";

/// Arguments of `#[service(…)]`.
#[derive(Default)]
pub(crate) struct ServiceArguments {
    /// Name for clients.
    pub(crate) name: Option<String>,
    /// Crate of the half that the attribute belongs to.
    pub(crate) own_crate: Option<Path>,
    /// Crate of the client's half, if a server's attribute is to make it, too.
    pub(crate) client: Option<Path>,
}

impl ServiceArguments {
    pub(crate) fn parse(arguments: TokenStream, may_have_client: bool) -> Result<Self> {
        let mut parsed = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("name") {
                parsed.name = Some(service_name(&meta)?);
            } else if meta.path.is_ident("crate") {
                parsed.own_crate = Some(meta.value()?.call(Path::parse_mod_style)?);
            } else if may_have_client && meta.path.is_ident("client") {
                let is_named = meta.input.peek(Token![=]);
                let path = if is_named { meta.value()?.call(Path::parse_mod_style)? } else { client_crate() };
                parsed.client = Some(path);
            } else {
                return Err(meta.error(if may_have_client {
                    "unknown argument; there are `name = \"…\"`, `client`, `client = path` and `crate = path`"
                } else {
                    "unknown argument; there are `name = \"…\"` and `crate = path`"
                }));
            }
            Ok(())
        });
        parser.parse2(arguments)?;
        Ok(parsed)
    }
}

/// Returns the usual path of the crate of clients.
pub(crate) fn client_crate() -> Path {
    syn::parse_quote!(::rpc_client)
}

/// Returns the usual path of the crate of servers.
pub(crate) fn server_crate() -> Path {
    syn::parse_quote!(::rpc_server)
}

/// Attributes of a method, sorted by their purpose.
#[derive(Default)]
pub(crate) struct MethodAttributes {
    /// Name for clients, from `#[method(name = "…")]`.
    pub(crate) name: Option<LitStr>,
    /// True for `#[idempotent]`.
    pub(crate) is_idempotent: bool,
    /// All others, for the generated methods.
    pub(crate) kept: Vec<Attribute>,
}

impl MethodAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = Self::default();
        for attribute in attributes {
            if attribute.path().is_ident(IDEMPOTENT) {
                attribute.meta.require_path_only()?;
                parsed.is_idempotent = true;
            } else if attribute.path().is_ident(METHOD) {
                attribute.parse_nested_meta(|meta| {
                    if !meta.path.is_ident("name") {
                        return Err(meta.error("unknown argument; there is `name = \"…\"`"));
                    }
                    parsed.name = Some(method_name(&meta)?);
                    Ok(())
                })?;
            } else {
                parsed.kept.push(attribute.clone());
            }
        }
        Ok(parsed)
    }
}

/// Returns the trait without the attributes of its methods that only the attribute `service` knows.
pub(crate) fn without_own(mut item: ItemTrait) -> ItemTrait {
    for item in &mut item.items {
        if let TraitItem::Fn(function) = item {
            function.attrs.retain(|one| !one.path().is_ident(IDEMPOTENT) && !one.path().is_ident(METHOD));
        }
    }
    item
}

fn service_name(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let name: LitStr = meta.value()?.parse()?;
    let text = name.value();
    if text.is_empty() || text.contains('/') {
        return Err(syn::Error::new(name.span(), "the name of a service is not empty and has no `/`"));
    }
    if text.starts_with(RESERVED) {
        let why = "names that begin with `rpc.` are those of the library's own services: choose another one";
        return Err(syn::Error::new(name.span(), why));
    }
    Ok(text)
}

fn method_name(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let name: LitStr = meta.value()?.parse()?;
    if name.value().is_empty() || name.value().contains('/') {
        let why = "the name of a method is not empty and has no `/`, because clients call `service/method`";
        return Err(syn::Error::new(name.span(), why));
    }
    Ok(name)
}

/// Returns the text of the doc comments, a line for each.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(MetaNameValue {
            path,
            value: Expr::Lit(ExprLit { lit: Lit::Str(line), .. }),
            ..
        }) if path.is_ident("doc") => {
            let line = line.value();
            Some(line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
        }
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns a name of a type in lower snake case.
pub(crate) fn snake_case(ident: &syn::Ident) -> String {
    let name = ident.unraw().to_string();
    let mut snake = String::new();
    let mut before = '_';
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let begins_word = letter.is_uppercase()
            && before != '_'
            && (!before.is_uppercase() || letters.peek().is_some_and(|next| next.is_lowercase()));
        if begins_word {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
        before = letter;
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_the_name_of_its_trait_in_snake_case() {
        for (name, snake) in
            [("Shop", "shop"), ("OrderBook", "order_book"), ("HTTPProxy", "http_proxy"), ("V2Api", "v2_api")]
        {
            assert_eq!(snake_case(&quote::format_ident!("{name}")), snake);
        }
    }
}
