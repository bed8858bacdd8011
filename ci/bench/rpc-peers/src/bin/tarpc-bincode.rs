//! `tarpc-bincode`, to be measured.

fn main() -> std::process::ExitCode {
    peer::main::<rpc_peers::tarpc_peer::Tarpc<rpc_peers::tarpc_peer::AsBincode>>()
}
