//! Keys in use.

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, EncryptionAlgorithmSpec};
use custom_key_store::backend::software::Method;

use crate::support::*;

async fn decrypt(client: &Client, blob: &Blob, tenant: &str) -> Vec<u8> {
    let call = client.decrypt().ciphertext_blob(blob.clone()).encryption_context("tenant", tenant);
    call.send().await.unwrap().plaintext.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_either_type_is_used_under_each_of_its_names() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (_, external) = endpoint.store_with_key(&client, "payroll").await;
    let (_, hardware) = endpoint.cluster_with_key(&client, "hardware").await;
    for (key, alias) in [(external, "alias/external"), (hardware, "alias/hardware")] {
        client.create_alias().alias_name(alias).target_key_id(&key.key_id).send().await.unwrap();
        let arn = key.arn.unwrap();
        let names =
            [key.key_id, arn.clone(), alias.to_owned(), format!("arn:aws:kms:{REGION}:{ACCOUNT}:{alias}")];
        for name in names {
            let sealed = client
                .encrypt()
                .key_id(&name)
                .plaintext(Blob::new("attack at dawn"))
                .encryption_context("tenant", "blue")
                .encryption_context("Größe", "")
                .send()
                .await
                .unwrap();
            assert_eq!(sealed.key_id(), Some(&*arn));
            assert_eq!(sealed.encryption_algorithm, Some(EncryptionAlgorithmSpec::SymmetricDefault));
            let blob = sealed.ciphertext_blob.unwrap();

            // With the key's name, and without: the ciphertext says which it is.
            for named in [Some(name.clone()), None] {
                let opened = client
                    .decrypt()
                    .set_key_id(named)
                    .ciphertext_blob(blob.clone())
                    .encryption_context("Größe", "")
                    .encryption_context("tenant", "blue")
                    .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(opened.plaintext().unwrap().as_ref(), b"attack at dawn");
                assert_eq!(opened.key_id(), Some(&*arn));
            }
            let other = client.decrypt().ciphertext_blob(blob).encryption_context("tenant", "red");
            assert!(other.send().await.unwrap_err().into_service_error().is_invalid_ciphertext_exception());
        }
    }
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_plaintext_and_the_shortest_come_back() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (_, key) = endpoint.store_with_key(&client, "payroll").await;
    for length in [1, 4096] {
        let plaintext = vec![0xA5; length];
        let sealed = client.encrypt().key_id(&key.key_id).plaintext(Blob::new(plaintext.clone()));
        let blob = sealed.send().await.unwrap().ciphertext_blob.unwrap();
        assert!(blob.as_ref().len() <= 6144);
        let opened = client.decrypt().ciphertext_blob(blob).send().await.unwrap();
        assert_eq!(opened.plaintext.unwrap().into_inner(), plaintext);
    }
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_keys_of_every_length_are_unwrapped_again() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (_, external) = endpoint.store_with_key(&client, "payroll").await;
    let (_, hardware) = endpoint.cluster_with_key(&client, "hardware").await;
    for key in [external.key_id, hardware.key_id] {
        let lengths = [
            (Some(DataKeySpec::Aes256), None, 32),
            (Some(DataKeySpec::Aes128), None, 16),
            (None, Some(1), 1),
            (None, Some(64), 64),
            (None, Some(1024), 1024),
        ];
        for (spec, bytes, length) in lengths {
            let made = client
                .generate_data_key()
                .key_id(&key)
                .set_key_spec(spec.clone())
                .set_number_of_bytes(bytes)
                .encryption_context("tenant", "blue")
                .send()
                .await
                .unwrap();
            let plaintext = made.plaintext.unwrap().into_inner();
            assert_eq!(plaintext.len(), length);
            assert_eq!(decrypt(&client, &made.ciphertext_blob.unwrap(), "blue").await, plaintext);

            let wrapped = client
                .generate_data_key_without_plaintext()
                .key_id(&key)
                .set_key_spec(spec)
                .set_number_of_bytes(bytes)
                .encryption_context("tenant", "blue")
                .send()
                .await
                .unwrap();
            assert_eq!(decrypt(&client, &wrapped.ciphertext_blob.unwrap(), "blue").await.len(), length);
        }
    }
    let random = client.generate_random().number_of_bytes(1024).send().await.unwrap();
    assert_eq!(random.plaintext.unwrap().as_ref().len(), 1024);
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ciphertext_moves_from_one_store_to_another() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (_, external) = endpoint.store_with_key(&client, "payroll").await;
    let (_, hardware) = endpoint.cluster_with_key(&client, "hardware").await;
    let sealed = client.encrypt().key_id(&external.key_id).plaintext(Blob::new("attack at dawn"));
    let sealed = sealed.encryption_context("tenant", "blue").send().await.unwrap().ciphertext_blob.unwrap();
    let moved = client
        .re_encrypt()
        .ciphertext_blob(sealed)
        .source_key_id(&external.key_id)
        .source_encryption_context("tenant", "blue")
        .destination_key_id(&hardware.key_id)
        .destination_encryption_context("tenant", "red")
        .send()
        .await
        .unwrap();
    assert_eq!((moved.source_key_id(), moved.key_id()), (external.arn(), hardware.arn()));
    assert_eq!(moved.source_encryption_algorithm, Some(EncryptionAlgorithmSpec::SymmetricDefault));
    assert_eq!(moved.destination_encryption_algorithm, Some(EncryptionAlgorithmSpec::SymmetricDefault));
    assert_eq!(decrypt(&client, &moved.ciphertext_blob.unwrap(), "red").await, b"attack at dawn");
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_would_happen_and_asks_no_key_manager() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (store, key) = endpoint.store_with_key(&client, "payroll").await;
    let id = &key.key_id;
    let plaintext = || Blob::new("attack at dawn");
    let blob =
        client.encrypt().key_id(id).plaintext(plaintext()).send().await.unwrap().ciphertext_blob.unwrap();
    let used = || (endpoint.manager.calls(Method::Encrypt), endpoint.manager.calls(Method::Decrypt));
    let before = used();

    macro_rules! would {
        ($call:expr, $verdict:ident) => {{
            let error = $call.dry_run(true).send().await.unwrap_err();
            assert!(error.as_service_error().unwrap().$verdict(), "{error:?}");
        }};
    }
    macro_rules! all_would {
        ($verdict:ident) => {
            would!(client.encrypt().key_id(id).plaintext(plaintext()), $verdict);
            would!(client.decrypt().ciphertext_blob(blob.clone()), $verdict);
            would!(client.re_encrypt().ciphertext_blob(blob.clone()).destination_key_id(id), $verdict);
            would!(client.generate_data_key().key_id(id).number_of_bytes(32), $verdict);
            would!(client.generate_data_key_without_plaintext().key_id(id).number_of_bytes(32), $verdict);
        };
    }
    all_would!(is_dry_run_operation_exception);
    client.disable_key().key_id(id).send().await.unwrap();
    all_would!(is_disabled_exception);
    client.enable_key().key_id(id).send().await.unwrap();
    disconnect(&client, &store).await;
    all_would!(is_kms_invalid_state_exception);
    assert_eq!(used(), before);
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_with_keys_of_a_disconnected_store_and_all_of_it_again_afterwards() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (store, key) = endpoint.store_with_key(&client, "payroll").await;
    let (_, elsewhere) = endpoint.cluster_with_key(&client, "hardware").await;
    let id = &key.key_id;
    let plaintext = || Blob::new("attack at dawn");
    let blob =
        client.encrypt().key_id(id).plaintext(plaintext()).send().await.unwrap().ciphertext_blob.unwrap();
    let foreign = client.encrypt().key_id(&elsewhere.key_id).plaintext(plaintext());
    let foreign = foreign.send().await.unwrap().ciphertext_blob.unwrap();

    disconnect(&client, &store).await;
    assert_eq!(endpoint.manager.open_connections(), 1);
    macro_rules! refused {
        ($call:expr) => {{
            let error = $call.send().await.unwrap_err();
            assert!(error.as_service_error().unwrap().is_kms_invalid_state_exception(), "{error:?}");
        }};
    }
    refused!(client.encrypt().key_id(id).plaintext(plaintext()));
    refused!(client.decrypt().ciphertext_blob(blob.clone()));
    refused!(client.re_encrypt().ciphertext_blob(blob.clone()).destination_key_id(&elsewhere.key_id));
    refused!(client.re_encrypt().ciphertext_blob(foreign).destination_key_id(id));
    refused!(client.generate_data_key().key_id(id).key_spec(DataKeySpec::Aes256));
    refused!(client.generate_data_key_without_plaintext().key_id(id).key_spec(DataKeySpec::Aes256));
    let new = client.create_key().custom_key_store_id(&store).xks_key_id("payroll");
    let new = new.origin(aws_sdk_kms::types::OriginType::ExternalKeyStore).send().await.unwrap_err();
    assert!(new.into_service_error().is_custom_key_store_invalid_state_exception());

    // What manages keys goes on, and so does the other store.
    client.update_key_description().key_id(id).description("away").send().await.unwrap();
    client.create_alias().alias_name("alias/away").target_key_id(id).send().await.unwrap();
    client.encrypt().key_id(&elsewhere.key_id).plaintext(plaintext()).send().await.unwrap();

    connect(&client, &store).await;
    let opened = client.decrypt().ciphertext_blob(blob).send().await.unwrap();
    assert_eq!(opened.plaintext.unwrap().as_ref(), b"attack at dawn");
    endpoint.stop().await;
}
