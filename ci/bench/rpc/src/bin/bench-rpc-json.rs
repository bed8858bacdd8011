//! The project's RPC with the payload format `json`.

fn main() -> std::process::ExitCode {
    peer::main::<bench_rpc::Json>()
}
