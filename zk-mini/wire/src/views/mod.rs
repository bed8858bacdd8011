//! Views: requests as a server reads them, borrowed from the frame, with the nulls that a client sent.
//!
//! Apache's server reads every null and refuses it only where it uses it. A view keeps a null as `None` if that shows
//! in the server's answer; otherwise reading fails.

mod identity;
mod multi;
mod node;
mod watch;

use std::borrow::Cow;

pub use identity::*;
pub use multi::*;
pub use node::*;
pub use watch::*;

use crate::acl::Perms;
use crate::codec::DecodeError;
use crate::fields::Fields;
use crate::numbers::{Expected, Version, Zxid};
use crate::op::OpCode;

/// Request that is read in place.
///
/// ```
/// use zk_wire::{Fields, OpCode, RequestView, WatchedPathView};
///
/// let body = [0, 0, 0, 2, b'/', b'a', 1];
/// let view = WatchedPathView::read(OpCode::GET_DATA, &mut Fields::new(&body))?;
/// assert_eq!((&*view.path, view.watch), ("/a", true));
/// # Ok::<(), zk_wire::DecodeError>(())
/// ```
pub trait RequestView<'a>: Sized {
    /// Reads the body of a request. `op` selects the layout if several requests share a view. Bytes after the record
    /// are ignored, as Apache's server does.
    ///
    /// # Errors
    /// [`DecodeError`] if the body ends early, or has a length or a null that the server refuses at once.
    fn read(op: OpCode, fields: &mut Fields<'a>) -> Result<Self, DecodeError>;
}

/// Body that the handler of the request reads field by field.
impl<'a> RequestView<'a> for Fields<'a> {
    fn read(_: OpCode, fields: &mut Self) -> Result<Self, DecodeError> {
        Ok(*fields)
    }
}

/// Field of a view.
trait Field<'a>: Sized {
    fn read(fields: &mut Fields<'a>, what: &'static str) -> Result<Self, DecodeError>;
}

impl Field<'_> for bool {
    fn read(fields: &mut Fields<'_>, what: &'static str) -> Result<Self, DecodeError> {
        fields.boolean(what)
    }
}

impl Field<'_> for i32 {
    fn read(fields: &mut Fields<'_>, what: &'static str) -> Result<Self, DecodeError> {
        fields.int(what)
    }
}

impl Field<'_> for i64 {
    fn read(fields: &mut Fields<'_>, what: &'static str) -> Result<Self, DecodeError> {
        fields.long(what)
    }
}

impl Field<'_> for Zxid {
    fn read(fields: &mut Fields<'_>, what: &'static str) -> Result<Self, DecodeError> {
        fields.long(what).map(Self)
    }
}

impl Field<'_> for Expected {
    fn read(fields: &mut Fields<'_>, what: &'static str) -> Result<Self, DecodeError> {
        fields.int(what).map(|version| Version(version).into())
    }
}

impl Field<'_> for Perms {
    fn read(fields: &mut Fields<'_>, what: &'static str) -> Result<Self, DecodeError> {
        fields.int(what).map(Self)
    }
}

impl<'a> Field<'a> for Option<&'a [u8]> {
    fn read(fields: &mut Fields<'a>, what: &'static str) -> Result<Self, DecodeError> {
        fields.buffer(what)
    }
}

impl<'a> Field<'a> for Option<Cow<'a, str>> {
    fn read(fields: &mut Fields<'a>, what: &'static str) -> Result<Self, DecodeError> {
        fields.text(what)
    }
}

/// Refuses null.
impl<'a> Field<'a> for Cow<'a, str> {
    fn read(fields: &mut Fields<'a>, what: &'static str) -> Result<Self, DecodeError> {
        fields.text(what)?.ok_or(DecodeError::Null { what })
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<Vec<T>> {
    fn read(fields: &mut Fields<'a>, what: &'static str) -> Result<Self, DecodeError> {
        fields.vector(what, |fields| T::read(fields, what))
    }
}

/// Declares views whose fields follow one another.
macro_rules! views {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct $name<'a> {
            $($(#[$field_meta])* pub $field: $type,)*
        }
        impl<'a> $crate::views::RequestView<'a> for $name<'a> {
            fn read(
                _: $crate::op::OpCode,
                fields: &mut $crate::fields::Fields<'a>,
            ) -> Result<Self, $crate::codec::DecodeError> {
                Ok(Self {
                    $($field: $crate::views::Field::read(fields, concat!(stringify!($name), ".", stringify!($field)))?,)*
                })
            }
        }
    )*};
}
use views;
