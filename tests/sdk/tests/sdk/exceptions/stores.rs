//! What stores are refused for.

use aws_sdk_kms::types::{ConnectionStateType, XksProxyConnectivityType};
use custom_key_store::backend::ConnectionErrorCode as Code;
use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::kms::Refusal;

use super::{Reached, refused};
use crate::support::*;

pub(super) async fn created(reached: &mut Reached) {
    let endpoint = Endpoint::start_with(|backends| backends, |kms| kms.max_stores(3)).await;
    let client = endpoint.client();
    external(&client, "payroll").send().await.unwrap();
    cluster(&client, "hardware", "one").send().await.unwrap();

    macro_rules! create {
        ($call:expr, $verdict:ident) => {
            refused!(reached, CreateCustomKeyStore, $call, $verdict)
        };
    }
    let proxy = |name: &'static str| external(&client, name);
    create!(proxy("payroll").xks_proxy_uri_path(path("other")), is_custom_key_store_name_in_use_exception);
    create!(proxy("other").xks_proxy_uri_path(path("payroll")), is_xks_proxy_uri_in_use_exception);
    create!(cluster(&client, "other", "one"), is_cloud_hsm_cluster_in_use_exception);
    let inside = through_service(&client, "inside", "0a").xks_proxy_uri_endpoint("https://xks.example.com");
    create!(inside, is_xks_proxy_uri_endpoint_in_use_exception);

    macro_rules! of_proxy {
        ($($code:ident => $verdict:ident,)*) => {$(
            endpoint.manager.inject(Method::Connect, Fault::Refuse(Code::$code));
            create!(proxy("other"), $verdict);
        )*};
    }
    of_proxy! {
        InvalidCredentials => is_xks_proxy_incorrect_authentication_credential_exception,
        XksProxyInvalidConfiguration => is_xks_proxy_invalid_configuration_exception,
        XksProxyInvalidTlsConfiguration => is_xks_proxy_invalid_configuration_exception,
        XksProxyInvalidResponse => is_xks_proxy_invalid_response_exception,
        XksProxyNotReachable => is_xks_proxy_uri_unreachable_exception,
        XksProxyTimedOut => is_xks_proxy_uri_unreachable_exception,
        InternalError => is_kms_internal_exception,
    }

    macro_rules! of_surroundings {
        ($($refusal:expr, $call:expr => $verdict:ident;)*) => {$(
            endpoint.surroundings.refuse($refusal);
            create!($call, $verdict);
            endpoint.surroundings.mend();
        )*};
    }
    let hsms = || cluster(&client, "other", "two");
    let service = || through_service(&client, "inside", "0a");
    of_surroundings! {
        Refusal::ClusterNotFound, hsms() => is_cloud_hsm_cluster_not_found_exception;
        Refusal::ClusterNotActive, hsms() => is_cloud_hsm_cluster_not_active_exception;
        Refusal::ClusterInvalidConfiguration("one HSM".to_owned()), hsms() =>
            is_cloud_hsm_cluster_invalid_configuration_exception;
        Refusal::IncorrectTrustAnchor, hsms() => is_incorrect_trust_anchor_exception;
        Refusal::VpcEndpointServiceNotFound, service() => is_xks_proxy_vpc_endpoint_service_not_found_exception;
        Refusal::VpcEndpointServiceInvalidConfiguration("gateway".to_owned()), service() =>
            is_xks_proxy_vpc_endpoint_service_invalid_configuration_exception;
    }
    service().send().await.unwrap();
    let same_service = through_service(&client, "beside", "0a");
    create!(same_service, is_limit_exceeded_exception);
    let gone = described_named(&client, "hardware").await;
    client.delete_custom_key_store().custom_key_store_id(gone).send().await.unwrap();
    create!(through_service(&client, "beside", "0a"), is_xks_proxy_vpc_endpoint_service_in_use_exception);
    endpoint.stop().await;
}

async fn described_named(client: &aws_sdk_kms::Client, name: &str) -> String {
    let answer = client.describe_custom_key_stores().custom_key_store_name(name).send().await.unwrap();
    answer.custom_key_stores()[0].custom_key_store_id().unwrap().to_owned()
}

pub(super) async fn updated(reached: &mut Reached) {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let payroll = external(&client, "payroll").send().await.unwrap().custom_key_store_id.unwrap();
    let hardware = cluster(&client, "hardware", "one").send().await.unwrap().custom_key_store_id.unwrap();
    external(&client, "other").send().await.unwrap();
    let inside = through_service(&client, "inside", "0a").send().await.unwrap().custom_key_store_id.unwrap();
    through_service(&client, "beside", "0b").send().await.unwrap();

    let of = |store: &str| client.update_custom_key_store().custom_key_store_id(store);
    macro_rules! update {
        ($call:expr, $verdict:ident) => {
            refused!(reached, UpdateCustomKeyStore, $call, $verdict)
        };
    }
    update!(
        of("cks-1234567890abcdef0").new_custom_key_store_name("x"),
        is_custom_key_store_not_found_exception
    );
    update!(of(&payroll).new_custom_key_store_name("other"), is_custom_key_store_name_in_use_exception);
    update!(of(&payroll).xks_proxy_uri_path(path("other")), is_xks_proxy_uri_in_use_exception);
    let used = of(&payroll).xks_proxy_uri_endpoint("https://inside.example.com");
    update!(used, is_xks_proxy_uri_endpoint_in_use_exception);
    let used = of(&inside).xks_proxy_vpc_endpoint_service_name(service_name("0b"));
    update!(used, is_xks_proxy_vpc_endpoint_service_in_use_exception);

    macro_rules! of_proxy {
        ($($code:ident => $verdict:ident,)*) => {$(
            endpoint.manager.inject(Method::Connect, Fault::Refuse(Code::$code));
            update!(of(&payroll).xks_proxy_uri_path(path("moved")), $verdict);
        )*};
    }
    of_proxy! {
        InvalidCredentials => is_xks_proxy_incorrect_authentication_credential_exception,
        XksProxyInvalidConfiguration => is_xks_proxy_invalid_configuration_exception,
        XksProxyInvalidResponse => is_xks_proxy_invalid_response_exception,
        XksProxyNotReachable => is_xks_proxy_uri_unreachable_exception,
    }
    macro_rules! of_surroundings {
        ($($refusal:expr, $call:expr => $verdict:ident;)*) => {$(
            endpoint.surroundings.refuse($refusal);
            update!($call, $verdict);
            endpoint.surroundings.mend();
        )*};
    }
    let hsms = || of(&hardware).cloud_hsm_cluster_id(cluster_id("two"));
    let service = || of(&inside).xks_proxy_vpc_endpoint_service_name(service_name("0c"));
    of_surroundings! {
        Refusal::ClusterNotFound, hsms() => is_cloud_hsm_cluster_not_found_exception;
        Refusal::ClusterNotActive, hsms() => is_cloud_hsm_cluster_not_active_exception;
        Refusal::ClusterNotRelated, hsms() => is_cloud_hsm_cluster_not_related_exception;
        Refusal::ClusterInvalidConfiguration("one HSM".to_owned()), hsms() =>
            is_cloud_hsm_cluster_invalid_configuration_exception;
        Refusal::VpcEndpointServiceNotFound, service() => is_xks_proxy_vpc_endpoint_service_not_found_exception;
        Refusal::VpcEndpointServiceInvalidConfiguration("gateway".to_owned()), service() =>
            is_xks_proxy_vpc_endpoint_service_invalid_configuration_exception;
    }
    connect(&client, &payroll).await;
    let to_service = of(&payroll)
        .xks_proxy_connectivity(XksProxyConnectivityType::VpcEndpointService)
        .xks_proxy_uri_endpoint("https://new.example.com")
        .xks_proxy_vpc_endpoint_service_name(service_name("0d"));
    update!(to_service, is_custom_key_store_invalid_state_exception);
    endpoint.stop().await;
}

pub(super) async fn managed(reached: &mut Reached) {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (payroll, _) = endpoint.store_with_key(&client, "payroll").await;
    let hardware = cluster(&client, "hardware", "one").send().await.unwrap().custom_key_store_id.unwrap();
    let none = "cks-1234567890abcdef0";

    let to_connect = |store: &str| client.connect_custom_key_store().custom_key_store_id(store);
    let to_disconnect = |store: &str| client.disconnect_custom_key_store().custom_key_store_id(store);
    let to_delete = |store: &str| client.delete_custom_key_store().custom_key_store_id(store);
    refused!(reached, ConnectCustomKeyStore, to_connect(none), is_custom_key_store_not_found_exception);
    refused!(reached, DisconnectCustomKeyStore, to_disconnect(none), is_custom_key_store_not_found_exception);
    refused!(reached, DeleteCustomKeyStore, to_delete(none), is_custom_key_store_not_found_exception);

    endpoint.surroundings.refuse(Refusal::ClusterNotActive);
    refused!(
        reached,
        ConnectCustomKeyStore,
        to_connect(&hardware),
        is_cloud_hsm_cluster_not_active_exception
    );
    endpoint.surroundings.refuse(Refusal::ClusterInvalidConfiguration("no HSM".to_owned()));
    refused!(
        reached,
        ConnectCustomKeyStore,
        to_connect(&hardware),
        is_cloud_hsm_cluster_invalid_configuration_exception
    );
    endpoint.surroundings.mend();
    endpoint.manager.inject(Method::Connect, Fault::Refuse(Code::UserLockedOut));
    to_connect(&hardware).send().await.unwrap();
    until(&client, &hardware, ConnectionStateType::Failed).await;
    refused!(
        reached,
        ConnectCustomKeyStore,
        to_connect(&hardware),
        is_custom_key_store_invalid_state_exception
    );
    disconnect(&client, &hardware).await;
    let again = to_disconnect(&hardware);
    refused!(reached, DisconnectCustomKeyStore, again, is_custom_key_store_invalid_state_exception);

    refused!(reached, DeleteCustomKeyStore, to_delete(&payroll), is_custom_key_store_invalid_state_exception);
    disconnect(&client, &payroll).await;
    refused!(reached, DeleteCustomKeyStore, to_delete(&payroll), is_custom_key_store_has_cm_ks_exception);

    let describe = || client.describe_custom_key_stores();
    let unknown = describe().custom_key_store_name("nobody");
    refused!(reached, DescribeCustomKeyStores, unknown, is_custom_key_store_not_found_exception);
    refused!(reached, DescribeCustomKeyStores, describe().marker("forged"), is_invalid_marker_exception);
    endpoint.stop().await;
}
