//! Requests of AWS's protocol, signed, to an endpoint in this process.

use custom_key_store::api::KmsApi;
use serde_json::Value;

use super::level::{Level, Refused};
use super::world::World;
use crate::kms_api::support::{answer, call, callers, error, request};

pub(super) struct Http(KmsApi);

impl Level for Http {
    const NAME: &'static str = "HTTP";
    const IS_PROTOCOL: bool = true;

    fn to(world: &World) -> Self {
        let endpoint = KmsApi::builder(world.kms.clone(), callers()).clock(world.clock.clone());
        Self(endpoint.build().unwrap())
    }

    async fn call(&self, operation: &str, body: &Value) -> Result<Value, Refused> {
        let reply = answer(&self.0, request(&call(operation, body))).await;
        if reply.status == 200 {
            let has_none = reply.body.is_empty();
            return Ok(if has_none { Value::Null } else { reply.json() });
        }
        let (status, name, message) = error(&reply);
        // None of these is the server's fault. (4.1)
        assert_eq!(status, 400, "{operation} {body}: {name}: {message}");
        Err(Refused { name, message, told: None })
    }
}
