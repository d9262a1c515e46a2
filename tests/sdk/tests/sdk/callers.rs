//! Who calls, and what he sees when he cannot.

use std::time::{Duration, SystemTime};

use aws_sdk_kms::config::{Credentials, Region};
use aws_sdk_kms::error::ProvideErrorMetadata as _;
use aws_sdk_kms::operation::RequestId as _;
use aws_smithy_async::time::StaticTimeSource;
use custom_key_store::kms::{Rule, Rules};

use crate::support::*;

/// What a request that is signed like this is refused for, and in what words.
async fn refusal(client: &aws_sdk_kms::Client) -> (String, String) {
    let error = client.list_keys().send().await.unwrap_err();
    assert!(error.request_id().is_some());
    // It is an answer of the service, though none that its model has.
    let typed = error.into_service_error();
    (typed.code().unwrap().to_owned(), typed.message().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_cannot_sign_is_told_what_is_wrong_in_the_words_of_aws() {
    let endpoint = Endpoint::start().await;
    let with =
        |credentials: Credentials| endpoint.client_with(|config| config.credentials_provider(credentials));

    let (code, message) = refusal(&with(credentials("AKIAI44QH8DHBEXAMPLE", SECRET))).await;
    assert_eq!(code, "UnrecognizedClientException");
    assert_eq!(message, "The security token included in the request is invalid.");

    let (code, message) = refusal(&with(credentials(ACCESS_KEY_ID, "wrong"))).await;
    assert_eq!(code, "InvalidSignatureException");
    assert!(message.starts_with("The request signature we calculated does not match"), "{message}");

    let token = Credentials::new(ACCESS_KEY_ID, SECRET, Some("token".to_owned()), None, "test");
    assert_eq!(refusal(&with(token)).await.0, "UnrecognizedClientException");

    let elsewhere = endpoint.client_with(|config| config.region(Region::new("us-east-1")));
    let (code, message) = refusal(&elsewhere).await;
    assert_eq!(code, "InvalidSignatureException");
    assert!(message.contains("Region"), "{message}");
    endpoint.stop().await;
}

/// Ten minutes slow, ten minutes fast, and two days: the SDK sees by the answer's date how far its clock is off, and signs anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_said_so_and_the_sdk_mends_it() {
    let endpoint = Endpoint::start().await;
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let now = SystemTime::now();
    for (wrong, word) in [
        (now - minutes(10), "expired"),
        (now + minutes(10), "not yet current"),
        (now - minutes(2 * 24 * 60), "expired"),
    ] {
        let by = || StaticTimeSource::new(wrong);
        let stubborn =
            endpoint.client_with(|config| config.time_source(by()).disable_clock_skew_correction(true));
        let (code, message) = refusal(&stubborn).await;
        assert_eq!(code, "InvalidSignatureException");
        assert!(message.contains(word), "{message}");

        let retries = aws_sdk_kms::config::retry::RetryConfig::standard();
        let client = endpoint.client_with(|config| {
            config.time_source(by()).retry_config(retries.with_initial_backoff(Duration::from_millis(1)))
        });
        client.list_keys().send().await.unwrap();
    }
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_rules_do_not_allow_is_denied() {
    let rules = Rules::new(vec![Rule::allow([PRINCIPAL], ["ListKeys", "DescribeCustomKeyStores"]).unwrap()]);
    let endpoint = Endpoint::start_with(|backends| backends, |kms| kms.authorizer(rules)).await;
    let client = endpoint.client();
    client.list_keys().send().await.unwrap();
    client.describe_custom_key_stores().send().await.unwrap();
    let denied = external(&client, "payroll").send().await.unwrap_err();
    assert_eq!(denied.code(), Some("AccessDeniedException"));
    assert!(denied.request_id().is_some());
    endpoint.stop().await;
}
