use rpc_server::Status;

#[rpc_server::service]
trait Shop {
    async fn price<T>(&self, item: T) -> Result<u32, Status>;

    async fn sell(&self, item: impl ToString) -> Result<u32, Status>;
}

fn main() {}
