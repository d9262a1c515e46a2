//! What is wrong with the creation and the change of a store.

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{
    Change, CloudHsmClusterId, ConnectionErrorCode as Code, StoreName, UriEndpoint, UriPath,
    VpcEndpointServiceName,
};
use custom_key_store::kms::Action::{CreateCustomKeyStore as Create, UpdateCustomKeyStore as Update};
use custom_key_store::kms::Exception::{self, *};
use custom_key_store::kms::{Action, CreateCustomKeyStore, Refusal};
use custom_key_store::{PageRequest, StoreId};
use futures::FutureExt as _;

use super::rig::Rig;
use super::samples::Call;
use crate::kms::support::{cloud_hsm, credential, external, password};

/// Something that is wrong, and the call that finds it.
pub(super) struct Case {
    pub(super) action: Action,
    pub(super) exception: Exception,
    pub(super) wrong: fn(&Rig),
    pub(super) call: for<'a> fn(&'a Rig) -> Call<'a>,
}

const fn case(
    action: Action,
    exception: Exception,
    wrong: fn(&Rig),
    call: for<'a> fn(&'a Rig) -> Call<'a>,
) -> Case {
    Case { action, exception, wrong, call }
}

/// In a [`Rig`] with another store behind a VPC endpoint service, as [`furnish`] makes it.
pub(super) const CASES: &[Case] = &[
    // What another store has. (8.1)
    case(Create, CustomKeyStoreNameInUse, nothing, |r| create(r, cloud_hsm("root", "abcdefghij4"))),
    case(Create, XksProxyUriInUse, nothing, |r| create(r, at("new", "https://xks.example.com", "root"))),
    // Whatever the case of the host.
    case(Create, XksProxyUriInUse, nothing, |r| create(r, at("new", "https://XKS.example.com", "root"))),
    case(Create, XksProxyUriEndpointInUse, nothing, |r| {
        create(r, at("new", "https://private.example.com", "new"))
    }),
    case(Create, XksProxyUriEndpointInUse, nothing, |r| {
        create(r, through("new", "https://xks.example.com", "4d"))
    }),
    case(Create, XksProxyUriEndpointInUse, nothing, |r| {
        create(r, through("new", "https://private.example.com", "4d"))
    }),
    case(Create, XksProxyVpcEndpointServiceInUse, nothing, |r| {
        create(r, through("new", "https://other.example.com", "0a"))
    }),
    case(Create, CloudHsmClusterInUse, nothing, |r| create(r, cloud_hsm("new", "abcdefghij2"))),
    case(Update, CustomKeyStoreNameInUse, nothing, |r| update(r, &r.idle, named("root"))),
    case(Update, XksProxyUriInUse, nothing, |r| update(r, &r.idle, Change::new().uri_path(path("root")))),
    case(Update, XksProxyUriEndpointInUse, nothing, |r| {
        update(r, &r.idle, Change::new().uri_endpoint(endpoint("https://private.example.com")))
    }),
    case(Update, XksProxyVpcEndpointServiceInUse, nothing, |r| {
        let there = endpoint("https://other.example.com");
        update(r, &r.idle, Change::new().vpc_endpoint_service(there, service("0a")))
    }),
    // Another store's cluster shares no backup with this one, or that store could not be. (1.4 has no other name)
    case(Update, CloudHsmClusterNotRelated, nothing, |r| {
        update(r, &r.idle_cluster, Change::new().cluster_id(cluster("abcdefghij2")))
    }),
    // What a proxy answers; all of it in `proxies`. (1.3)
    case(Create, XksProxyUriUnreachable, no_route, |r| create(r, external("new"))),
    case(Create, XksProxyIncorrectAuthenticationCredential, no_login, |r| create(r, external("new"))),
    case(Create, XksProxyInvalidConfiguration, no_path, |r| create(r, external("new"))),
    case(Create, XksProxyInvalidResponse, nonsense, |r| create(r, external("new"))),
    case(Update, XksProxyUriUnreachable, no_route, |r| update(r, &r.idle, moved())),
    case(Update, XksProxyIncorrectAuthenticationCredential, no_login, |r| update(r, &r.idle, moved())),
    case(Update, XksProxyInvalidConfiguration, no_path, |r| update(r, &r.store, moved())),
    case(Update, XksProxyInvalidResponse, nonsense, |r| update(r, &r.store, moved())),
    // What lies around. (7, 8.2)
    case(Create, CloudHsmClusterNotFound, no_cluster, |r| create(r, cloud_hsm("new", "abcdefghij4"))),
    case(Create, CloudHsmClusterNotActive, not_active, |r| create(r, cloud_hsm("new", "abcdefghij4"))),
    case(Create, CloudHsmClusterInvalidConfiguration, one_hsm, |r| {
        create(r, cloud_hsm("new", "abcdefghij4"))
    }),
    case(Create, IncorrectTrustAnchor, other_anchor, |r| create(r, cloud_hsm("new", "abcdefghij4"))),
    case(Create, XksProxyVpcEndpointServiceNotFound, no_service, |r| {
        create(r, through("new", "https://other.example.com", "4d"))
    }),
    case(Create, XksProxyVpcEndpointServiceInvalidConfiguration, a_gateway, |r| {
        create(r, through("new", "https://other.example.com", "4d"))
    }),
    case(Create, XksProxyUriUnreachable, may_not, |r| create(r, external("new"))),
    // The model has no UnsupportedOperationException for it: an application need not have key managers of every kind.
    case(Create, Validation, no_such_kind, |r| create(r, external("new"))),
    case(Update, Validation, no_such_kind, |r| update(r, &r.idle_cluster, replaced())),
    case(Create, KmsInternal, cannot_look, |r| create(r, external("new"))),
    // The model says nothing of a time limit.
    case(Create, KmsInternal, cannot_look_in_time, |r| create(r, external("new"))),
    case(Update, CloudHsmClusterNotFound, no_cluster, |r| update(r, &r.idle_cluster, replaced())),
    case(Update, CloudHsmClusterNotActive, not_active, |r| update(r, &r.idle_cluster, replaced())),
    case(Update, CloudHsmClusterInvalidConfiguration, one_hsm, |r| update(r, &r.idle_cluster, replaced())),
    case(Update, CloudHsmClusterNotRelated, not_related, |r| update(r, &r.idle_cluster, replaced())),
    // The certificate is that of the cluster that is replaced.
    case(Update, CloudHsmClusterNotRelated, other_anchor, |r| update(r, &r.idle_cluster, replaced())),
    case(Update, XksProxyVpcEndpointServiceNotFound, no_service, |r| update(r, &r.idle, moved())),
    case(Update, XksProxyVpcEndpointServiceInvalidConfiguration, a_gateway, |r| update(r, &r.idle, moved())),
    case(Update, KmsInternal, cannot_look_in_time, |r| update(r, &r.idle, moved())),
    // What the state does not allow; all of it in `matrix`.
    case(Update, CustomKeyStoreInvalidState, nothing, |r| {
        update(r, &r.store, Change::new().uri_endpoint(endpoint("https://new.example.com")))
    }),
    // What the types of stores do not let anybody ask for.
    case(Update, Validation, nothing, |r| update(r, &r.store, Change::new())),
    case(Update, Validation, nothing, |r| update(r, &r.store, Change::new().password(password()))),
];

/// Checks every case; nothing comes of one.
pub(super) async fn all(rig: &Rig) {
    furnish(rig).await;
    let stores = async || rig.kms.describe_custom_key_stores(&PageRequest::default()).await.unwrap().items;
    for Case { action, exception, wrong, call } in CASES {
        let before = stores().await;
        wrong(rig);
        rig.refuses(*action, *exception, call(rig)).await;
        rig.mend();
        assert_eq!(stores().await, before, "{action} was refused as {exception}");
    }
}

async fn furnish(rig: &Rig) {
    create(rig, through("private", "https://private.example.com", "0a")).await.unwrap();
}

fn nothing(_: &Rig) {}

fn refuse(rig: &Rig, code: Code) {
    rig.manager.inject(Method::Connect, Fault::Refuse(code));
}

fn no_route(rig: &Rig) {
    refuse(rig, Code::XksProxyNotReachable);
}

fn no_login(rig: &Rig) {
    refuse(rig, Code::InvalidCredentials);
}

fn no_path(rig: &Rig) {
    refuse(rig, Code::XksProxyInvalidConfiguration);
}

fn nonsense(rig: &Rig) {
    rig.manager.inject(Method::Connect, Fault::Corrupt);
}

fn no_cluster(rig: &Rig) {
    rig.surroundings.set(Refusal::ClusterNotFound);
}

fn not_active(rig: &Rig) {
    rig.surroundings.set(Refusal::ClusterNotActive);
}

fn one_hsm(rig: &Rig) {
    rig.surroundings.set(Refusal::ClusterInvalidConfiguration("one HSM is active".to_owned()));
}

fn other_anchor(rig: &Rig) {
    rig.surroundings.set(Refusal::IncorrectTrustAnchor);
}

fn not_related(rig: &Rig) {
    rig.surroundings.set(Refusal::ClusterNotRelated);
}

fn no_service(rig: &Rig) {
    rig.surroundings.set(Refusal::VpcEndpointServiceNotFound);
}

fn a_gateway(rig: &Rig) {
    rig.surroundings.set(Refusal::VpcEndpointServiceInvalidConfiguration("it is a gateway".to_owned()));
}

fn may_not(rig: &Rig) {
    rig.surroundings.set(Refusal::Unreachable("it is a private address".to_owned()));
}

fn no_such_kind(rig: &Rig) {
    rig.surroundings.set(Refusal::Unsupported("no key manager of this kind".to_owned()));
}

fn cannot_look(rig: &Rig) {
    rig.surroundings.set(Refusal::Internal);
}

fn cannot_look_in_time(rig: &Rig) {
    rig.surroundings.hang();
}

fn create(rig: &Rig, request: CreateCustomKeyStore) -> Call<'_> {
    async { rig.kms.create_custom_key_store(request).await.map(drop) }.boxed_local()
}

fn update<'a>(rig: &'a Rig, store: &'a StoreId, change: Change) -> Call<'a> {
    rig.kms.update_custom_key_store(store, change).boxed_local()
}

fn at(name: &str, there: &str, prefix: &str) -> CreateCustomKeyStore {
    let name = StoreName::new(name).unwrap();
    CreateCustomKeyStore::external(name, endpoint(there), path(prefix), credential())
}

fn through(name: &str, there: &str, tail: &str) -> CreateCustomKeyStore {
    at(name, there, name).through_vpc_endpoint_service(service(tail), None)
}

fn named(name: &str) -> Change {
    Change::new().name(StoreName::new(name).unwrap())
}

/// A change for which a proxy is asked.
fn moved() -> Change {
    Change::new().uri_path(path("moved"))
}

/// Another cluster, of the same backups.
fn replaced() -> Change {
    Change::new().cluster_id(cluster("abcdefghij4"))
}

fn endpoint(text: &str) -> UriEndpoint {
    UriEndpoint::new(text).unwrap()
}

fn path(prefix: &str) -> UriPath {
    UriPath::new(format!("/{prefix}/kms/xks/v1")).unwrap()
}

fn service(tail: &str) -> VpcEndpointServiceName {
    VpcEndpointServiceName::new(format!("com.amazonaws.vpce.us-east-1.vpce-svc-{tail}")).unwrap()
}

fn cluster(tail: &str) -> CloudHsmClusterId {
    CloudHsmClusterId::new(format!("cluster-{tail}")).unwrap()
}
