//! What of a store can be changed in each connection state. (AWS KMS custom key stores, facts 2.2)

use serde_json::{Value, json};

use super::table::{ISE, OK, Seen, StoreRow, VALIDATION, both, cloud_hsm, external, through_vpc};
use super::world::World;

const OPERATION: &str = "UpdateCustomKeyStore";

/// A change of the store.
fn change(world: &World, mut members: Value) -> Value {
    members["CustomKeyStoreId"] = world.store.as_str().into();
    members
}

fn shows(world: &World, pointer: &'static str, value: &str) -> Seen {
    let body = json!({ "CustomKeyStoreId": world.store });
    Seen { operation: "DescribeCustomKeyStores", body, pointer, value: value.into() }
}

/// `DISCONNECTED`, `CONNECTING`, `CONNECTED`, `DISCONNECTING`, `FAILED`.
pub(super) const UPDATES: &[StoreRow] = &[
    // The name, of both types, also of a connected CloudHSM key store (2.4, C4); not in FAILED (C3).
    both(
        OPERATION,
        "name",
        |w| change(w, json!({ "NewCustomKeyStoreName": "new" })),
        [OK, ISE, OK, ISE, ISE],
    )
    .seen(|w| shows(w, "/CustomKeyStores/0/CustomKeyStoreName", "new")),
    through_vpc(
        OPERATION,
        "name",
        |w| change(w, json!({ "NewCustomKeyStoreName": "new" })),
        [OK, ISE, OK, ISE, ISE],
    )
    .seen(|w| shows(w, "/CustomKeyStores/0/CustomKeyStoreName", "new")),
    // HSM KeyStorePassword
    cloud_hsm(
        OPERATION,
        "password",
        |w| change(w, json!({ "KeyStorePassword": "correcthorse2" })),
        [OK, ISE, ISE, ISE, ISE],
    ),
    // HSM CloudHsmClusterId
    cloud_hsm(
        OPERATION,
        "cluster",
        |w| change(w, json!({ "CloudHsmClusterId": "cluster-bbcdefghij2" })),
        [OK, ISE, ISE, ISE, ISE],
    )
    .seen(|w| shows(w, "/CustomKeyStores/0/CloudHsmClusterId", "cluster-bbcdefghij2")),
    // XKS credential: C2 lets it change in CONNECTED, C3 nowhere else
    external(OPERATION, "credential", |w| change(w, credential()), [OK, ISE, OK, ISE, ISE])
        .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/AccessKeyId", ACCESS_KEY_ID)),
    through_vpc(OPERATION, "credential", |w| change(w, credential()), [OK, ISE, OK, ISE, ISE])
        .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/AccessKeyId", ACCESS_KEY_ID)),
    // XKS UriPath: as the credential
    external(
        OPERATION,
        "path",
        |w| change(w, json!({ "XksProxyUriPath": "/new/kms/xks/v1" })),
        [OK, ISE, OK, ISE, ISE],
    )
    .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/UriPath", "/new/kms/xks/v1")),
    through_vpc(
        OPERATION,
        "path",
        |w| change(w, json!({ "XksProxyUriPath": "/new/kms/xks/v1" })),
        [OK, ISE, OK, ISE, ISE],
    )
    .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/UriPath", "/new/kms/xks/v1")),
    // XKS UriEndpoint
    external(OPERATION, "endpoint", |w| change(w, endpoint()), [OK, ISE, ISE, ISE, ISE])
        .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/UriEndpoint", ENDPOINT)),
    through_vpc(OPERATION, "endpoint", |w| change(w, endpoint()), [OK, ISE, ISE, ISE, ISE])
        .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/UriEndpoint", ENDPOINT)),
    // XKS Connectivity, both ways
    external(OPERATION, "connectivity", |w| change(w, to_vpc()), [OK, ISE, ISE, ISE, ISE])
        .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/VpcEndpointServiceName", SERVICE)),
    through_vpc(OPERATION, "connectivity", |w| change(w, to_public()), [OK, ISE, ISE, ISE, ISE])
        .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/Connectivity", "PUBLIC_ENDPOINT")),
    // XKS VPC service name, owner: of a store that has one; of another they are no legal change in any state
    through_vpc(
        OPERATION,
        "service name",
        |w| change(w, json!({ "XksProxyVpcEndpointServiceName": SERVICE })),
        [OK, ISE, ISE, ISE, ISE],
    )
    .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/VpcEndpointServiceName", SERVICE)),
    through_vpc(
        OPERATION,
        "service owner",
        |w| change(w, json!({ "XksProxyVpcEndpointServiceOwner": "444455556666" })),
        [OK, ISE, ISE, ISE, ISE],
    )
    .seen(|w| shows(w, "/CustomKeyStores/0/XksProxyConfiguration/VpcEndpointServiceOwner", "444455556666")),
    external(
        OPERATION,
        "service name",
        |w| change(w, json!({ "XksProxyVpcEndpointServiceName": SERVICE })),
        [VALIDATION; 5],
    ),
    external(
        OPERATION,
        "service owner",
        |w| change(w, json!({ "XksProxyVpcEndpointServiceOwner": "444455556666" })),
        [VALIDATION; 5],
    ),
    // Of the other type: 1.4 has no name for it; here it is ValidationException, before the state is looked at.
    external(
        OPERATION,
        "password",
        |w| change(w, json!({ "KeyStorePassword": "correcthorse2" })),
        [VALIDATION; 5],
    ),
    external(
        OPERATION,
        "cluster",
        |w| change(w, json!({ "CloudHsmClusterId": "cluster-bbcdefghij2" })),
        [VALIDATION; 5],
    ),
    cloud_hsm(OPERATION, "credential", |w| change(w, credential()), [VALIDATION; 5]),
    cloud_hsm(
        OPERATION,
        "path",
        |w| change(w, json!({ "XksProxyUriPath": "/new/kms/xks/v1" })),
        [VALIDATION; 5],
    ),
    cloud_hsm(OPERATION, "endpoint", |w| change(w, endpoint()), [VALIDATION; 5]),
    cloud_hsm(OPERATION, "connectivity", |w| change(w, to_vpc()), [VALIDATION; 5]),
    cloud_hsm(
        OPERATION,
        "service name",
        |w| change(w, json!({ "XksProxyVpcEndpointServiceName": SERVICE })),
        [VALIDATION; 5],
    ),
    cloud_hsm(
        OPERATION,
        "service owner",
        |w| change(w, json!({ "XksProxyVpcEndpointServiceOwner": "444455556666" })),
        [VALIDATION; 5],
    ),
    // Not stated (1.4): nothing at all; and one property of several that is not allowed, which is all of it refused.
    both(OPERATION, "nothing", |w| change(w, json!({})), [VALIDATION; 5]),
    external(
        OPERATION,
        "name and endpoint",
        |w| {
            let mut both = endpoint();
            both["NewCustomKeyStoreName"] = "new".into();
            change(w, both)
        },
        [OK, ISE, ISE, ISE, ISE],
    )
    .seen(|w| shows(w, "/CustomKeyStores/0/CustomKeyStoreName", "new")),
    cloud_hsm(
        OPERATION,
        "name and password",
        |w| change(w, json!({ "NewCustomKeyStoreName": "new", "KeyStorePassword": "correcthorse2" })),
        [OK, ISE, ISE, ISE, ISE],
    )
    .seen(|w| shows(w, "/CustomKeyStores/0/CustomKeyStoreName", "new")),
];

const ACCESS_KEY_ID: &str = "AKIDOFATEST333333333";
const ENDPOINT: &str = "https://new.example.com";
const SERVICE: &str = "com.amazonaws.vpce.us-east-1.vpce-svc-4d5e6f7a";

fn credential() -> Value {
    let credential = json!({ "AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": "t".repeat(43) });
    json!({ "XksProxyAuthenticationCredential": credential })
}

fn endpoint() -> Value {
    json!({ "XksProxyUriEndpoint": ENDPOINT })
}

fn to_vpc() -> Value {
    json!({
        "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
        "XksProxyUriEndpoint": ENDPOINT,
        "XksProxyVpcEndpointServiceName": SERVICE,
    })
}

fn to_public() -> Value {
    json!({ "XksProxyConnectivity": "PUBLIC_ENDPOINT", "XksProxyUriEndpoint": ENDPOINT })
}
