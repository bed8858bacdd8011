//! Names of the keys of `zoo.cfg`, and detection of misspelt ones.
//!
//! ZooKeeper accepts any key: an unknown one becomes a Java property that some plug-in may read. So an unknown key is
//! ignored here, unless it is so similar to a known one that it must be a mistake.

use crate::settings::Settings;
use crate::zoo_throttle;

/// Prefixes of keys whose last part the user chooses.
const FAMILIES: &[&str] = &[
    "server.",
    "group.",
    "weight.",
    "ssl.",
    "authProvider.",
    "superUser.",
    "metricsProvider.",
    "admin.",
    "jvm.pause.",
];

/// Further keys that ZooKeeper 3.4 to 3.9 knows, as keys or as Java properties.
const OTHERS: &[&str] = &[
    "clientPort",
    "clientPortAddress",
    "dataDir",
    "dataLogDir",
    "autopurge.snapRetainCount",
    "autopurge.purgeInterval",
    "secureClientPort",
    "secureClientPortAddress",
    "observerMasterPort",
    "localSessionsEnabled",
    "localSessionsUpgradingEnabled",
    "initLimit",
    "syncLimit",
    "connectToLearnerMasterLimit",
    "electionAlg",
    "electionPort",
    "quorumListenOnAllIPs",
    "quorumListenOnAllIps",
    "peerType",
    "syncEnabled",
    "dynamicConfigFile",
    "standaloneEnabled",
    "sslQuorum",
    "portUnification",
    "sslQuorumReloadCertFiles",
    "client.portUnification",
    "client.certReload",
    "quorum.auth.enableSasl",
    "quorum.auth.serverRequireSasl",
    "quorum.auth.learnerRequireSasl",
    "quorum.auth.learner.saslLoginContext",
    "quorum.auth.server.saslLoginContext",
    "quorum.auth.learner.loginContext",
    "quorum.auth.server.loginContext",
    "quorum.auth.kerberos.servicePrincipal",
    "quorum.cnxn.threads.size",
    "multiAddress.enabled",
    "multiAddress.reachabilityCheckTimeoutMs",
    "multiAddress.reachabilityCheckEnabled",
    "oraclePath",
    "version",
    "configVersion",
    "ensembleAuthName",
    "DigestAuthenticationProvider.digestAlg",
    "DigestAuthenticationProvider.enabled",
    "IPAuthenticationProvider.usexforwardedfor",
    "SASLAuthenticationProvider.superPassword",
    "X509AuthenticationProvider.superUser",
    "superUser",
    "requireClientAuthScheme",
    "allowSaslFailedClients",
    "letAnySaslUserDoX",
    "audit.enable",
    "audit.impl.class",
    "bitHashCacheSize",
    "clientTcpKeepAlive",
    "tcpKeepAlive",
    "closeSessionTxn.enabled",
    "cnxTimeout",
    "commitLogCount",
    "commitProcessor.maxCommitBatchSize",
    "commitProcessor.maxReadBatchSize",
    "commitProcessor.numWorkerThreads",
    "commitProcessor.shutdownTimeout",
    "controllerPort",
    "datadir.autocreate",
    "db.autocreate",
    "digest.enabled",
    "electionPortBindRetry",
    "emulate353TTLNodes",
    "enableEagerACLCheck",
    "enforce.auth.enabled",
    "enforce.auth.schemes",
    "fastleader.maxNotificationInterval",
    "fastleader.minNotificationInterval",
    "fips-mode",
    "flushDelay",
    "follower.nodelay",
    "leader.nodelay",
    "forceSnapshotSync",
    "forceSync",
    "fsync.warningthresholdms",
    "globalOutstandingLimit",
    "intBufferStartingSizeBytes",
    "jmx.log4j.disable",
    "kerberos.removeHostFromPrincipal",
    "kerberos.removeRealmFromPrincipal",
    "kerberos.canonicalizeHostNames",
    "largeRequestMaxBytes",
    "largeRequestThreshold",
    "leaderConnectDelayDuringRetryMs",
    "leaderServes",
    "leader.ackLoggingFrequency",
    "leader.closeSocketAsync",
    "leader.maxConcurrentDiffSyncs",
    "leader.maxConcurrentSnapSyncs",
    "leader.maxConcurrentSnapshots",
    "leader.maxTimeToWaitForEpoch",
    "leader.snapPingIntervalInSeconds",
    "learner.asyncSending",
    "learner.closeSocketAsync",
    "maxBatchSize",
    "maxGetChildrenResponseCacheSize",
    "maxInProcessingDeadWatchers",
    "maxResponseCacheSize",
    "maxWriteQueuePollTime",
    "messageTracker.BufferSize",
    "messageTracker.Enabled",
    "netty.advancedFlowControl.enabled",
    "netty.server.outstandingHandshake.limit",
    "nio.directBufferBytes",
    "nio.numSelectorThreads",
    "nio.numWorkerThreads",
    "nio.sessionlessCnxnTimeout",
    "nio.shutdownTimeout",
    "observer.election.DelayMs",
    "observer.reconnectDelayMs",
    "observer.syncEnabled",
    "observerMaster.sizeLimit",
    "outstandingChangesQueueLimit",
    "quorumCnxnTimeoutMs",
    "readonlymode.enabled",
    "requestThrottleLimit",
    "requireKerberosConfig",
    "security.auth_to_local",
    "serializeLastProcessedZxid.enabled",
    "serverCnxnFactory",
    "sessionRequireClientSASLAuth",
    "jaasLoginRenew",
    "sasl.serverconfig",
    "snapSizeLimitInKb",
    "snapshot.compression.method",
    "snapshot.trust.empty",
    "snapshotSizeFactor",
    "snapStreamMode",
    "supportedX509Format",
    "txnLogSizeLimitInKb",
    "traceFile",
    "warningthreshold",
    "watchManagerName",
    "watcherCleanIntervalInSeconds",
    "watcherCleanThreadsNum",
    "watcherCleanThreshold",
    "znode.container.maxNeverUsedIntervalMs",
    "znode.container.maxPerMinute",
];

/// Returns the known key that is probably meant by an unknown key.
pub(crate) fn meant(key: &str) -> Option<&'static str> {
    let throttle = || zoo_throttle::KEYS.iter().copied().chain(zoo_throttle::documented_names());
    let known = || Settings::keys().chain(OTHERS.iter().copied()).chain(throttle());
    if FAMILIES.iter().any(|family| key.starts_with(family)) || known().any(|name| name == key) {
        return None;
    }
    let lower: Vec<_> = key.to_lowercase().chars().take(LONGEST).collect();
    let (distance, name) = known().map(|name| (distance(&lower, name), name)).min()?;
    // In a short key, two changes make another word.
    let allowed = if name.len() < 7 { 1 } else { 2 };
    (distance <= allowed).then_some(name)
}

/// Maximum length that is compared; all known keys are shorter.
const LONGEST: usize = 64;

/// Edit distance: number of letters to change, insert, delete or swap with the next to turn `key` into `name`, ignoring
/// case.
fn distance(key: &[char], name: &str) -> usize {
    let name: Vec<_> = name.to_lowercase().chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=name.len()).collect();
    for (row, &k) in key.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &n) in name.iter().enumerate() {
            let mut least =
                (last[column] + usize::from(k != n)).min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && k == name[column - 1] && key[row - 1] == n {
                least = least.min(before_last[column - 1] + 1);
            }
            current.push(least);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_recognised() {
        for (key, name) in [
            ("datadir", "dataDir"),
            ("DATADIR", "dataDir"),
            ("dataDri", "dataDir"),
            ("dtaaDir", "dataDir"),
            ("dataDirr", "dataDir"),
            ("data.Dir", "dataDir"),
            ("datalogdir", "dataLogDir"),
            ("clientport", "clientPort"),
            ("cilentPort", "clientPort"),
            ("ticktime", "tickTime"),
            ("tickTme", "tickTime"),
            ("maxClientConns", "maxClientCnxns"),
            ("maxSesionTimeout", "maxSessionTimeout"),
            ("autopurge.snapRetainCnt", "autopurge.snapRetainCount"),
            ("4lw.command.whitelist", "4lw.commands.whitelist"),
            ("initLimt", "initLimit"),
        ] {
            assert_eq!(meant(key), Some(name), "{key}");
        }
    }

    #[test]
    fn known_and_foreign_keys_are_not_taken_for_misspelt_ones() {
        let real =
            ["metricsProvider.httpPort", "metricsProvider.exportJvmInfo", "server.1", "group.1", "weight.1"];
        let foreign =
            ["my.own.property", "org.example.flag", "x", "", "dataDirectory", "logDir", "ssl.clientAuth"];
        for key in Settings::keys().chain(OTHERS.iter().copied()).chain(real).chain(foreign) {
            assert_eq!(meant(key), None, "{key}");
        }
    }

    #[test]
    fn a_very_long_key_is_compared_quickly() {
        assert_eq!(meant(&"x".repeat(10_000_000)), None);
    }
}
