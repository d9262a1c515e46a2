//! Operations of AWS KMS that custom key stores do not have, or that would be a lie here: each is refused by its own name.

use aws_sdk_kms::error::ProvideErrorMetadata as _;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    AlgorithmSpec, DataKeyPairSpec, EncapsulationAlgorithmSpec, GrantOperation, KeyAgreementAlgorithmSpec,
    KeyEncryptionMechanism, MacAlgorithmSpec, RecipientInfo, SigningAlgorithmSpec, WrappingKeySpec,
};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_that_are_not_had_are_unsupported_and_named() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let (_, key) = endpoint.store_with_key(&client, "payroll").await;
    let key = &key.key_id;
    let blob = || Blob::new("x");
    let mut refused = 0;
    macro_rules! unsupported {
        ($($operation:ident, $call:expr;)*) => {$(
            let error = $call.send().await.expect_err(stringify!($operation));
            assert_eq!(error.code(), Some("UnsupportedOperationException"), stringify!($operation));
            let message = error.message().unwrap();
            assert!(message.contains(concat!(stringify!($operation), " ")), "{message}");
            refused += 1;
        )*};
    }
    let kem = || EncapsulationAlgorithmSpec::MlKem;
    unsupported! {
        Encapsulate, client.encapsulate().key_id(key).encapsulation_algorithm(kem());
        Decapsulate, client.decapsulate().key_id(key).encapsulation_algorithm(kem()).shared_secret_ciphertext_blob(blob());
        CreateGrant, client.create_grant().key_id(key).grantee_principal(PRINCIPAL).operations(GrantOperation::Decrypt);
        ListGrants, client.list_grants().key_id(key);
        ListRetirableGrants, client.list_retirable_grants().retiring_principal(PRINCIPAL);
        RetireGrant, client.retire_grant().grant_token("token");
        RevokeGrant, client.revoke_grant().key_id(key).grant_id("id");
        PutKeyPolicy, client.put_key_policy().key_id(key).policy("{}");
        EnableKeyRotation, client.enable_key_rotation().key_id(key);
        DisableKeyRotation, client.disable_key_rotation().key_id(key);
        GetKeyRotationStatus, client.get_key_rotation_status().key_id(key);
        RotateKeyOnDemand, client.rotate_key_on_demand().key_id(key);
        ListKeyRotations, client.list_key_rotations().key_id(key);
        GetKeyLastUsage, client.get_key_last_usage().key_id(key);
        GenerateDataKeyPair, client.generate_data_key_pair().key_id(key).key_pair_spec(DataKeyPairSpec::Rsa2048);
        GenerateDataKeyPairWithoutPlaintext,
            client.generate_data_key_pair_without_plaintext().key_id(key).key_pair_spec(DataKeyPairSpec::Rsa2048);
        GenerateMac, client.generate_mac().key_id(key).message(blob()).mac_algorithm(MacAlgorithmSpec::HmacSha256);
        VerifyMac,
            client.verify_mac().key_id(key).message(blob()).mac(blob()).mac_algorithm(MacAlgorithmSpec::HmacSha256);
        Sign,
            client.sign().key_id(key).message(blob()).signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
        Verify,
            client
                .verify()
                .key_id(key)
                .message(blob())
                .signature(blob())
                .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
        GetPublicKey, client.get_public_key().key_id(key);
        DeriveSharedSecret,
            client
                .derive_shared_secret()
                .key_id(key)
                .key_agreement_algorithm(KeyAgreementAlgorithmSpec::Ecdh)
                .public_key(blob());
        GetParametersForImport,
            client
                .get_parameters_for_import()
                .key_id(key)
                .wrapping_algorithm(AlgorithmSpec::RsaesOaepSha256)
                .wrapping_key_spec(WrappingKeySpec::Rsa2048);
        ImportKeyMaterial,
            client.import_key_material().key_id(key).import_token(blob()).encrypted_key_material(blob());
        DeleteImportedKeyMaterial, client.delete_imported_key_material().key_id(key);
        ReplicateKey, client.replicate_key().key_id(key).replica_region("us-east-1");
        UpdatePrimaryRegion, client.update_primary_region().key_id(key).primary_region("us-east-1");
    }
    assert_eq!(refused, 27);

    // Members of operations that are had.
    macro_rules! unsupported_member {
        ($($member:ident, $call:expr;)*) => {$(
            let error = $call.send().await.expect_err(stringify!($member));
            assert_eq!(error.code(), Some("UnsupportedOperationException"), stringify!($member));
            assert!(error.message().unwrap().contains(stringify!($member)), "{error:?}");
        )*};
    }
    let recipient = || {
        RecipientInfo::builder()
            .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
            .attestation_document(blob())
            .build()
    };
    unsupported_member! {
        GrantTokens, client.encrypt().key_id(key).plaintext(blob()).grant_tokens("token");
        GrantTokens, client.describe_key().key_id(key).grant_tokens("token");
        Recipient, client.decrypt().ciphertext_blob(blob()).recipient(recipient());
        Recipient, client.generate_random().number_of_bytes(1).recipient(recipient());
        Policy, client.create_key().custom_key_store_id("cks-0").policy("{}").origin("EXTERNAL_KEY_STORE".into()).xks_key_id("x");
    }
    endpoint.stop().await;
}
