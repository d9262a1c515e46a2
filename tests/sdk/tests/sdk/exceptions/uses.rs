//! What the use of keys is refused for.

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, EncryptionAlgorithmSpec};
use custom_key_store::backend::BackendErrorKind;
use custom_key_store::backend::software::{Fault, Method};

use super::{Reached, refused};
use crate::support::*;

pub(super) async fn refused_by_key_and_ciphertext(reached: &mut Reached) {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (_, key) = endpoint.store_with_key(&client, "payroll").await;
    let (_, other) = endpoint.store_with_key(&client, "other").await;
    let (key, other) = (key.key_id, other.key_id);
    let plaintext = || Blob::new("attack at dawn");
    let sealed = client.encrypt().key_id(&key).plaintext(plaintext()).send().await.unwrap();
    let blob = || sealed.ciphertext_blob().unwrap().clone();
    let nowhere = "alias/nobody";

    let encrypt = || client.encrypt().key_id(&key).plaintext(plaintext());
    let decrypt = || client.decrypt().ciphertext_blob(blob());
    let re_encrypt = || client.re_encrypt().ciphertext_blob(blob()).destination_key_id(&other);
    let data_key = || client.generate_data_key().key_id(&key).key_spec(DataKeySpec::Aes256);
    let wrapped = || client.generate_data_key_without_plaintext().key_id(&key).number_of_bytes(32);
    macro_rules! all {
        ($verdict:ident $(, $dry_run:ident)?) => {
            refused!(reached, Encrypt, encrypt()$(.$dry_run(true))?, $verdict);
            refused!(reached, Decrypt, decrypt()$(.$dry_run(true))?, $verdict);
            refused!(reached, ReEncrypt, re_encrypt()$(.$dry_run(true))?, $verdict);
            refused!(reached, GenerateDataKey, data_key()$(.$dry_run(true))?, $verdict);
            refused!(reached, GenerateDataKeyWithoutPlaintext, wrapped()$(.$dry_run(true))?, $verdict);
        };
    }
    all!(is_dry_run_operation_exception, dry_run);

    refused!(reached, Encrypt, encrypt().key_id(nowhere), is_not_found_exception);
    refused!(reached, Decrypt, decrypt().key_id(nowhere), is_not_found_exception);
    refused!(reached, ReEncrypt, re_encrypt().destination_key_id(nowhere), is_not_found_exception);
    refused!(reached, GenerateDataKey, data_key().key_id(nowhere), is_not_found_exception);
    refused!(reached, GenerateDataKeyWithoutPlaintext, wrapped().key_id(nowhere), is_not_found_exception);

    refused!(reached, Decrypt, decrypt().key_id(&other), is_incorrect_key_exception);
    refused!(reached, ReEncrypt, re_encrypt().source_key_id(&other), is_incorrect_key_exception);
    let scrap = || Blob::new("scrap");
    refused!(reached, Decrypt, decrypt().ciphertext_blob(scrap()), is_invalid_ciphertext_exception);
    refused!(reached, ReEncrypt, re_encrypt().ciphertext_blob(scrap()), is_invalid_ciphertext_exception);
    let rsa = || EncryptionAlgorithmSpec::RsaesOaepSha256;
    refused!(reached, Encrypt, encrypt().encryption_algorithm(rsa()), is_invalid_key_usage_exception);
    refused!(reached, Decrypt, decrypt().encryption_algorithm(rsa()), is_invalid_key_usage_exception);
    let other_way = re_encrypt().destination_encryption_algorithm(rsa());
    refused!(reached, ReEncrypt, other_way, is_invalid_key_usage_exception);

    // Whatever an external key manager answers is one exception.
    for kind in [BackendErrorKind::Throttled, BackendErrorKind::KeyNotFound, BackendErrorKind::AccessDenied] {
        for method in [Method::Encrypt, Method::Decrypt] {
            endpoint.manager.always(method, Fault::Fail(kind));
        }
        all!(is_kms_invalid_state_exception);
        endpoint.manager.heal();
    }
    client.disable_key().key_id(&key).send().await.unwrap();
    all!(is_disabled_exception);
    client.schedule_key_deletion().key_id(&key).send().await.unwrap();
    all!(is_kms_invalid_state_exception);
    endpoint.stop().await;
}

pub(super) async fn random(reached: &mut Reached) {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (payroll, _) = endpoint.store_with_key(&client, "payroll").await;
    let (hardware, _) = endpoint.cluster_with_key(&client, "hardware").await;
    let of = |store: &str| client.generate_random().number_of_bytes(32).custom_key_store_id(store);
    refused!(reached, GenerateRandom, of("cks-0"), is_custom_key_store_not_found_exception);
    refused!(reached, GenerateRandom, of(&payroll), is_unsupported_operation_exception);
    let slow = Fault::Fail(BackendErrorKind::DependencyTimedOut);
    endpoint.manager.inject(Method::GenerateRandom, slow);
    refused!(reached, GenerateRandom, of(&hardware), is_dependency_timeout_exception);
    disconnect(&client, &hardware).await;
    refused!(reached, GenerateRandom, of(&hardware), is_custom_key_store_invalid_state_exception);
    endpoint.stop().await;
}
