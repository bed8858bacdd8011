use rpc_server::Status;

struct Order;

struct Receipt;

#[rpc_server::service]
trait Shop {
    async fn price(&self, order: Order) -> Result<u32, Status>;

    async fn sell(&self, count: u32) -> Result<Receipt, Status>;
}

fn main() {}
