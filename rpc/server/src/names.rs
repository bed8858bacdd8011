//! Rules for the names of services and methods, as PROTOCOL.md states them.

use crate::session::BUILT_IN;

/// Maximum length of the names of a service and a method together, with the `/` between them.
const LONGEST: usize = 255;

/// Reason for which a service cannot be served under its name, or a method cannot be called.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("a service has no name: give it one")]
    NoService,
    #[error("the service {0:?} needs another name: those that begin with `rpc.` are the library's own")]
    Reserved(String),
    #[error("the name {0:?} is that of another service of this server")]
    Taken(String),
    #[error("a method of the service {0:?} has no name: give it one")]
    NoMethod(String),
    #[error("the method {method:?} of the service {service:?} needs another name: one without `/`")]
    Slash { service: String, method: String },
    #[error(
        "the names of the service {service:?} and its method {method:?} are too long: 254 bytes together"
    )]
    TooLong { service: String, method: String },
}

/// Checks the name of a service, and those of its methods.
pub(crate) fn check<'a>(service: &str, methods: impl IntoIterator<Item = &'a str>) -> Result<(), NameError> {
    if service.is_empty() {
        return Err(NameError::NoService);
    }
    if service.starts_with(BUILT_IN) {
        return Err(NameError::Reserved(service.to_owned()));
    }
    for method in methods {
        let names = || (service.to_owned(), method.to_owned());
        if method.is_empty() {
            return Err(NameError::NoMethod(service.to_owned()));
        }
        if method.contains('/') {
            let (service, method) = names();
            return Err(NameError::Slash { service, method });
        }
        if service.len() + 1 + method.len() > LONGEST {
            let (service, method) = names();
            return Err(NameError::TooLong { service, method });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_client_could_call_are_refused() {
        let long = "m".repeat(250);
        let problem = |service, method| check(service, [method]).err().map(|error| error.to_string());
        assert_eq!(problem("shop", &long), None);
        assert_eq!(problem("eu/shop", "price"), None);
        assert_eq!(problem("rpc", "rpc.price"), None);
        for (service, method, why) in [
            ("", "price", "a service has no name"),
            ("rpc.health", "check", "\"rpc.health\" needs another name"),
            ("shop", "", "a method of the service \"shop\" has no name"),
            ("shop", "stock/price", "\"stock/price\" of the service \"shop\" needs another name"),
            ("shops", &long, "are too long"),
        ] {
            assert!(
                problem(service, method).is_some_and(|problem| problem.contains(why)),
                "{service}/{method}"
            );
        }
    }
}
