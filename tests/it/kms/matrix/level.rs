//! Where the matrix is held to: `Kms` itself, and whatever stands in front of it.

use custom_key_store::ConnectionState;
use custom_key_store::kms::KmsError;
use serde_json::Value;

use super::world::World;

/// A way to make calls, by the names and members of AWS's API.
pub(super) trait Level: Sized {
    /// What it is called in the report of a failure.
    const NAME: &'static str;
    /// Whether it has the operations that `Kms` does not.
    const IS_PROTOCOL: bool;

    /// One to the stores of this world.
    fn to(world: &World) -> Self;

    async fn call(&self, operation: &str, body: &Value) -> Result<Value, Refused>;
}

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// By AWS's name.
    pub(super) name: String,
    pub(super) message: String,
    /// What only `Kms` itself tells.
    pub(super) told: Option<Told>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) state: Option<ConnectionState>,
    pub(super) advice: Option<&'static str>,
}

impl From<KmsError> for Refused {
    fn from(error: KmsError) -> Self {
        let told = Told { state: error.connection_state(), advice: Some(error.advice()) };
        Self { name: error.exception().to_string(), message: error.message().to_owned(), told: Some(told) }
    }
}
