//! Views read what records write.

use bytes::BytesMut;
use proptest::prelude::*;
use zk_wire::*;

use crate::properties::{acl, data, text};

/// Reads a view of a request as it is written, with more bytes after it.
fn read<T: Request>(request: &T, check: impl FnOnce(OpCode, &mut Fields<'_>)) {
    let mut body = BytesMut::new();
    request.encode(&mut body);
    body.extend_from_slice(b"more");
    let mut fields = Fields::new(&body);
    check(T::OP, &mut fields);
    assert_eq!(fields.int("rest"), Ok(i32::from_be_bytes(*b"more")), "{:?} reads its fields, no more", T::OP);
}

fn owned(view: &Option<AclListView<'_>>) -> Option<Vec<Acl>> {
    let entry = |entry: AclView<'_>| Acl {
        perms: entry.perms,
        scheme: entry.scheme.as_deref().unwrap().into(),
        id: entry.id.as_deref().unwrap().into(),
    };
    view.as_ref().map(|list| list.iter().map(entry).collect())
}

proptest! {
    #[test]
    fn a_view_of_a_request_has_the_fields_of_its_record(
        path in text(),
        data in data(),
        acl in acl(),
        flags in any::<i32>(),
        ttl in any::<i64>(),
        version in any::<i32>(),
        watch in any::<bool>(),
        paths in proptest::collection::vec(text(), 0..4),
    ) {
        let (path, data) = (&path, &data);
        let expected = Expected::from(Version(version));
        let create = |op: OpCode, ttl: Option<i64>, fields: &mut Fields<'_>| {
            let view = CreateView::read(op, fields).unwrap();
            assert_eq!((view.op, view.path.as_deref(), view.flags, view.ttl), (op, Some(&**path), flags, ttl));
            assert_eq!((view.data, owned(&view.acl)), (data.as_deref(), acl.clone()));
        };
        let (path_, data_, acl_) = (path.clone(), data.clone(), acl.clone());
        read(&Create { path: path_.clone(), data: data_.clone(), acl: acl_.clone(), flags }, |op, fields| {
            create(op, None, fields);
        });
        read(&CreateTtl { path: path_.clone(), data: data_.clone(), acl: acl_.clone(), flags, ttl }, |op, fields| {
            create(op, Some(ttl), fields);
        });
        read(&Delete { path: path_.clone(), version: expected }, |op, fields| {
            let view = VersionedPathView::read(op, fields).unwrap();
            assert_eq!((view.path.as_deref(), view.version), (Some(&**path), expected));
        });
        read(&SetData { path: Some(path_.clone()), data: data_, version: expected }, |op, fields| {
            let view = SetDataView::read(op, fields).unwrap();
            assert_eq!((view.path.as_deref(), view.data, view.version), (Some(&**path), data.as_deref(), expected));
        });
        read(&SetAcl { path: None, acl: acl_, version: expected }, |op, fields| {
            let view = SetAclView::read(op, fields).unwrap();
            assert_eq!((view.path, owned(&view.acl), view.version), (None, acl.clone(), expected));
        });
        read(&GetData { path: path_.clone(), watch }, |op, fields| {
            let view = WatchedPathView::read(op, fields).unwrap();
            assert_eq!((&*view.path, view.watch), (&**path, watch));
        });
        read(&GetAcl { path: path_.clone() }, |op, fields| {
            assert_eq!(PathView::read(op, fields).unwrap().path, &**path);
        });
        read(&Sync { path: None }, |op, fields| assert_eq!(OptionalPathView::read(op, fields).unwrap().path, None));
        read(&AddWatch { path: path_.clone(), mode: flags }, |op, fields| {
            let view = AddWatchView::read(op, fields).unwrap();
            assert_eq!((&*view.path, view.mode), (&**path, flags));
        });
        read(&RemoveWatches { path: path_, watcher_type: flags }, |op, fields| {
            let view = WatcherTypeView::read(op, fields).unwrap();
            assert_eq!((view.path.as_deref(), view.watcher_type), (Some(&**path), flags));
        });
        let watches = SetWatches2 {
            relative_zxid: Zxid(ttl),
            data_watches: paths.clone(),
            exist_watches: vec![],
            child_watches: paths.clone(),
            persistent_watches: vec![path.clone()],
            persistent_recursive_watches: paths.clone(),
        };
        read(&watches, |op, fields| {
            let view = SetWatchesView::read(op, fields).unwrap();
            let own = |paths: &PathsView<'_>| -> Vec<ByteString> {
                paths.iter().flatten().map(|path| path.as_deref().unwrap().into()).collect()
            };
            assert_eq!(view.relative_zxid, watches.relative_zxid);
            assert_eq!(own(&view.data_watches), watches.data_watches);
            assert_eq!(own(&view.exist_watches), watches.exist_watches);
            assert_eq!(own(&view.child_watches), watches.child_watches);
            assert_eq!(own(&view.persistent_watches), watches.persistent_watches);
            assert_eq!(own(&view.persistent_recursive_watches), watches.persistent_recursive_watches);
        });
        read(&Auth { auth_type: 0, scheme: Some(path.clone()), auth: data.clone() }, |op, fields| {
            let view = AuthView::read(op, fields).unwrap();
            assert_eq!((view.scheme.as_deref(), view.auth), (Some(&**path), data.as_deref()));
        });
    }
}

#[test]
fn a_multi_says_which_of_its_operations_is_refused_while_it_is_read() {
    let create = |acl, flags| MultiOp::Create(Create { path: "/a".into(), data: None, acl, flags });
    let whole = || create(Some(vec![Acl::open()]), 0);
    let read = |ops: Vec<MultiOp>| {
        let mut body = BytesMut::new();
        Multi { ops }.encode(&mut body);
        MultiOpView::read_all(Fields::new(&body))
            .map(|ops| ops.iter().map(MultiOpView::op).collect::<Vec<_>>())
    };
    let bad_flags = DecodeError::BadFlags { what: "Create.flags", flags: 9 };
    let null = DecodeError::Null { what: "Create.acl" };
    assert_eq!(
        read(vec![whole(), create(Some(vec![]), 4)]),
        Ok(vec![OpCode::CREATE, OpCode::CREATE_CONTAINER])
    );
    assert_eq!(read(vec![whole(), create(None, 9), create(None, 0)]), Err(bad_flags));
    assert_eq!(read(vec![create(None, 0), create(None, 9)]), Err(null));
    let mut mixed = BytesMut::new();
    Multi { ops: vec![whole()] }.encode(&mut mixed);
    mixed.truncate(mixed.len() - MultiHeader::LEN);
    MultiRead { ops: vec![ReadOp::GetData(GetData { path: "/a".into(), watch: false })] }.encode(&mut mixed);
    let refused = MultiOpView::read_all(Fields::new(&mixed));
    assert_eq!(refused, Err(DecodeError::UnexpectedType { what: "Multi.op", op: OpCode::GET_DATA.0 }));
}

/// Reads the list of a setAcl whose path is null, and the version behind it.
fn read_list(list: &[u8]) -> Result<SetAclView<'_>, DecodeError> {
    SetAclView::read(OpCode::SET_ACL, &mut Fields::new(list))
}

#[test]
fn a_list_is_checked_to_be_whole_and_its_entries_are_read_when_asked_for() {
    let with = |rest: &[&[u8]]| [&[0xff; 4], &rest.concat()[..]].concat();
    let null = with(&[&[0xff; 4], &[0; 4]]);
    assert_eq!(read_list(&null).unwrap().acl, None);
    for count in [[0; 4], [0xff, 0xff, 0xff, 0xfe]] {
        let empty = with(&[&count, &[0; 4]]);
        assert_eq!(read_list(&empty).unwrap().acl.unwrap().iter().count(), 0);
    }
    // Nulls and what is not UTF-8 are shown as they are read.
    let odd = with(&[&[0, 0, 0, 1], &[0, 0, 0, 31], &[0xff; 4], &[0, 0, 0, 1, 0xfe], &[0; 4]]);
    let view = read_list(&odd).unwrap().acl.unwrap();
    let expected = AclView { perms: Perms::ALL, scheme: None, id: Some("\u{fffd}".into()) };
    assert_eq!(view.iter().collect::<Vec<_>>(), [expected]);
    let hostile = with(&[&[0x7f, 0xff, 0xff, 0xff], &[0; 8]]);
    assert!(matches!(read_list(&hostile), Err(DecodeError::Truncated { left: 8, .. })));
    let list = [Acl::open(), Acl::creator_only()];
    let mut whole = BytesMut::new();
    SetAcl { path: None, acl: Some(list.to_vec()), version: Expected::Any }.encode(&mut whole);
    let view = read_list(&whole).unwrap().acl;
    assert_eq!((owned(&view), view), (Some(list.to_vec()), Some(AclListView::of(&list))));
    for len in 0..whole.len() {
        assert!(read_list(&whole[..len]).is_err(), "{len} bytes");
    }
}

/// Returns true if the table of op codes and the record agree on whether the body begins with the path `/path`.
fn agrees<T: Request>(request: &T) -> bool {
    let mut body = BytesMut::new();
    request.encode(&mut body);
    T::OP.begins_with_path() == (Fields::new(&body).buffer("path") == Ok(Some(b"/path")))
}

#[test]
fn the_table_of_op_codes_knows_which_requests_begin_with_a_path() {
    let path = ByteString::from_static("/path");
    let (version, watch, paths) = (Expected::Any, true, vec![path.clone()]);
    let create = |flags| Create { path: path.clone(), data: None, acl: None, flags };
    assert!(agrees(&create(0)));
    assert!(agrees(&CreateTtl { path: path.clone(), data: None, acl: None, flags: 5, ttl: 1 }));
    assert!(agrees(&Delete { path: path.clone(), version }));
    assert!(agrees(&DeleteContainer { path: path.clone() }));
    assert!(agrees(&Exists { path: path.clone(), watch }));
    assert!(agrees(&GetData { path: path.clone(), watch }));
    assert!(agrees(&SetData { path: Some(path.clone()), data: None, version }));
    assert!(agrees(&GetAcl { path: path.clone() }));
    assert!(agrees(&SetAcl { path: Some(path.clone()), acl: None, version }));
    assert!(agrees(&GetChildren { path: path.clone(), watch }));
    assert!(agrees(&GetChildren2 { path: path.clone(), watch }));
    assert!(agrees(&GetAllChildrenNumber { path: path.clone() }));
    assert!(agrees(&GetEphemerals { prefix_path: Some(path.clone()) }));
    assert!(agrees(&Sync { path: Some(path.clone()) }));
    assert!(agrees(&Check { path: Some(path.clone()), version }));
    assert!(agrees(&CheckWatches { path: path.clone(), watcher_type: 1 }));
    assert!(agrees(&RemoveWatches { path: path.clone(), watcher_type: 1 }));
    assert!(agrees(&AddWatch { path: path.clone(), mode: 0 }));
    let relative_zxid = Zxid(0);
    let (data_watches, exist_watches, child_watches) = (paths.clone(), paths.clone(), paths);
    assert!(agrees(&SetWatches { relative_zxid, data_watches, exist_watches, child_watches }));
    assert!(agrees(&Auth { auth_type: 0, scheme: Some(path), auth: None }));
    assert!(agrees(&Ping {}) && agrees(&WhoAmI {}) && agrees(&CloseSession {}));
}
