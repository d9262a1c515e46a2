//! What is done with stores, in each connection state. (AWS KMS custom key stores, facts 2.1)

use custom_key_store::ConnectionState::{Connected, Connecting, Disconnected, Disconnecting};
use serde_json::json;

use super::table::{
    CLUSTER_IN_USE, Cell, GONE, ISE, OK, StoreRow, URI_IN_USE, both, cloud_hsm, external, moves, through_vpc,
};
use super::world::{NAME, World};

const ENDS: Cell = moves(&[Disconnecting, Disconnected]);

/// Of stores without keys; those that have some are among [`USES`](super::uses::USES).
///
/// `DISCONNECTED`, `CONNECTING`, `CONNECTED`, `DISCONNECTING`, `FAILED`.
pub(super) const STORES: &[StoreRow] = &[
    // Describe: OK in every state. (That the error code is there in FAILED alone: `exceptions`.)
    both("DescribeCustomKeyStores", "of all", |_| json!({}), [OK, OK, OK, OK, OK]),
    both(
        "DescribeCustomKeyStores",
        "by id",
        |w| json!({ "CustomKeyStoreId": w.store }),
        [OK, OK, OK, OK, OK],
    ),
    both(
        "DescribeCustomKeyStores",
        "by name",
        |_| json!({ "CustomKeyStoreName": NAME }),
        [OK, OK, OK, OK, OK],
    ),
    // Connect: CONNECTING and CONNECTED are accepted and nothing happens. (2.4, C1)
    both(
        "ConnectCustomKeyStore",
        "",
        |w| json!({ "CustomKeyStoreId": w.store }),
        [moves(&[Connecting, Connected]), OK, OK, ISE, ISE],
    ),
    // Disconnect: not idempotent (C5). That it leads through DISCONNECTING from every state is ours to say (0).
    both(
        "DisconnectCustomKeyStore",
        "",
        |w| json!({ "CustomKeyStoreId": w.store }),
        [ISE, ENDS, ENDS, ISE, ENDS],
    ),
    // Delete, of an empty store. (C6 for FAILED)
    both(
        "DeleteCustomKeyStore",
        "without keys",
        |w| json!({ "CustomKeyStoreId": w.store }),
        [GONE, ISE, ISE, ISE, ISE],
    ),
    // Create with identical values: a CloudHSM key store that is DISCONNECTED is taken for the one that is wanted.
    cloud_hsm(
        "CreateCustomKeyStore",
        "once more",
        |w| World::creation(w.place.of),
        [OK, CLUSTER_IN_USE, CLUSTER_IN_USE, CLUSTER_IN_USE, CLUSTER_IN_USE],
    ),
    external(
        "CreateCustomKeyStore",
        "once more",
        |w| World::creation(w.place.of),
        [URI_IN_USE, URI_IN_USE, URI_IN_USE, URI_IN_USE, URI_IN_USE],
    ),
    through_vpc(
        "CreateCustomKeyStore",
        "once more",
        |w| World::creation(w.place.of),
        [URI_IN_USE, URI_IN_USE, URI_IN_USE, URI_IN_USE, URI_IN_USE],
    ),
    // Create another one: no state of a store is in the way.
    both(
        "CreateCustomKeyStore",
        "beside it",
        |_| {
            let mut another = World::creation(super::table::Of::External);
            another["CustomKeyStoreName"] = "another".into();
            another["XksProxyUriPath"] = "/another/kms/xks/v1".into();
            another
        },
        [OK, OK, OK, OK, OK],
    ),
];
