//! Frames: a length of four bytes, big-endian, and a body of that length.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::codec::{DecodeError, Encode, TooLong, length};

/// Maximum length of a frame that a server reads by default: `jute.maxbuffer`, 1 MiB less one byte.
pub const DEFAULT_MAX_FRAME: usize = 0xf_ffff;

/// Takes the next whole frame off the front of `buffer` and returns its body; `None` until all of it has arrived. The
/// length is checked as soon as its four bytes are there.
///
/// # Errors
/// [`DecodeError::BadLength`] if the length is negative or over `max`. The rest of the stream cannot be read then:
/// close the connection.
pub fn next_frame(buffer: &mut BytesMut, max: usize) -> Result<Option<Bytes>, DecodeError> {
    let Some(len) = frame_len(buffer, max)? else { return Ok(None) };
    buffer.advance(4);
    Ok(Some(buffer.split_to(len - 4).freeze()))
}

/// Returns the body of the frame at the front of `buffer`, where it stays; `None` until all of it has arrived.
///
/// # Errors
/// As [`next_frame`].
#[inline]
pub fn first_frame(buffer: &[u8], max: usize) -> Result<Option<&[u8]>, DecodeError> {
    Ok(frame_len(buffer, max)?.map(|len| &buffer[4..len]))
}

/// Takes all whole frames off the front of `buffer`, at once because each time costs as much, for [`split_frame`] to take apart;
/// empty until the first has arrived whole.
///
/// # Errors
/// [`DecodeError::BadLength`] if no whole frame is left before a length that is negative or over `max`.
pub fn whole_frames(buffer: &mut BytesMut, max: usize) -> Result<Bytes, DecodeError> {
    let mut whole = 0;
    loop {
        match frame_len(&buffer[whole..], max) {
            Ok(Some(len)) => whole += len,
            Ok(None) if whole == 0 => return Ok(Bytes::new()),
            Err(error) if whole == 0 => return Err(error),
            Ok(None) | Err(_) => return Ok(buffer.split_to(whole).freeze()),
        }
    }
}

/// Takes the next frame off the front of [`whole_frames`] and returns its body; `None` if none is left.
pub fn split_frame(frames: &mut Bytes) -> Option<Bytes> {
    let head = frames.first_chunk::<4>()?;
    let body = usize::try_from(i32::from_be_bytes(*head)).ok()?;
    frames.advance(4);
    Some(frames.split_to(body))
}

/// Returns the length of the whole frame at the front of `buffer`, with the four bytes of its length; `None` until all of it has
/// arrived.
#[inline]
fn frame_len(buffer: &[u8], max: usize) -> Result<Option<usize>, DecodeError> {
    let Some(head) = buffer.first_chunk::<4>() else { return Ok(None) };
    let len = i32::from_be_bytes(*head);
    let body = usize::try_from(len)
        .ok()
        .filter(|&body| body <= max)
        .ok_or(DecodeError::BadLength { what: "frame", len })?;
    // The length stays in the buffer until the whole frame is there.
    Ok((buffer.len() >= 4 + body).then_some(4 + body))
}

/// Writer that appends one frame to a buffer. [`finish`](Self::finish), or the drop, fills in its length.
///
/// A frame whose length does not fit in 31 bits is taken back, and the buffer is as before.
#[derive(Debug)]
pub struct FrameWriter<'a> {
    buffer: &'a mut BytesMut,
    start: usize,
    finished: bool,
}

impl<'a> FrameWriter<'a> {
    /// Starts a frame at the end of `buffer`.
    #[must_use]
    pub fn new(buffer: &'a mut BytesMut) -> Self {
        let start = buffer.len();
        buffer.put_i32(0);
        Self { buffer, start, finished: false }
    }

    /// Appends a value to the body.
    pub fn put<T: Encode + ?Sized>(&mut self, value: &T) {
        value.encode(self.buffer);
    }

    /// Ends the frame.
    ///
    /// # Errors
    /// [`TooLong`] if the length does not fit; the frame is taken back.
    pub fn finish(mut self) -> Result<(), TooLong> {
        self.end(self.body())
    }

    fn body(&self) -> usize {
        self.buffer.len() - self.start - 4
    }

    fn end(&mut self, body: usize) -> Result<(), TooLong> {
        self.finished = true;
        let len = length(body);
        match len {
            Ok(len) => self.buffer[self.start..self.start + 4].copy_from_slice(&len.to_be_bytes()),
            // Nothing of the frame may stay in the buffer.
            Err(_) => self.buffer.truncate(self.start),
        }
        len.map(|_| ())
    }
}

impl Drop for FrameWriter<'_> {
    /// Ends a frame that is known to fit.
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.end(self.body());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: &[u8]) -> BytesMut {
        BytesMut::from(bytes)
    }

    #[test]
    fn a_frame_that_has_not_arrived_whole_stays_in_the_buffer() {
        for cut in 0..7 {
            let mut partial = buffer(&[0, 0, 0, 3, 1, 2, 3][..cut]);
            assert_eq!(first_frame(&partial, 10), Ok(None));
            assert_eq!(next_frame(&mut partial, 10), Ok(None));
            assert_eq!(partial.len(), cut);
        }
    }

    #[test]
    fn frames_come_out_one_by_one() {
        let mut two = buffer(&[0, 0, 0, 1, 7, 0, 0, 0, 0]);
        assert_eq!(first_frame(&two, 10), Ok(Some(&[7][..])), "and stays");
        assert_eq!(next_frame(&mut two, 10), Ok(Some(Bytes::from_static(&[7]))));
        assert_eq!(next_frame(&mut two, 10), Ok(Some(Bytes::new())));
        assert_eq!(next_frame(&mut two, 10), Ok(None));
    }

    #[test]
    fn whole_frames_come_out_at_once_before_what_follows_them() {
        const TWO: &[u8] = &[0, 0, 0, 1, 7, 0, 0, 0, 0];
        for rest in [&[][..], &[0, 0], &[0, 0, 0, 2, 5], &[0xff; 4]] {
            let mut arrived = buffer(&[TWO, rest].concat());
            let mut frames = whole_frames(&mut arrived, 10).unwrap();
            let bodies: Vec<_> = std::iter::from_fn(|| split_frame(&mut frames)).collect();
            assert_eq!(bodies, [&[7][..], &[]], "before {rest:?}");
            assert_eq!(arrived, rest);
            let next = whole_frames(&mut arrived, 10);
            assert_eq!(next.is_err(), rest == [0xff; 4], "{next:?}");
        }
    }

    #[test]
    fn negative_and_oversize_lengths_are_refused_at_once() {
        assert!(first_frame(&[0xff; 4], 10).is_err());
        assert!(next_frame(&mut buffer(&[0xff; 4]), 10).is_err());
        assert!(next_frame(&mut buffer(&[0, 0, 0, 11]), 10).is_err());
        assert_eq!(next_frame(&mut buffer(&[0, 0, 0, 10]), 10), Ok(None));
    }

    #[test]
    fn a_frame_that_no_length_fits_is_taken_back() {
        const LONGEST: usize = 0x7fff_ffff;
        let mut out = buffer(b"before");
        let mut frame = FrameWriter::new(&mut out);
        frame.put("much");
        assert_eq!(frame.end(LONGEST + 1), Err(TooLong { len: LONGEST + 1 }));
        drop(frame);
        assert_eq!(&out[..], b"before");
        assert_eq!(FrameWriter::new(&mut out).end(LONGEST), Ok(()));
        assert_eq!(&out[..], b"before\x7f\xff\xff\xff");
    }

    #[test]
    fn a_writer_patches_its_length_behind_other_frames() {
        let mut out = BytesMut::new();
        FrameWriter::new(&mut out).put(&1_i32);
        FrameWriter::new(&mut out).put("ab");
        assert_eq!(&out[..], [0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 2, b'a', b'b']);
    }
}
