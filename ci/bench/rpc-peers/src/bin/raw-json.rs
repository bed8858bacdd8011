//! `raw-json`, to be measured.

fn main() -> std::process::ExitCode {
    peer::main::<rpc_peers::raw::Raw<rpc_peers::raw::Json>>()
}
