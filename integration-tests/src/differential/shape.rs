//! Fields of replies, by operation. They are decoded here a second time, field by field, because the records of `zk-wire` would
//! overlook some differences (a null, bytes after the end).

use bytes::{Buf, Bytes};
use zk_wire::{Decode, ErrorCode, OpCode, ReplyHeader, SessionId, Stat, WatchedEvent, Xid};

use super::record::{FieldValue, Normaliser, Received};

#[derive(Clone, Copy)]
enum Shape {
    Int,
    Text,
    Session,
    Password,
    Byte,
    Stat,
    /// Texts in any order.
    Names,
    Acl,
    /// Schemes and users, in any order.
    Identities,
    Results,
}

const CONNECT: &[Shape] = &[Shape::Int, Shape::Int, Shape::Session, Shape::Password];

fn reply_shape(op: OpCode) -> &'static [Shape] {
    match op {
        OpCode::CREATE | OpCode::SYNC => &[Shape::Text],
        OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => &[Shape::Text, Shape::Stat],
        OpCode::EXISTS | OpCode::SET_DATA | OpCode::SET_ACL => &[Shape::Stat],
        OpCode::GET_DATA | OpCode::RECONFIG => &[Shape::Text, Shape::Stat],
        OpCode::GET_ACL => &[Shape::Acl, Shape::Stat],
        OpCode::GET_CHILDREN | OpCode::GET_EPHEMERALS => &[Shape::Names],
        OpCode::GET_CHILDREN2 => &[Shape::Names, Shape::Stat],
        OpCode::GET_ALL_CHILDREN_NUMBER | OpCode::ADD_WATCH => &[Shape::Int],
        OpCode::MULTI | OpCode::MULTI_READ => &[Shape::Results],
        OpCode::WHO_AM_I => &[Shape::Identities],
        OpCode::SASL => &[Shape::Text],
        _ => &[],
    }
}

impl Normaliser<'_> {
    /// Decodes the answer to a connection's first frame.
    pub(crate) fn connected(&self, frame: Bytes) -> Received {
        let mut body = self.fields(CONNECT, frame);
        if let Some(FieldValue::Rest(rest)) = body.last()
            && let [read_only] = rest[..]
        {
            body.pop();
            body.push(FieldValue::Int(read_only.into()));
        }
        Received::Connected { body }
    }

    /// Decodes a reply to a request with this op code, or a watch event.
    pub(crate) fn received(&self, op: OpCode, frame: &Bytes) -> Received {
        let mut input = frame.clone();
        if op == OpCode::CREATE_SESSION {
            return self.connected(input);
        }
        let Ok(header) = ReplyHeader::decode(&mut input, "header") else {
            return Received::Garbage(frame.to_vec());
        };
        let zxid = self.number(header.zxid.0);
        if header.xid == Xid::NOTIFICATION {
            let Ok(event) = WatchedEvent::decode(&mut input, "event") else {
                return Received::Garbage(frame.to_vec());
            };
            let mut path = vec![self.text(Some(event.path.as_bytes()))];
            path.extend(rest(&input));
            return Received::Event { zxid, err: header.err, event: event.event, state: event.state, path };
        }
        // A failed multi may hold the results before the failure.
        let has_body = header.err == ErrorCode::OK || matches!(op, OpCode::MULTI | OpCode::MULTI_READ);
        let body = self.fields(if has_body { reply_shape(op) } else { &[] }, input);
        Received::Reply { xid: header.xid, zxid, err: header.err, body }
    }

    /// Decodes fields as far as possible; the rest stays bytes.
    fn fields(&self, shape: &[Shape], mut input: Bytes) -> Vec<FieldValue> {
        let mut values = Vec::new();
        for shape in shape {
            let before = input.clone();
            match self.field(*shape, &mut input) {
                Some(value) => values.push(value),
                None => {
                    input = before;
                    break;
                }
            }
        }
        values.extend(rest(&input));
        values
    }

    fn field(&self, shape: Shape, input: &mut Bytes) -> Option<FieldValue> {
        Some(match shape {
            Shape::Int => FieldValue::Int(input.try_get_i32().ok()?),
            Shape::Byte => FieldValue::Int(input.try_get_u8().ok()?.into()),
            Shape::Text => self.text(buffer(input)?.as_deref()),
            Shape::Session => FieldValue::Session(self.session(SessionId(input.try_get_i64().ok()?))),
            Shape::Password => match buffer(input)? {
                None => FieldValue::Text(None),
                Some(bytes) => {
                    FieldValue::Password { len: bytes.len(), is_zero: bytes.iter().all(|&byte| byte == 0) }
                }
            },
            Shape::Stat => self.stat(&Stat::decode(input, "stat").ok()?),
            Shape::Names => sorted(self.list(&[Shape::Text], input)?),
            Shape::Identities => sorted(self.list(&[Shape::Text, Shape::Text], input)?),
            Shape::Acl => by_identity(self.list(&[Shape::Int, Shape::Text, Shape::Text], input)?),
            Shape::Results => self.results(input)?,
        })
    }

    fn list(&self, item: &[Shape], input: &mut Bytes) -> Option<Vec<FieldValue>> {
        let len = input.try_get_i32().ok()?;
        if len < 0 {
            return Some(vec![FieldValue::Text(None)]);
        }
        (0..len).map(|_| self.group(item, input)).collect()
    }

    fn group(&self, shape: &[Shape], input: &mut Bytes) -> Option<FieldValue> {
        let mut fields: Vec<FieldValue> =
            shape.iter().map(|shape| self.field(*shape, input)).collect::<Option<_>>()?;
        if fields.len() == 1 { fields.pop() } else { Some(FieldValue::Group(fields)) }
    }

    /// Decodes the results of a multi: a header and a body each, until the header that marks the end.
    fn results(&self, input: &mut Bytes) -> Option<FieldValue> {
        let mut results = Vec::new();
        loop {
            let op = input.try_get_i32().ok()?;
            let mut result = vec![FieldValue::Op(op)];
            let done = self.field(Shape::Byte, input)?;
            let is_last = done != FieldValue::Int(0);
            result.extend([done, self.field(Shape::Int, input)?]);
            let shape = if op == -1 { &[Shape::Int][..] } else { reply_shape(OpCode(op)) };
            if !is_last {
                for shape in shape {
                    result.push(self.field(*shape, input)?);
                }
            }
            results.push(FieldValue::Group(result));
            if is_last {
                return Some(FieldValue::List(results));
            }
        }
    }
}

/// Decodes a string or buffer; the outer `None` means that it cannot be decoded.
#[expect(clippy::option_option, reason = "unreadable and null are different")]
fn buffer(input: &mut Bytes) -> Option<Option<Bytes>> {
    let len = input.try_get_i32().ok()?;
    if len == -1 {
        return Some(None);
    }
    let len = usize::try_from(len).ok().filter(|len| *len <= input.len())?;
    Some(Some(input.split_to(len)))
}

fn rest(input: &Bytes) -> Option<FieldValue> {
    (!input.is_empty()).then(|| FieldValue::Rest(input.to_vec()))
}

fn sorted(mut values: Vec<FieldValue>) -> FieldValue {
    values.sort();
    FieldValue::List(values)
}

/// Sorts entries that `auth` was expanded to: the identities of a connection have no order.
fn by_identity(mut values: Vec<FieldValue>) -> FieldValue {
    let is_digest = |value: &FieldValue| matches!(value, FieldValue::Group(fields) if fields.get(1) == Some(&FieldValue::Text(Some("digest".into()))));
    for run in values.chunk_by_mut(|a, b| is_digest(a) && is_digest(b)) {
        run.sort();
    }
    FieldValue::List(values)
}

#[cfg(test)]
mod tests {
    use super::super::times::Times;
    use super::*;

    fn shown(op: OpCode, err: i32, zxid: i64, body: &[u8]) -> String {
        let header = [&5_i32.to_be_bytes()[..], &zxid.to_be_bytes(), &err.to_be_bytes()].concat();
        let times = Times::default();
        let normaliser = Normaliser { base: "/case", zxid: 100, sessions: &[SessionId(7)], times: &times };
        normaliser.received(op, &[&header[..], body].concat().into()).to_string()
    }

    #[test]
    fn every_difference_shows() {
        let name = |name: &str| [&[0, 0, 0, 1][..], name.as_bytes()].concat();
        let two = |first, second| [vec![0, 0, 0, 2], name(first), name(second)].concat();
        let children = |body: &[u8]| shown(OpCode::GET_CHILDREN, 0, 103, body);
        assert_eq!(children(&two("b", "a")), r#"reply 5 zxid +3 [ text:"a" text:"b" ]"#);
        assert_eq!(children(&[0; 4]), "reply 5 zxid +3 [ ]");
        assert_eq!(children(&[0xff; 4]), "reply 5 zxid +3 [ null ]");
        assert_eq!(children(&[0, 0, 0, 0, 9]), "reply 5 zxid +3 [ ] unread:09");
        assert_eq!(children(&[0, 0]), "reply 5 zxid +3 unread:0000");
        assert_eq!(shown(OpCode::DELETE, -101, 100, &[]), "reply 5 zxid before error -101");
        assert_eq!(shown(OpCode::DELETE, -101, -1, &[1]), "reply 5 zxid =-1 error -101 unread:01");
    }

    #[test]
    fn values_that_may_differ_are_replaced() {
        let stat =
            [&101_i64.to_be_bytes()[..], &[0; 36], &7_i64.to_be_bytes(), &[0; 8], &100_i64.to_be_bytes()];
        let shown = shown(OpCode::EXISTS, 0, 101, &stat.concat());
        let expected =
            "stat(c +1 m =0 p before, versions 0 0 0, owner #0, length 0, children 0, times Zero Zero)";
        assert_eq!(shown, format!("reply 5 zxid +1 {expected}"));
    }
}
