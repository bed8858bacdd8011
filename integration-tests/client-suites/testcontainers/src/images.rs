//! Images of containers.

pub mod generic {
    //! An image by its name.

    use crate::core::{Healthcheck, WaitFor};

    /// An image of Apache ZooKeeper, with the environment of its container.
    #[derive(Debug)]
    pub struct GenericImage {
        pub(crate) tag: String,
        pub(crate) environment: Vec<(String, String)>,
    }

    impl GenericImage {
        pub fn new(name: &str, tag: &str) -> Self {
            assert_eq!(name, "zookeeper", "zk-mini stands in for no other image");
            Self { tag: tag.into(), environment: Vec::new() }
        }

        pub fn with_env_var(mut self, name: &str, value: String) -> Self {
            self.environment.push((name.into(), value));
            self
        }

        /// Has no effect: `zkServer.sh` says when it is ready.
        pub fn with_healthcheck(self, _: Healthcheck) -> Self {
            self
        }

        /// Has no effect, likewise.
        pub fn with_wait_for(self, _: WaitFor) -> Self {
            self
        }
    }
}
