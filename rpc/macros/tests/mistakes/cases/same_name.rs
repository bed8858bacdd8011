use rpc_server::Status;

#[rpc_server::service]
trait Shop {
    async fn price(&self, item: String) -> Result<u32, Status>;

    #[method(name = "price")]
    async fn cost(&self, item: String) -> Result<u32, Status>;
}

fn main() {}
