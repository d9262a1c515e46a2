//! What the SDK tries again, and what it leaves at one attempt. It tries three times.

use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::error::ProvideErrorMetadata as _;
use aws_sdk_kms::primitives::Blob;
use custom_key_store::backend::BackendErrorKind;
use custom_key_store::backend::software::{Fault, Method};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_and_throttling_of_a_cluster_are_tried_again() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.patient_client();
    let (_, key) = endpoint.cluster_with_key(&client, "hardware").await;
    for (kind, name) in [
        (BackendErrorKind::Internal, "KMSInternalException"),
        (BackendErrorKind::Throttled, "ThrottlingException"),
    ] {
        let encrypt = || client.encrypt().key_id(&key.key_id).plaintext(Blob::new("x")).send();
        let calls = || endpoint.manager.calls(Method::Encrypt);
        let fault = || Some(Fault::Fail(kind));

        let before = calls();
        endpoint.manager.script(Method::Encrypt, [fault(), fault()]);
        encrypt().await.unwrap();
        assert_eq!(calls() - before, 3, "{name}: twice in vain");

        let before = calls();
        endpoint.manager.script(Method::Encrypt, [fault(), fault(), fault()]);
        assert_eq!(encrypt().await.unwrap_err().code(), Some(name));
        assert_eq!(calls() - before, 3, "{name}: and then no more");
    }
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_the_endpoint_are_tried_again() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.patient_client();
    let (_, key) = endpoint.store_with_key(&client, "payroll").await;
    for trouble in [Trouble::Broken, Trouble::Hanging] {
        endpoint.directory.requests();
        endpoint.directory.fail([trouble, trouble]);
        client.describe_key().key_id(&key.key_id).send().await.unwrap();
        assert_eq!(endpoint.directory.requests(), 3, "{trouble:?}");
    }
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_caller_has_to_mend_is_not_tried_again() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.patient_client();
    let (store, key) = endpoint.store_with_key(&client, "payroll").await;
    let requests = || endpoint.directory.requests();

    // The throttling of an external key manager included: AWS has one exception for all that it answers.
    endpoint.manager.inject(Method::Encrypt, Fault::Fail(BackendErrorKind::Throttled));
    requests();
    let error = client.encrypt().key_id(&key.key_id).plaintext(Blob::new("x")).send().await.unwrap_err();
    assert!(error.into_service_error().is_kms_invalid_state_exception());
    assert_eq!(requests(), 1);

    let error = client.connect_custom_key_store().custom_key_store_id("cks-0").send().await.unwrap_err();
    assert!(error.into_service_error().is_custom_key_store_not_found_exception());
    assert_eq!(requests(), 1);
    disconnect(&client, &store).await;
    requests();
    let error = client.encrypt().key_id(&key.key_id).plaintext(Blob::new("x")).dry_run(true).send().await;
    assert!(error.unwrap_err().into_service_error().is_kms_invalid_state_exception());
    assert_eq!(requests(), 1);
    endpoint.stop().await;
}

/// Refused before the key manager is asked, and tried again until there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_is_used_up_is_waited_for() {
    let endpoint = Endpoint::start_with(|backends| backends, |kms| kms.quota(uses_a_second(1))).await;
    let client = endpoint.client();
    let (_, key) = endpoint.store_with_key(&client, "payroll").await;
    let encrypt =
        |client: &aws_sdk_kms::Client| client.encrypt().key_id(&key.key_id).plaintext(Blob::new("x")).send();
    let mut refusal = None;
    for _ in 0..100 {
        let asked = endpoint.manager.calls(Method::Encrypt);
        if let Err(error) = encrypt(&client).await {
            assert_eq!(endpoint.manager.calls(Method::Encrypt), asked);
            refusal = Some(error);
            break;
        }
    }
    let refusal = refusal.expect("a hundred calls take less than a hundred seconds");
    assert_eq!(refusal.code(), Some("ThrottlingException"));

    let retries = RetryConfig::standard().with_max_attempts(20);
    let patient = endpoint.client_with(|config| config.retry_config(retries));
    let mut attempts = 1;
    for _ in 0..100 {
        endpoint.directory.requests();
        encrypt(&patient).await.unwrap();
        attempts = endpoint.directory.requests();
        if attempts > 1 {
            break;
        }
    }
    assert!(attempts > 1);
    endpoint.stop().await;
}
