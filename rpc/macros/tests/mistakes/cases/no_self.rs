use rpc_server::Status;

#[rpc_server::service]
trait Shop {
    async fn price(item: String) -> Result<u32, Status>;

    async fn sell(&mut self, item: String) -> Result<u32, Status>;
}

fn main() {}
