//! Compressed snapshots of Apache ZooKeeper: gzip and snappy, by the end of the file's name.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use bytes::Bytes;

/// Returns the content of a file, decompressed if necessary.
pub(super) fn decompress(raw: Vec<u8>, file: &Path) -> io::Result<Bytes> {
    match file.extension().and_then(OsStr::to_str) {
        Some("gz") => gunzip(&raw),
        Some("snappy") => unsnap(raw.into()),
        _ => Ok(raw.into()),
    }
}

#[cfg(feature = "compressed-snapshots")]
fn gunzip(raw: &[u8]) -> io::Result<Bytes> {
    let mut content = Vec::new();
    io::Read::read_to_end(&mut flate2::bufread::GzDecoder::new(raw), &mut content)?;
    Ok(content.into())
}

/// Decompresses the output of `SnappyOutputStream` of snappy-java: a header, then blocks, each with its length in
/// front.
#[cfg(feature = "compressed-snapshots")]
fn unsnap(mut raw: Bytes) -> io::Result<Bytes> {
    use bytes::Buf;

    const MAGIC: &[u8] = b"\x82SNAPPY\0";
    const VERSIONS: usize = 8;
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if !raw.starts_with(MAGIC) || raw.len() < MAGIC.len() + VERSIONS {
        return Err(invalid("not compressed with snappy".into()));
    }
    raw.advance(MAGIC.len() + VERSIONS);
    let mut content = Vec::new();
    while raw.has_remaining() {
        let len = raw.try_get_u32().ok().and_then(|len| usize::try_from(len).ok());
        let Some(len) = len.filter(|len| *len <= raw.len()) else {
            return Err(invalid("it ends inside a compressed block".into()));
        };
        let block = snap::raw::Decoder::new().decompress_vec(&raw.split_to(len));
        content.extend(block.map_err(|error| invalid(error.to_string()))?);
    }
    Ok(content.into())
}

#[cfg(not(feature = "compressed-snapshots"))]
fn gunzip(_raw: &[u8]) -> io::Result<Bytes> {
    Err(without_the_feature())
}

#[cfg(not(feature = "compressed-snapshots"))]
fn unsnap(_raw: Bytes) -> io::Result<Bytes> {
    Err(without_the_feature())
}

#[cfg(not(feature = "compressed-snapshots"))]
fn without_the_feature() -> io::Error {
    let what = "it is compressed, and zk-mini is compiled without its feature `compressed-snapshots`";
    io::Error::new(io::ErrorKind::Unsupported, what)
}
