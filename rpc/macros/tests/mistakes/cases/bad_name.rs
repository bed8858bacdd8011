use rpc_server::Status;

#[rpc_server::service]
trait Shop {
    #[method(name = "stock/price")]
    async fn price(&self, item: String) -> Result<u32, Status>;

    #[method(name = "")]
    async fn sell(&self, item: String) -> Result<u32, Status>;
}

#[rpc_server::service(name = "rpc.health")]
trait Health {
    async fn check(&self, service: String) -> Result<bool, Status>;
}

fn main() {}
