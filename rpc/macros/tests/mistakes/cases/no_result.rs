#[rpc_server::service]
trait Shop {
    async fn price(&self, item: String) -> u32;

    async fn sell(&self, item: String);
}

fn main() {}
