//! The project's RPC with the payload format `compact`.

fn main() -> std::process::ExitCode {
    peer::main::<bench_rpc::Compact>()
}
