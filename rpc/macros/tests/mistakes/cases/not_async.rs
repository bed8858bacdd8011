use rpc_server::Status;

#[rpc_server::service]
trait Shop {
    fn price(&self, item: String) -> Result<u32, Status>;
}

fn main() {}
