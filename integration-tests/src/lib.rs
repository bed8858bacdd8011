//! Harness of the tests that run everything together: real processes, real signals, real kazoo, real ZooKeeper.
//!
//! It blocks its thread: tests that share a runtime with it use `#[tokio::test(flavor = "multi_thread")]`.

#![forbid(unsafe_code)]

pub mod certificates;
pub mod compat;
pub mod differential;
pub mod ensemble;
pub mod four_letter;
pub mod http;
pub mod java;
pub mod ports;
pub mod process;
pub mod procfs;
pub mod programs;
pub mod raw;
pub mod scenarios;
pub mod wait;

/// The examples in the crates' README files compile and run.
#[cfg(doctest)]
mod readmes {
    #[doc = include_str!("../../zk-mini/common/README.md")]
    struct Common;
    #[doc = include_str!("../../zk-mini/wire/README.md")]
    struct ZkWire;
    #[doc = include_str!("../../zk-mini/README.md")]
    struct ZkMini;
    #[doc = include_str!("../../zk-mini/http/README.md")]
    struct ZkMiniHttp;
    #[doc = include_str!("../../zk-mini/torture/README.md")]
    struct ZkMiniTorture;
    #[doc = include_str!("../../registry/client/README.md")]
    struct ZkClient;
    #[doc = include_str!("../../registry/recipes/README.md")]
    struct ZkRecipes;
    #[doc = include_str!("../../registry/README.md")]
    struct Registry;
    #[doc = include_str!("../../rpc/wire/README.md")]
    struct RpcWire;
    #[doc = include_str!("../../rpc/metrics/README.md")]
    struct RpcMetrics;
    #[doc = include_str!("../../rpc/prefork/README.md")]
    struct RpcPrefork;
    #[doc = include_str!("../../rpc/macros/README.md")]
    struct RpcMacros;
    #[doc = include_str!("../../rpc/server/README.md")]
    struct RpcServer;
    #[doc = include_str!("../../rpc/client/README.md")]
    struct RpcClient;
}
