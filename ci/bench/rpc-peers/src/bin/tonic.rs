//! `tonic`, to be measured.

fn main() -> std::process::ExitCode {
    peer::main::<rpc_peers::tonic_peer::Tonic>()
}
