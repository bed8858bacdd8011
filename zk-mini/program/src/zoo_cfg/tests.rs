//! Tests of a `zoo.cfg` and what is made of it.

use super::*;

fn parse(text: &str) -> Result<ZooCfg, String> {
    parse_for(1, text)
}

fn parse_for(servers: usize, text: &str) -> Result<ZooCfg, String> {
    ZooCfg::parse(text.as_bytes(), Path::new("conf/zoo.cfg"), servers).map_err(|error| error.to_string())
}

fn remarks(config: &ZooCfg) -> Vec<(usize, &str)> {
    config.remarks.iter().map(|remark| (remark.line, remark.key.as_str())).collect()
}

#[test]
fn the_sample_of_zookeeper_is_understood() {
    let text = "# The number of milliseconds of each tick\ntickTime=3000\ninitLimit=10\nsyncLimit=5\n\
                dataDir=/tmp/zookeeper\nclientPort=2182\n#maxClientCnxns=60\n";
    let config = parse(text).unwrap();
    assert_eq!(config.client_port, Some(2182));
    assert_eq!(config.data_dir, Some("/tmp/zookeeper".into()));
    assert_eq!(remarks(&config), [(3, "initLimit"), (4, "syncLimit")]);
}

#[test]
fn every_setting_is_read_and_the_last_entry_of_a_key_holds() {
    let text = "clientPort=1\nclientPort=0\nclientPortAddress=::1\ntickTime=1\ntickTime=50\n\
                minSessionTimeout=100\nmaxSessionTimeout=-1\nmaxClientCnxns=0\njute.maxbuffer=0x3fffff\n\
                4lw.commands.whitelist=ruok, stat\nextendedTypesEnabled=TRUE\n\
                znode.container.checkIntervalMs=70\nzookeeper.DigestAuthenticationProvider.superDigest=super:x=\n\
                skipACL=yes\nzookeeper.enforceQuota=on\nsnapCount=9\npreAllocSize=64\nreconfigEnabled=true\n\
                jute.maxbuffer.extrasize=0x400\n";
    let config = parse(text).unwrap();
    let address = config.client_port_address.clone();
    assert_eq!((config.client_port, address), (Some(0), Some("::1".parse().unwrap())));
    assert_eq!(remarks(&config), [(9, "jute.maxbuffer"), (12, "znode.container.checkIntervalMs")]);
    let settings = format!("{:?}", config.settings);
    assert_eq!(
        settings,
        "Settings { fast: None, compat: None, tick_ms: Some(50), min_session_timeout_ms: Some(Timeout(Some(100))), \
         max_session_timeout_ms: Some(Timeout(None)), max_client_cnxns: Some(0), max_cnxns: None, listen_backlog: None, \
         jute_max_buffer: Some(4194303), jute_max_buffer_extra_size: Some(1024), max_auth_ids: None, \
         max_auth_id_bytes: None, max_acl_entries: None, max_watches: None, max_watch_bytes: None, history: None, \
         four_letter_words: Some(\"ruok, stat\"), extended_types: Some(true), \
         container_check_interval_ms: Some(70), super_digest: Some(\"super:x=\"), skip_acl: Some(true), \
         enforce_quota: Some(false), snap_count: Some(9), pre_alloc_size: Some(65536), \
         private_sessions: None, reconfig_enabled: Some(true) }"
    );
}

#[test]
fn a_switch_is_off_unless_it_says_what_zookeeper_wants_to_read() {
    let config = parse("skipACL=true\nenforceQuota=yes\n").unwrap();
    let settings = format!("{:?}", config.settings);
    assert!(settings.contains("skip_acl: Some(false), enforce_quota: Some(false)"), "{settings}");
}

#[test]
fn a_key_without_effect_or_with_another_one_is_remarked_once() {
    let config =
        parse("initLimit=5\ninitLimit=6\nssl.crl=true\njute.maxbuffer=900\nssl.keyStore.location=/k\n");
    let told: Vec<_> = config.unwrap().remarks.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "conf/zoo.cfg:1: initLimit is ignored: zk-mini has no such setting",
            "conf/zoo.cfg:3: ssl.crl is ignored: no lists of revoked certificates are asked for",
            "conf/zoo.cfg:4: jute.maxbuffer holds here; ZooKeeper itself takes it from a Java property only",
            "conf/zoo.cfg:5: ssl.keyStore.location is ignored: no port speaks TLS without secureClientPort or \
             client.portUnification=true",
        ]
    );
}

#[test]
fn control_characters_in_a_key_are_escaped() {
    let config = parse("a\u{202e}b=1\n").unwrap();
    assert_eq!(
        config.remarks[0].to_string(),
        "conf/zoo.cfg:1: a\\u{202e}b is ignored: zk-mini has no such setting"
    );
}

#[test]
fn binary_files_are_refused_but_comments_have_any_encoding() {
    let parse = |text: &[u8]| ZooCfg::parse(text, Path::new("zoo.cfg"), 1).map_err(|error| error.to_string());
    for text in [&b"x=1\na\x1b[2J=1"[..], b"\nx=\0", b"#\n\xff\xfet\0i\0c\0k\0", b"x\ncaf\xe9=1"] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with("zoo.cfg:2: invalid text: "), "{error}");
    }
    assert!(parse(b"a=\\u12").unwrap_err().contains("hexadecimal"));
    for comment in [&b"# caf\xe9 \x1b\ntickTime=1"[..], b" \t! caf\xe9\ntickTime=1"] {
        assert!(parse(comment).is_ok(), "{}", comment.escape_ascii());
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_key() {
    let config = parse("\u{feff}dataDir=/d\n").unwrap();
    assert_eq!((config.data_dir, config.remarks.len()), (Some("/d".into()), 0));
}

#[test]
fn a_misspelt_key_is_an_error_that_has_the_right_spelling() {
    let error = parse("tickTime=2000\nzookeeper.datadir=/d\n").unwrap_err();
    assert_eq!(error, "conf/zoo.cfg:2: zookeeper.datadir is not a ZooKeeper key; did you mean dataDir?");
}

#[test]
fn without_an_entry_the_tick_and_the_words_are_those_of_zookeeper() {
    let settings = format!("{:?}", parse("").unwrap().settings);
    assert!(settings.contains("tick_ms: Some(3000)"), "{settings}");
    assert!(settings.contains("four_letter_words: Some(\"srvr\")"), "{settings}");
}

#[test]
fn entries_that_change_nothing_need_no_remark() {
    let config =
        parse("localSessionsUpgradingEnabled=false\nlocalSessionsEnabled=false\nstandaloneEnabled=true\n");
    assert_eq!(remarks(&config.unwrap()), []);
    let config = parse("standaloneEnabled=false\nlocalSessionsEnabled=TRUE\n").unwrap();
    assert_eq!(remarks(&config), [(1, "standaloneEnabled")]);
    assert!(config.local_sessions && !config.local_session_upgrades);
    let error = parse("localSessionsEnabled=yes\n").unwrap_err();
    assert_eq!(error, "conf/zoo.cfg:1: localSessionsEnabled is \"yes\"; it must be true or false");
}

#[test]
fn keys_of_the_admin_server_and_of_the_metrics_are_read() {
    let provider = "zookeeper.metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
    let config = parse(&format!("metricsProvider.httpPort=0\n{provider}\nzookeeper.admin.serverPort=0\n"));
    let config = config.unwrap();
    assert_eq!((remarks(&config), config.http.ports().len()), (vec![], 2));
    let config =
        parse("metricsProvider.httpPort=7000\nmetricsProvider.className=org.x.Y\nadmin.idleTimeout=1\n");
    let config = config.unwrap();
    assert_eq!(config.http.ports().len(), 0);
    let told: Vec<_> = config.remarks.iter().map(|remark| remark.line).collect();
    assert_eq!(told, [3, 1, 2]);
    let told = parse("admin.enableServer=false\n").unwrap().remarks[0].to_string();
    assert!(told.contains("HTTP stays on the ZooKeeper port"), "{told}");
    let error = parse("admin.serverPort=many\n").unwrap_err();
    assert_eq!(error, "conf/zoo.cfg:1: admin.serverPort is \"many\"; it must be a port, 0 to 65535");
}

#[test]
fn a_snapshot_comes_after_two_transactions_at_least() {
    for (written, taken, remarked) in
        [("-5", 2, true), ("1", 2, true), ("+2", 2, false), ("0x9", 9, false), ("many", 100_000, true)]
    {
        let config = parse(&format!("snapCount={written}\n")).unwrap();
        let settings = format!("{:?}", config.settings);
        assert!(settings.contains(&format!("snap_count: Some({taken})")), "{written}: {settings}");
        assert_eq!(config.remarks.len(), usize::from(remarked), "{written}");
    }
    let told = parse("snapCount=many\n").unwrap().remarks[0].to_string();
    assert_eq!(
        told,
        "conf/zoo.cfg:1: snapCount is taken as 100000, as by ZooKeeper: it must be a number up to 2147483647"
    );
}

#[test]
fn directories_and_retention_are_read() {
    let config = parse("dataDir=/d\ndataLogDir=/l\nautopurge.snapRetainCount=5\n").unwrap();
    assert_eq!((config.data_dir, config.data_log_dir), (Some("/d".into()), Some("/l".into())));
    assert_eq!(config.retain_snapshots, None, "nothing is purged unless there is an interval");
    for count in ["2", "5"] {
        let told = parse(&format!("autopurge.snapRetainCount={count}\n")).unwrap().remarks[0].to_string();
        let said = "autopurge.snapRetainCount has no effect without an autopurge.purgeInterval of 1 or more";
        assert!(told.contains(said), "{told}");
    }
    let config = parse("autopurge.snapRetainCount=5\nautopurge.purgeInterval=1\n").unwrap();
    assert_eq!((config.retain_snapshots, remarks(&config)), (NonZeroUsize::new(5), vec![]));
    for few in ["-1", "0", "2"] {
        let config = parse(&format!("autopurge.snapRetainCount={few}\nautopurge.purgeInterval=1\n")).unwrap();
        assert_eq!(config.retain_snapshots, NonZeroUsize::new(3));
        assert_eq!(remarks(&config), [(1, "autopurge.snapRetainCount")]);
    }
    assert!(parse("autopurge.purgeInterval=soon").is_err() && parse("autopurge.purgeInterval=1y").is_err());
    for off in ["0", "-1", "-24"] {
        assert_eq!(parse(&format!("autopurge.purgeInterval={off}")).unwrap().retain_snapshots, None);
    }
    assert_eq!(parse("autopurge.purgeInterval=+24").unwrap().retain_snapshots, NonZeroUsize::new(3));
    assert_eq!(parse("autopurge.purgeInterval=1d").unwrap().retain_snapshots, NonZeroUsize::new(3));
    let config = parse("autopurge.purgeInterval=24\n").unwrap();
    assert_eq!(config.retain_snapshots, NonZeroUsize::new(3));
}

#[test]
fn a_lone_server_line_may_tell_the_client_port() {
    for (text, port) in [
        ("server.1=localhost:2888:3888;2182", Some(2182)),
        ("server.1=localhost:2888:3888:participant;0.0.0.0:2183", Some(2183)),
        ("clientPort=2181\nserver.1=localhost:2888:3888;2182", Some(2181)),
        ("server.1=localhost:2888:3888", None),
        ("server.1=a:2888:3888;2182\nserver.2=b:2888:3888;2183", None),
    ] {
        assert_eq!(parse(text).unwrap().client_port, port, "{text}");
    }
}

#[test]
fn lines_of_servers_have_their_addresses_if_there_are_these_servers() {
    let text = "server.1=zk1:2888:3888;2181\nzookeeper.server.2=[::1]:2:3:observer\nserver.4=x\nserver.x=y\n";
    let config = parse_for(3, text).unwrap();
    assert_eq!(remarks(&config), [(3, "server.4"), (4, "server.x")]);
    let servers = format!("{:?}", config.servers);
    assert!(servers.contains("\"zk1\"") && servers.contains("\"0:0:0:0:0:0:0:1\""), "{servers}");
    assert_eq!(remarks(&parse(text).unwrap()).len(), 4, "a single server has no members");
    let error = parse_for(2, "server.2=zk2:2888\n").unwrap_err();
    assert_eq!(
        error,
        "conf/zoo.cfg:1: server.2 is \"zk2:2888\"; it must be host:port:port, as in zk1:2888:3888"
    );
}

#[test]
fn a_bad_value_is_an_error_with_file_line_and_key() {
    let error = parse("\nclientPort=many\n").unwrap_err();
    assert_eq!(error, "conf/zoo.cfg:2: clientPort is \"many\"; it must be a port, 0 to 65535");
    for text in [
        "clientPort=65536",
        "tickTime=0",
        "minSessionTimeout=-2",
        "maxClientCnxns=x",
        "tickTime=",
        "jute.maxbuffer=1M",
        "jute.maxbuffer=-1",
        "reconfigEnabled=yes",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}
