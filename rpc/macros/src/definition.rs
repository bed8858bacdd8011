//! A service as its trait describes it, and the mistakes in that.

use std::collections::BTreeMap;

use proc_macro2::Span;
use quote::format_ident;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ItemTrait, Pat, PathArguments, Receiver, ReceiverKind,
    Result, ReturnType, Signature, Token, TraitItem, TraitItemFn, Type, TypeParamBound, TypePath, Visibility,
    parse_quote, punctuated::Punctuated,
};

use crate::attributes::{self, MethodAttributes};

/// Names that the generated types use themselves.
const TAKEN: [&str; 3] = ["new", "client", "into_service"];

/// Maximum length of the names of a service and a method together, with the `/` between them.
const LONGEST: usize = 255;

/// Service to generate.
pub(crate) struct Definition {
    /// Attributes of the trait, with its docs.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) docs: String,
    pub(crate) visibility: Visibility,
    pub(crate) ident: Ident,
    pub(crate) supertraits: Punctuated<TypeParamBound, Token![+]>,
    /// Name for clients.
    pub(crate) name: String,
    pub(crate) methods: Vec<Method>,
}

/// Method of a service.
pub(crate) struct Method {
    /// Attributes, with its docs.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) docs: String,
    pub(crate) ident: Ident,
    /// Name for clients.
    pub(crate) name: String,
    pub(crate) is_idempotent: bool,
    pub(crate) parameters: Vec<Parameter>,
    /// Whole return type.
    pub(crate) output: Type,
    /// Type in the `Result` of the return type, or in the stream of it.
    pub(crate) result: Type,
    pub(crate) kind: Kind,
}

/// Direction in which a method has any number of messages instead of one.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Unary,
    ServerStream,
    ClientStream,
    BidiStream,
}

/// Parameter of a method behind `&self`.
pub(crate) struct Parameter {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) role: Role,
}

/// Purpose of a parameter.
pub(crate) enum Role {
    /// The circumstances of the call, which the server knows.
    Context,
    /// A part of the argument. `owned` is its type without a reference.
    Argument { owned: Box<Type> },
    /// The messages of the client, of this type.
    Messages(Box<Type>),
}

impl Definition {
    /// Reads a trait. The error has all mistakes.
    pub(crate) fn read(name: Option<String>, item: &ItemTrait) -> Result<Self> {
        let mut errors = Errors::default();
        if !item.generics.params.is_empty() {
            errors.add(item.generics.span(), "a service cannot be generic: its clients name no types");
        }
        let mut methods = Vec::new();
        for item in &item.items {
            match item {
                TraitItem::Fn(function) => match Method::read(function) {
                    Ok(method) => methods.push(method),
                    Err(error) => errors.push(error),
                },
                other => errors.add(other.span(), "a service has methods, and nothing else"),
            }
        }
        let name = name.unwrap_or_else(|| attributes::snake_case(&item.ident));
        let mut seen = BTreeMap::new();
        for method in &methods {
            if name.len() + 1 + method.name.len() > LONGEST {
                let why = "the names of the service and of this method have more than 254 bytes together";
                errors.add(method.ident.span(), why);
            }
            // Of methods that a `cfg` chooses from, the compiler sees one: they have the same name in Rust, too.
            let earlier = seen.insert(&method.name, &method.ident);
            if earlier.is_some_and(|ident| *ident != method.ident) {
                let why = format!(
                    "two methods have the name `{}` for clients; give one another name: `#[method(name = \"…\")]`",
                    method.name
                );
                errors.add(method.ident.span(), &why);
            }
        }
        errors.finish()?;
        Ok(Self {
            attributes: item.attrs.clone(),
            docs: attributes::docs(&item.attrs),
            visibility: item.vis.clone(),
            ident: item.ident.clone(),
            supertraits: item.supertraits.clone(),
            name,
            methods,
        })
    }
}

impl Method {
    fn read(function: &TraitItemFn) -> Result<Self> {
        let signature = &function.sig;
        let ident = &signature.ident;
        let mut errors = Errors::default();
        let parsed = MethodAttributes::parse(&function.attrs)?;
        if TAKEN.iter().any(|taken| ident == taken) {
            let why = format!(
                "`{ident}` is a method of the generated types; call this one otherwise, and use \
                 `#[method(name = \"{ident}\")]` for clients"
            );
            errors.add(ident.span(), &why);
        }
        if let Some(body) = &function.default {
            errors.add(
                body.span(),
                &format!("`{ident}` has its body where the trait is implemented, not here"),
            );
        }
        check(signature, &mut errors);
        let (output, result) = match result_of(&signature.output) {
            Some(types) => types,
            None => {
                let why = format!(
                    "`{ident}` must return a `Result`, because any call can fail: write `-> Result<T, Status>`, or \
                     `-> rpc_server::Result<T>`, which takes any error by `?`"
                );
                errors.add(span_of(&signature.output, ident), &why);
                let none: Type = parse_quote!(());
                (none.clone(), none)
            }
        };
        let inputs = signature.inputs.iter().enumerate();
        let parameters: Vec<_> = inputs.filter_map(|(at, input)| Parameter::read(at, input)).collect();
        let streams_in = parameters.iter().any(|parameter| matches!(parameter.role, Role::Messages(_)));
        if streams_in && parameters.iter().filter(|one| !matches!(one.role, Role::Context)).count() > 1 {
            let why = format!(
                "`{ident}` gets `Messages` and cannot have another argument: send it as the first message"
            );
            errors.add(signature.inputs.span(), &why);
        }
        let streamed = inside(&result, "MessageStream");
        if parsed.is_idempotent && (streams_in || streamed.is_some()) {
            errors.add(
                ident.span(),
                &format!("`{ident}` has messages, and a stream is never repeated: remove `#[idempotent]`"),
            );
        }
        errors.finish()?;
        let kind = match (streams_in, streamed.is_some()) {
            (false, false) => Kind::Unary,
            (false, true) => Kind::ServerStream,
            (true, false) => Kind::ClientStream,
            (true, true) => Kind::BidiStream,
        };
        Ok(Self {
            docs: attributes::docs(&parsed.kept),
            attributes: parsed.kept,
            ident: ident.clone(),
            name: parsed.name.map_or_else(|| ident.unraw().to_string(), |name| name.value()),
            is_idempotent: parsed.is_idempotent,
            parameters,
            result: streamed.cloned().unwrap_or(result),
            output,
            kind,
        })
    }

    /// Returns the parameters that are sent, with their types without references.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = (&Ident, &Type, &Type)> {
        self.parameters.iter().filter_map(|parameter| match &parameter.role {
            Role::Argument { owned } => Some((&parameter.ident, &parameter.ty, &**owned)),
            Role::Context | Role::Messages(_) => None,
        })
    }

    /// Returns the type of the client's messages, if it sends any number of them.
    pub(crate) fn messages(&self) -> Option<&Type> {
        self.parameters.iter().find_map(|parameter| match &parameter.role {
            Role::Messages(ty) => Some(&**ty),
            _ => None,
        })
    }
}

/// Looks for the mistakes in a signature, apart from its types.
fn check(signature: &Signature, errors: &mut Errors) {
    let ident = &signature.ident;
    let receiver = signature.receiver();
    if !receiver.is_some_and(is_shared) {
        let why = format!(
            "`{ident}` must take `&self`, because one value serves all calls at the same time: write \
             `async fn {ident}(&self, …)`, and put what changes behind a lock"
        );
        errors.add(receiver.map_or(ident.span(), Spanned::span), &why);
    }
    if signature.asyncness.is_none() {
        errors.add(signature.fn_token.span, &format!("`{ident}` must be async: write `async fn {ident}(…)`"));
    }
    let generic = signature.generics.params.first().map(Spanned::span);
    let of_any_type = signature.inputs.iter().find_map(|input| match input {
        FnArg::Typed(typed) if matches!(*typed.ty, Type::ImplTrait(_)) => Some(typed.ty.span()),
        _ => None,
    });
    if let Some(span) = generic.or(of_any_type) {
        let why =
            format!("`{ident}` cannot be generic, because its caller is another program: name the types");
        errors.add(span, &why);
    }
}

fn is_shared(receiver: &Receiver) -> bool {
    matches!(receiver.kind, ReceiverKind::Reference(_, _, None))
}

impl Parameter {
    fn read(at: usize, input: &FnArg) -> Option<Self> {
        let FnArg::Typed(typed) = input else { return None };
        let ident = match &*typed.pat {
            Pat::Ident(pattern) => pattern.ident.clone(),
            _ => format_ident!("argument_{at}"),
        };
        let ty = (*typed.ty).clone();
        let role = if last_segment(&ty).is_some_and(|segment| segment.ident == "Context") {
            Role::Context
        } else if let Some(message) = inside(&ty, "Messages") {
            Role::Messages(Box::new(message.clone()))
        } else {
            Role::Argument { owned: Box::new(owned(&ty)) }
        };
        Some(Self { ident, ty, role })
    }
}

/// Returns the type that is decoded for a parameter: a reference is lent from it.
fn owned(ty: &Type) -> Type {
    let Type::Reference(reference) = ty else { return ty.clone() };
    match &*reference.elem {
        Type::Slice(slice) => {
            let element = &slice.elem;
            parse_quote!(::std::vec::Vec<#element>)
        }
        Type::Path(path) if path.path.is_ident("str") => parse_quote!(::std::string::String),
        other => other.clone(),
    }
}

/// Returns the return type, and the type inside, if it is a `Result`.
fn result_of(output: &ReturnType) -> Option<(Type, Type)> {
    let ReturnType::Type(_, ty) = output else { return None };
    inside(ty, "Result").map(|result| ((**ty).clone(), result.clone()))
}

fn span_of(output: &ReturnType, ident: &Ident) -> Span {
    match output {
        ReturnType::Default => ident.span(),
        ReturnType::Type(_, ty) => ty.span(),
    }
}

/// Returns the first type in the angle brackets of a type with this name.
fn inside<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let segment = last_segment(ty).filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    let Type::Path(TypePath { path, .. }) = ty else { return None };
    path.segments.last()
}

/// Mistakes, all of which are reported at once.
#[derive(Default)]
struct Errors(Option<Error>);

impl Errors {
    fn add(&mut self, span: Span, message: &str) {
        self.push(Error::new(span, message));
    }

    fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
