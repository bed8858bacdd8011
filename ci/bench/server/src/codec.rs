//! The part of ZooKeeper's protocol that a load generator needs, separate from the project's own codec, so that a mistake
//! there does not hide here.

/// Op codes.
pub const CREATE: i32 = 1;
pub const DELETE: i32 = 2;
pub const EXISTS: i32 = 3;
pub const GET_DATA: i32 = 4;
pub const SET_DATA: i32 = 5;
pub const GET_CHILDREN: i32 = 8;
pub const PING: i32 = 11;
pub const MULTI: i32 = 14;
pub const CLOSE: i32 = -11;

/// Flags of create.
pub const PERSISTENT: i32 = 0;
pub const EPHEMERAL: i32 = 1;
pub const EPHEMERAL_SEQUENTIAL: i32 = 3;

/// The xid of a watch event.
pub const EVENT: i32 = -1;
const PING_XID: i32 = -2;

/// A request under construction: one frame at the end of a buffer.
pub struct Frame<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Frame<'a> {
    /// Begins a frame without a header.
    pub fn bare(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend([0; 4]);
        Self { out, start }
    }

    /// Begins a request.
    pub fn request(out: &'a mut Vec<u8>, xid: i32, op: i32) -> Self {
        Self::bare(out).int(if op == PING { PING_XID } else { xid }).int(op)
    }

    pub fn int(self, value: i32) -> Self {
        self.out.extend(value.to_be_bytes());
        self
    }

    pub fn long(self, value: i64) -> Self {
        self.out.extend(value.to_be_bytes());
        self
    }

    pub fn bool(self, value: bool) -> Self {
        self.out.push(u8::from(value));
        self
    }

    pub fn bytes(self, value: &[u8]) -> Self {
        let len = i32::try_from(value.len()).expect("a short value");
        let this = self.int(len);
        this.out.extend(value);
        this
    }

    /// Appends the fields of a create, with an ACL that is open to all.
    pub fn create(self, path: &str, data: &[u8], flags: i32) -> Self {
        self.bytes(path.as_bytes()).bytes(data).int(1).int(31).bytes(b"world").bytes(b"anyone").int(flags)
    }

    /// Appends the fields of a setData of any version.
    pub fn set_data(self, path: &str, data: &[u8]) -> Self {
        self.bytes(path.as_bytes()).bytes(data).int(-1)
    }

    /// Ends the frame; for closures without a value.
    pub fn end(self) {}

    /// Appends the header of an operation of a multi, or its end.
    pub fn multi_header(self, op: i32, done: bool) -> Self {
        self.int(op).bool(done).int(-1)
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        let len = i32::try_from(self.out.len() - self.start - 4).expect("a short frame");
        self.out[self.start..self.start + 4].copy_from_slice(&len.to_be_bytes());
    }
}

/// Returns the length of the first frame's body, if it is complete.
pub fn whole_frame(input: &[u8]) -> Option<usize> {
    let len = usize::try_from(int(input, 0)?).ok()?;
    (input.len() >= 4 + len).then_some(len)
}

/// Returns the integer at an offset.
pub fn int(input: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(input.get(at..at + 4)?.try_into().ok()?))
}
