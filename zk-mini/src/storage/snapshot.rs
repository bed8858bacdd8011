//! Snapshots: sessions, the table of ACLs, nodes, and a checksum over all of them, the seal.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use foldhash::{HashMap, HashMapExt};
use simd_adler32::{Adler32, adler32};
use zk_wire::{
    Acl, ByteString, Decode, DecodeError, Encode, Fields, FileHeader, Millis, SessionId, StatPersisted,
    TreeDigest, Version, Zxid, ZxidDigest, length,
};

use super::compressed::decompress;
use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use super::files::UNFINISHED;
use crate::core::{Image, ImageNode, NodeKind};

/// `ZKSN`.
const MAGIC: i32 = 0x5A4B_534E;
const FORMAT: i32 = 2;

/// Number of the open list, which is not in the table.
const OPEN: i64 = -1;

/// Number of bytes to encode before they are written.
const CHUNK: usize = 256 << 10;

/// Number of bytes to write before a sync. A sync of the log may wait for one of these, and with it replies to readers: 4 MiB
/// took tens of milliseconds.
const SYNC: u64 = 256 << 10;

/// Length and text of a path that no node has; it stands behind each seal.
const END: &[u8] = b"\0\0\0\x01/";

/// Writes a snapshot under another name and renames it: a file of this name is always whole. With the zxid of the
/// last `processed` transaction it has the form of 3.9.
pub(super) fn write(disk: &dyn Disk, file: &Path, image: &Image, processed: bool) -> io::Result<()> {
    let unfinished = file.with_extension(UNFINISHED);
    let written = write_to(disk.create(&unfinished)?, image, processed)
        .and_then(|mut written| written.sync())
        .and_then(|()| disk.rename(&unfinished, file));
    if written.is_err() {
        // A part of the file may be what fills the disk.
        let _ = disk.remove(&unfinished);
    }
    written
}

/// Returns the bytes of a snapshot in the form of 3.9, which earlier releases read, too.
pub(super) fn encode(image: &Image) -> io::Result<Vec<u8>> {
    write_to(Vec::new(), image, true)
}

fn write_to<S: Sink>(file: S, image: &Image, processed: bool) -> io::Result<S> {
    let mut sealed = Sealed::new(file);
    let out = &mut sealed.buffer;
    FileHeader { magic: MAGIC, version: FORMAT, dbid: -1 }.encode(out);
    length(image.sessions.len()).map_err(io::Error::other)?.encode(out);
    for (id, timeout) in &image.sessions {
        id.encode(out);
        i32::try_from(timeout.0).unwrap_or(i32::MAX).encode(out);
    }
    let lists = Lists::of(image);
    lists.write(&mut sealed)?;
    for node in &image.nodes {
        sealed.put(|out| encode_node(node, lists.number(&node.acl), out))?;
    }
    "/".encode(&mut sealed.buffer);
    sealed.seal()?;
    // Behind the seal, with a seal of its own: releases before 3.6 do not read it.
    if let Some((zxid, digest)) = image.digest {
        ZxidDigest { zxid, digest: TreeDigest::new(digest) }.encode(&mut sealed.buffer);
        sealed.seal()?;
        // Likewise for releases before 3.9.
        if processed {
            zxid.encode(&mut sealed.buffer);
            sealed.seal()?;
        }
    }
    Ok(sealed.file)
}

/// Contents of a snapshot, without the nodes.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Image without nodes.
    pub(super) image: Image,
    /// Zxid of the last transaction that it shows, if it says so itself.
    pub(super) told: Option<Zxid>,
    /// Zxid of the last transaction that it shows at least in part. The logs must reach it.
    pub(super) shown: Zxid,
}

/// Reads the snapshot of this zxid, and calls `each` for its nodes, in order. They mean nothing if it fails then: the seal is
/// behind them.
pub(super) fn read(
    disk: &dyn Disk,
    file: &Path,
    last_zxid: Zxid,
    each: impl FnMut(ImageNode),
) -> Result<Snapshot, StorageError> {
    let invalid = |(offset, reason)| StorageError::Snapshot { file: file.into(), offset, reason };
    let raw = disk.read(file).map_err(|source| StorageError::io("read", file, source))?;
    let content = decompress(raw, file).map_err(|error| invalid((0, error.to_string())))?;
    let snapshot = decode(&content, last_zxid, each).map_err(invalid)?;
    if let Some(told) = snapshot.told.filter(|told| *told < last_zxid) {
        let reason = format!("it was taken after transaction {told}");
        return Err(StorageError::Misnamed { file: file.into(), reason });
    }
    Ok(snapshot)
}

/// Reads the bytes of a snapshot of this zxid, and calls `each` for its nodes, in order. The error is the offset up to which they
/// could be read, and the reason.
pub(super) fn decode(
    content: &Bytes,
    last_zxid: Zxid,
    mut each: impl FnMut(ImageNode),
) -> Result<Snapshot, (usize, String)> {
    let (mut input, whole) = (content.clone(), content.len());
    let mut shown = None;
    let parsed = parse(&mut input, last_zxid, |node| {
        shown = shown.max(Some(node.czxid.max(node.mzxid).max(node.pzxid)));
        each(node);
    });
    let mut image = parsed.map_err(|reason| (whole - input.len(), reason.to_string()))?;
    let sealed = whole - input.len();
    let seal = i64::decode(&mut input, "seal").map_err(|error| (sealed, error.to_string()))?;
    let mut sum = Sum::of(content);
    if seal != sum.up_to(sealed) {
        return Err((sealed, "the seal does not fit".into()));
    }
    let at = whole - input.len();
    let Behind { digest, processed } = behind(sum, input).map_err(|reason| (at, reason))?;
    image.digest = digest;
    let told = processed.max(digest.map(|(zxid, _)| zxid));
    let shown = shown.max(told).unwrap_or_default();
    Ok(Snapshot { image, told, shown })
}

/// Checksum of the beginning of a snapshot. Each seal is over everything before it; no byte is summed twice.
struct Sum<'a> {
    sum: Adler32,
    /// Bytes that are not in the sum yet.
    rest: &'a [u8],
    len: usize,
}

impl<'a> Sum<'a> {
    fn of(content: &'a [u8]) -> Self {
        Self { sum: Adler32::new(), rest: content, len: content.len() }
    }

    /// Returns the checksum up to an offset, as it stands in a seal. The offset is not before that of the last call.
    fn up_to(&mut self, end: usize) -> i64 {
        let (bytes, rest) = self.rest.split_at(end - (self.len - self.rest.len()));
        self.sum.write(bytes);
        self.rest = rest;
        self.sum.finish().into()
    }
}

/// Parts behind the first seal, each with a seal of its own.
#[derive(Debug, Default)]
struct Behind {
    digest: Option<(Zxid, u64)>,
    /// Zxid of the last transaction.
    processed: Option<Zxid>,
}

fn behind(mut sum: Sum<'_>, mut input: Bytes) -> Result<Behind, String> {
    const SEALED: usize = 8 + END.len();
    const PROCESSED: usize = 8 + SEALED;
    const DIGEST: usize = 8 + TreeDigest::LEN + SEALED;
    let mut parts = Behind::default();
    if !input.starts_with(END) {
        return Err("the seal is not followed by its end".into());
    }
    input.advance(END.len());
    let (has_digest, has_processed) = match input.len() {
        0 => return Ok(parts),
        PROCESSED => (false, true),
        DIGEST => (true, false),
        len if len == DIGEST + PROCESSED => (true, true),
        _ => return Err("the bytes behind the seal are neither a digest nor a zxid".into()),
    };
    let mut unsealed = |input: &mut Bytes| {
        let sealed = sum.len - input.len();
        let seal = input.try_get_i64().ok();
        let is_sealed = seal == Some(sum.up_to(sealed)) && input.starts_with(END);
        input.advance(END.len().min(input.len()));
        if is_sealed { Ok(()) } else { Err("a seal behind the first does not fit".to_owned()) }
    };
    if has_digest {
        let ZxidDigest { zxid, digest } =
            Decode::decode(&mut input, "digest").map_err(|error: DecodeError| error.to_string())?;
        unsealed(&mut input)?;
        // Apache ZooKeeper writes zeros if there was no transaction since its start: they mean nothing.
        parts.digest = digest.known().map(|digest| (zxid, digest)).filter(|told| *told != (Zxid(0), 0));
    }
    if has_processed {
        parts.processed =
            Some(Decode::decode(&mut input, "zxid").map_err(|error: DecodeError| error.to_string())?);
        unsealed(&mut input)?;
    }
    Ok(parts)
}

/// Returns true if a snapshot is whole, by the last seal, which is over everything before it.
pub(super) fn is_whole(disk: &dyn Disk, file: &Path) -> bool {
    let content = disk.read(file).and_then(|raw| decompress(raw, file)).unwrap_or_default();
    let sealed = content.strip_suffix(END).and_then(<[u8]>::split_last_chunk::<8>);
    sealed.is_some_and(|(sealed, seal)| i64::from_be_bytes(*seal) == i64::from(adler32(&sealed)))
}

/// Reads everything before the first seal. The nodes go to `each`.
fn parse(input: &mut Bytes, last_zxid: Zxid, mut each: impl FnMut(ImageNode)) -> Result<Image, DecodeError> {
    let header = FileHeader::decode(input, "header")?;
    if (header.magic, header.version) != (MAGIC, FORMAT) {
        return Err(DecodeError::UnexpectedType { what: "the magic number", op: header.magic });
    }
    let mut image = Image { last_zxid, ..Image::default() };
    for _ in 0..i32::decode(input, "sessions")? {
        let id = SessionId::decode(input, "session")?;
        let timeout = i32::decode(input, "session timeout")?;
        image.sessions.push((id, Millis(u64::try_from(timeout).unwrap_or(0))));
    }
    let mut lists = HashMap::from_iter([(OPEN, Arc::from([Acl::open()]))]);
    for _ in 0..i32::decode(input, "lists")? {
        let number = i64::decode(input, "list number")?;
        lists.insert(number, Vec::<Acl>::decode(input, "list")?.iter().map(copied).collect());
    }
    loop {
        let path = copy(input, "path", |bytes| String::from_utf8_lossy(bytes).into_owned())?;
        let path = path.ok_or(DecodeError::Null { what: "path" })?;
        if path == "/" {
            return Ok(image);
        }
        each(decode_node(path, &lists, input)?);
    }
}

fn encode_node(node: &ImageNode, list: i64, out: &mut BytesMut) {
    let path = if node.path == "/" { "" } else { &*node.path };
    path.encode(out);
    node.data.encode(out);
    list.encode(out);
    StatPersisted {
        czxid: node.czxid,
        mzxid: node.mzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        cversion: Version(node.created_children),
        aversion: node.aversion,
        ephemeral_owner: node.kind.owner(),
        pzxid: node.pzxid,
    }
    .encode(out);
}

/// Decodes what stands behind the path of a node.
fn decode_node(
    path: String,
    lists: &HashMap<i64, Arc<[Acl]>>,
    input: &mut Bytes,
) -> Result<ImageNode, DecodeError> {
    let data = copy(input, "data", Bytes::copy_from_slice)?;
    let list = i64::decode(input, "list of a node")?;
    let stat = StatPersisted::decode(input, "stat")?;
    Ok(ImageNode {
        path: if path.is_empty() { ByteString::from_static("/") } else { path.into() },
        data,
        // A list that is younger than the table: it is in the transaction that follows.
        acl: lists.get(&list).map_or_else(|| Arc::from([]), Arc::clone),
        kind: NodeKind::of_owner(stat.ephemeral_owner),
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        pzxid: stat.pzxid,
        ctime: stat.ctime,
        mtime: stat.mtime,
        version: stat.version,
        aversion: stat.aversion,
        created_children: stat.cversion.0,
    })
}

/// Takes a buffer as a copy, so that no node keeps the whole file alive; `None` for null.
fn copy<T>(
    input: &mut Bytes,
    what: &'static str,
    copied: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>, DecodeError> {
    let mut fields = Fields::new(input);
    let value = fields.buffer(what)?.map(copied);
    let read = input.len() - fields.rest().len();
    input.advance(read);
    Ok(value)
}

/// Copies an entry, so that it does not keep the whole file alive.
fn copied(entry: &Acl) -> Acl {
    Acl { perms: entry.perms, scheme: (&*entry.scheme).into(), id: (&*entry.id).into() }
}

/// The lists that nodes share, numbered from 1.
struct Lists<'a> {
    by_number: Vec<&'a Arc<[Acl]>>,
    numbers: HashMap<&'a [Acl], i64>,
}

impl<'a> Lists<'a> {
    fn of(image: &'a Image) -> Self {
        let mut lists = Self { by_number: Vec::new(), numbers: HashMap::new() };
        let mut last = 0;
        for node in &image.nodes {
            lists.numbers.entry(&node.acl).or_insert_with(|| {
                lists.by_number.push(&node.acl);
                last += 1;
                last
            });
        }
        lists
    }

    fn number(&self, list: &[Acl]) -> i64 {
        self.numbers.get(list).copied().unwrap_or(OPEN)
    }

    fn write(&self, sealed: &mut Sealed<impl Sink>) -> io::Result<()> {
        length(self.by_number.len()).map_err(io::Error::other)?.encode(&mut sealed.buffer);
        for (number, list) in (1_i64..).zip(&self.by_number) {
            sealed.put(|out| {
                number.encode(out);
                list.as_ref().encode(out);
            })?;
        }
        Ok(())
    }
}

/// Place for the bytes of a snapshot.
trait Sink {
    /// Writes behind everything before.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the content durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for Box<dyn DiskFile> {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }
}

impl Sink for Vec<u8> {
    fn write(&mut self, _: u64, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink with the checksum of all bytes written to it.
struct Sealed<S> {
    file: S,
    written: u64,
    synced: u64,
    sum: Adler32,
    buffer: BytesMut,
}

impl<S: Sink> Sealed<S> {
    fn new(file: S) -> Self {
        Self { file, written: 0, synced: 0, sum: Adler32::new(), buffer: BytesMut::new() }
    }

    /// Appends a part. Fails if it is too long for the lengths in it to be right.
    fn put(&mut self, encode: impl FnOnce(&mut BytesMut)) -> io::Result<()> {
        let before = self.buffer.len();
        encode(&mut self.buffer);
        length(self.buffer.len() - before).map_err(io::Error::other)?;
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    /// Writes the checksum of everything before it.
    fn seal(&mut self) -> io::Result<()> {
        self.flush()?;
        i64::from(self.sum.finish()).encode(&mut self.buffer);
        "/".encode(&mut self.buffer);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sum.write(&self.buffer);
        self.file.write(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SYNC {
            self.file.sync()?;
            self.synced = self.written;
        }
        Ok(())
    }
}
