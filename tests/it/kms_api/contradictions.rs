//! Parameters that do not go together, and those that are not had.

use custom_key_store::kms::{Action, Exception};
use custom_key_store::kms::{BackendMap, Kms};
use serde_json::{Value, json};

use super::support::{Rig, arn, call, callers, is_error};

/// Requests on top of one that succeeds: the member that is changed or added, its value, and the error.
async fn each(rig: &Rig, operation: &str, base: &Value, changes: &[(&str, Value, &str)]) {
    for (member, value, error) in changes {
        let mut request = base.clone();
        request[*member] = value.clone();
        let (name, message) = rig.refused(operation, &request).await;
        assert_eq!(name, *error, "{operation} {member} {value}: {message}");
        assert!(
            message.to_lowercase().contains(&member.to_lowercase()) || *error == "InvalidKeyUsageException",
            "{message}"
        );
    }
}

#[tokio::test]
async fn keys_that_custom_key_stores_do_not_have_are_unsupported_and_say_which_member() {
    let rig = Rig::new().await;
    let base = json!({ "CustomKeyStoreId": rig.store, "Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "free" });
    let unsupported = "UnsupportedOperationException";
    each(
        &rig,
        "CreateKey",
        &base,
        &[
            ("CustomKeyStoreId", Value::Null, unsupported),
            ("KeyUsage", json!("SIGN_VERIFY"), unsupported),
            ("KeyUsage", json!("GENERATE_VERIFY_MAC"), unsupported),
            ("KeySpec", json!("RSA_4096"), unsupported),
            ("KeySpec", json!("HMAC_256"), unsupported),
            ("KeySpec", json!("ML_KEM_768"), unsupported),
            ("MultiRegion", json!(true), unsupported),
            ("Policy", json!("{}"), unsupported),
            ("Origin", json!("AWS_KMS"), "ValidationException"),
            ("Origin", json!("EXTERNAL"), "ValidationException"),
            ("Origin", Value::Null, "ValidationException"),
            ("XksKeyId", Value::Null, "ValidationException"),
        ],
    )
    .await;
    let mut old = base.clone();
    old["CustomerMasterKeySpec"] = json!("RSA_2048");
    let (name, message) = rig.refused("CreateKey", &old).await;
    assert_eq!(name, unsupported, "{message}");
    let mut both = base.clone();
    (both["KeySpec"], both["CustomerMasterKeySpec"]) =
        (json!("SYMMETRIC_DEFAULT"), json!("SYMMETRIC_DEFAULT"));
    assert_eq!(rig.refused("CreateKey", &both).await.0, "ValidationException");

    let of_cluster = json!({ "CustomKeyStoreId": rig.cluster, "Origin": "AWS_CLOUDHSM" });
    each(&rig, "CreateKey", &of_cluster, &[("XksKeyId", json!("free"), "ValidationException")]).await;
    // The origin of the other type of store.
    let mut other = base.clone();
    other["CustomKeyStoreId"] = json!(rig.cluster);
    assert_eq!(rig.refused("CreateKey", &other).await.0, "ValidationException");
    let other = json!({ "CustomKeyStoreId": rig.store, "Origin": "AWS_CLOUDHSM" });
    assert_eq!(rig.refused("CreateKey", &other).await.0, "ValidationException");
    rig.ok("CreateKey", &base).await;
}

#[tokio::test]
async fn what_is_not_had_of_an_operation_is_named() {
    let rig = Rig::new().await;
    let unsupported = "UnsupportedOperationException";
    let recipient = json!({ "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": "AA==" });
    let key = arn(&rig.key);
    let tokens = ("GrantTokens", json!(["token"]), unsupported);
    let modifiers = ("DryRunModifiers", json!(["IGNORE_CIPHERTEXT"]), unsupported);
    let recipient = ("Recipient", recipient, unsupported);
    let usage = |member| (member, json!("RSAES_OAEP_SHA_1"), "InvalidKeyUsageException");

    let encrypt = json!({ "KeyId": key, "Plaintext": "AA==" });
    each(&rig, "Encrypt", &encrypt, &[tokens.clone(), usage("EncryptionAlgorithm")]).await;
    let decrypt = json!({ "CiphertextBlob": rig.blob });
    let of_decrypt = [tokens.clone(), modifiers.clone(), recipient.clone(), usage("EncryptionAlgorithm")];
    each(&rig, "Decrypt", &decrypt, &of_decrypt).await;
    // With which the ciphertext may be left out.
    each(&rig, "Decrypt", &json!({ "KeyId": key, "DryRun": true }), std::slice::from_ref(&modifiers)).await;
    let re_encrypt = json!({ "CiphertextBlob": rig.blob, "DestinationKeyId": key });
    let algorithms = [usage("SourceEncryptionAlgorithm"), usage("DestinationEncryptionAlgorithm")];
    each(&rig, "ReEncrypt", &re_encrypt, &[tokens.clone(), modifiers]).await;
    each(&rig, "ReEncrypt", &re_encrypt, &algorithms).await;
    let data_key = json!({ "KeyId": key, "KeySpec": "AES_256" });
    each(&rig, "GenerateDataKey", &data_key, &[tokens.clone(), recipient.clone()]).await;
    each(&rig, "GenerateDataKeyWithoutPlaintext", &data_key, std::slice::from_ref(&tokens)).await;
    each(&rig, "GenerateRandom", &json!({ "NumberOfBytes": 1 }), &[recipient]).await;
    each(&rig, "DescribeKey", &json!({ "KeyId": key }), &[tokens]).await;
}

#[tokio::test]
async fn a_data_key_has_exactly_one_length() {
    let rig = Rig::new().await;
    for operation in ["GenerateDataKey", "GenerateDataKeyWithoutPlaintext"] {
        for more in [json!({}), json!({ "NumberOfBytes": 32, "KeySpec": "AES_256" })] {
            let mut request = json!({ "KeyId": rig.key.key_id });
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let (name, message) = rig.refused(operation, &request).await;
            assert_eq!(name, "ValidationException");
            assert!(message.contains("either number of bytes or key spec"), "{message}");
        }
    }
    for (length, expected) in [
        (json!({ "KeySpec": "AES_128" }), 16),
        (json!({ "KeySpec": "AES_256" }), 32),
        (json!({ "NumberOfBytes": 1024 }), 1024),
    ] {
        let mut request = json!({ "KeyId": rig.key.key_id });
        request.as_object_mut().unwrap().extend(length.as_object().unwrap().clone());
        let made = rig.ok("GenerateDataKey", &request).await;
        assert_eq!(crate::xks_proxy::support::unbase64(&made["Plaintext"]).len(), expected);
    }
}

#[tokio::test]
async fn members_of_the_other_type_of_store_are_refused_and_missing_ones_of_its_own_named() {
    let rig = Rig::new().await;
    let invalid = "ValidationException";
    let cluster = json!({
        "CustomKeyStoreName": "new", "CloudHsmClusterId": "cluster-abcdefghij4", "KeyStorePassword": "correcthorse",
        "TrustAnchorCertificate": "-",
    });
    let credential = json!({ "AccessKeyId": "AKIDOFATEST222222222", "RawSecretAccessKey": "s".repeat(43) });
    let proxy = json!({
        "CustomKeyStoreName": "new", "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT", "XksProxyAuthenticationCredential": credential,
        "XksProxyUriEndpoint": "https://new.example.com", "XksProxyUriPath": "/new/kms/xks/v1",
    });
    let service = json!("com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0");
    let of_proxy = [
        ("XksProxyConnectivity", json!("PUBLIC_ENDPOINT"), invalid),
        ("XksProxyAuthenticationCredential", credential, invalid),
        ("XksProxyUriEndpoint", json!("https://new.example.com"), invalid),
        ("XksProxyUriPath", json!("/new/kms/xks/v1"), invalid),
        ("XksProxyVpcEndpointServiceName", service.clone(), invalid),
        ("XksProxyVpcEndpointServiceOwner", json!("111122223333"), invalid),
    ];
    each(&rig, "CreateCustomKeyStore", &cluster, &of_proxy).await;
    let of_cluster = [
        ("CloudHsmClusterId", json!("cluster-abcdefghij4"), invalid),
        ("KeyStorePassword", json!("correcthorse"), invalid),
        ("TrustAnchorCertificate", json!("-"), invalid),
        // A public endpoint has no service.
        ("XksProxyVpcEndpointServiceName", service, invalid),
        ("XksProxyVpcEndpointServiceOwner", json!("111122223333"), invalid),
    ];
    each(&rig, "CreateCustomKeyStore", &proxy, &of_cluster).await;
    let (name, message) = rig.refused("CreateCustomKeyStore", &json!({ "CustomKeyStoreName": "new" })).await;
    assert_eq!(name, invalid);
    for member in ["cloudHsmClusterId", "keyStorePassword", "trustAnchorCertificate"] {
        assert!(message.contains(member), "{message}");
    }
    // Updates of a property that this type of store does not have.
    let of_cluster = json!({ "CustomKeyStoreId": rig.spare_cluster });
    let path = [("XksProxyUriPath", json!("/x/kms/xks/v1"), invalid)];
    each(&rig, "UpdateCustomKeyStore", &of_cluster, &path).await;
    let password = [("KeyStorePassword", json!("correcthorse"), invalid)];
    each(&rig, "UpdateCustomKeyStore", &json!({ "CustomKeyStoreId": rig.spare }), &password).await;
}

#[tokio::test]
async fn a_store_becomes_public_with_a_service_name_that_is_absent_null_or_empty() {
    let service = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0";
    for name in [None, Some(json!(null)), Some(json!(""))] {
        let rig = Rig::new().await;
        let mut request = json!({
            "CustomKeyStoreId": rig.spare, "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
            "XksProxyUriEndpoint": "https://service.example.com", "XksProxyVpcEndpointServiceName": service,
        });
        rig.ok("UpdateCustomKeyStore", &request).await;
        let described = json!({ "CustomKeyStoreId": rig.spare });
        let shown = rig.ok("DescribeCustomKeyStores", &described).await;
        let proxy = &shown["CustomKeyStores"][0]["XksProxyConfiguration"];
        assert_eq!(proxy["VpcEndpointServiceName"], service);

        (request["XksProxyConnectivity"], request["XksProxyUriEndpoint"]) =
            (json!("PUBLIC_ENDPOINT"), json!("https://xks.example.com"));
        // As it is.
        let (error, message) = rig.refused("UpdateCustomKeyStore", &request).await;
        assert_eq!(error, "ValidationException");
        assert!(message.contains("'xksProxyVpcEndpointServiceName"), "{message}");
        request.as_object_mut().unwrap().remove("XksProxyVpcEndpointServiceName");
        if let Some(name) = name {
            request["XksProxyVpcEndpointServiceName"] = name;
        }
        rig.ok("UpdateCustomKeyStore", &request).await;
        let shown = rig.ok("DescribeCustomKeyStores", &described).await;
        let proxy = &shown["CustomKeyStores"][0]["XksProxyConfiguration"];
        assert_eq!(proxy["Connectivity"], "PUBLIC_ENDPOINT");
        assert_eq!(proxy.get("VpcEndpointServiceName"), None);
    }
}

#[tokio::test]
async fn another_connectivity_needs_what_belongs_to_it() {
    let rig = Rig::new().await;
    let service = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0";
    let endpoint = "https://service.example.com";
    for (request, named) in [
        (json!({ "XksProxyConnectivity": "PUBLIC_ENDPOINT" }), "xksProxyUriEndpoint"),
        (
            json!({ "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE", "XksProxyVpcEndpointServiceName": service }),
            "xksProxyUriEndpoint",
        ),
        (
            json!({ "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE", "XksProxyUriEndpoint": endpoint }),
            "xksProxyVpcEndpointServiceName",
        ),
        (
            json!({
                "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE", "XksProxyUriEndpoint": endpoint,
                "XksProxyVpcEndpointServiceName": "",
            }),
            "xksProxyVpcEndpointServiceName",
        ),
        (json!({ "XksProxyVpcEndpointServiceName": "" }), "xksProxyVpcEndpointServiceName"),
        (
            json!({
                "XksProxyConnectivity": "PUBLIC_ENDPOINT", "XksProxyUriEndpoint": endpoint,
                "XksProxyVpcEndpointServiceOwner": "111122223333",
            }),
            "xksProxyVpcEndpointServiceOwner",
        ),
        (json!({}), "nothing to change"),
    ] {
        let mut request = request;
        request["CustomKeyStoreId"] = json!(rig.spare);
        let (name, message) = rig.refused("UpdateCustomKeyStore", &request).await;
        assert_eq!(name, "ValidationException");
        assert!(message.contains(named), "{message}");
    }
}

#[tokio::test]
async fn stores_are_described_by_id_or_by_name_and_never_by_both() {
    let rig = Rig::new().await;
    let both = json!({ "CustomKeyStoreId": rig.store, "CustomKeyStoreName": "payroll" });
    let (name, message) = rig.refused("DescribeCustomKeyStores", &both).await;
    assert_eq!(name, "ValidationException");
    assert!(message.contains("customKeyStoreId") && message.contains("CustomKeyStoreName"), "{message}");
}

#[tokio::test]
async fn an_alias_names_a_key_that_is_used_or_described_and_none_that_is_managed() {
    let rig = Rig::new().await;
    let forms = ["alias/payroll".to_owned(), "arn:aws:kms:us-east-1:111122223333:alias/payroll".to_owned()];
    for alias in &forms {
        rig.ok("DescribeKey", &json!({ "KeyId": alias })).await;
        rig.ok("Encrypt", &json!({ "KeyId": alias, "Plaintext": "AA==" })).await;
        let tags = json!([]);
        for operation in [
            "EnableKey",
            "DisableKey",
            "ScheduleKeyDeletion",
            "CancelKeyDeletion",
            "UpdateKeyDescription",
            "GetKeyPolicy",
            "ListKeyPolicies",
            "ListAliases",
            "TagResource",
            "UntagResource",
            "ListResourceTags",
        ] {
            let request = json!({ "KeyId": alias, "Description": "", "Tags": tags, "TagKeys": tags });
            let (name, message) = rig.refused(operation, &request).await;
            if alias.starts_with("arn:") {
                assert_eq!(name, "InvalidArnException", "{operation}: {message}");
                assert!(message.contains("that of an alias"), "{message}");
            } else {
                assert_eq!(name, "NotFoundException", "{operation}: {message}");
                assert!(message.starts_with("Invalid keyId alias/payroll"), "{message}");
            }
        }
    }
}

/// By the exception that AWS documents for the operation, where it documents one for ARNs.
#[tokio::test]
async fn an_arn_that_is_none_of_a_key_is_refused_by_the_name_that_the_operation_has_for_it() {
    const NO_ARNS: [&str; 5] = [
        "arn:aws:kms:us-east-1:111122223333:key/payroll",
        "arn:aws:kms:us-east-1:111122223333:alias/",
        "arn:aws:s3:::bucket",
        "arn:aws:iam::111122223333:root",
        "arn:",
    ];
    const ELSEWHERE: [&str; 3] = [
        "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:us-east-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-cn:kms:us-east-1:111122223333:alias/payroll",
    ];
    let rig = Rig::new().await;
    let before = rig.snapshot().await;
    for (operation, member, rest) in [
        ("DescribeKey", "KeyId", json!({})),
        ("EnableKey", "KeyId", json!({})),
        ("DisableKey", "KeyId", json!({})),
        ("ScheduleKeyDeletion", "KeyId", json!({})),
        ("CancelKeyDeletion", "KeyId", json!({})),
        ("UpdateKeyDescription", "KeyId", json!({ "Description": "x" })),
        ("GetKeyPolicy", "KeyId", json!({})),
        ("ListKeyPolicies", "KeyId", json!({})),
        ("ListAliases", "KeyId", json!({})),
        ("TagResource", "KeyId", json!({ "Tags": [] })),
        ("UntagResource", "KeyId", json!({ "TagKeys": [] })),
        ("ListResourceTags", "KeyId", json!({})),
        ("CreateAlias", "TargetKeyId", json!({ "AliasName": "alias/new" })),
        ("UpdateAlias", "TargetKeyId", json!({ "AliasName": "alias/payroll" })),
        ("Encrypt", "KeyId", json!({ "Plaintext": "AA==" })),
        ("GenerateDataKey", "KeyId", json!({ "NumberOfBytes": 1 })),
        ("GenerateDataKeyWithoutPlaintext", "KeyId", json!({ "NumberOfBytes": 1 })),
        ("Decrypt", "KeyId", json!({ "CiphertextBlob": rig.blob })),
        ("ReEncrypt", "DestinationKeyId", json!({ "CiphertextBlob": rig.blob })),
        (
            "ReEncrypt",
            "SourceKeyId",
            json!({ "CiphertextBlob": rig.blob, "DestinationKeyId": "alias/payroll" }),
        ),
    ] {
        let has_a_name = operation.parse::<Action>().unwrap().exceptions().contains(&Exception::InvalidArn);
        for arn in NO_ARNS.iter().chain(&ELSEWHERE) {
            let mut request = rest.clone();
            request[member] = json!(arn);
            let (name, message) = rig.refused(operation, &request).await;
            let is_one = ELSEWHERE.contains(arn);
            // To manage keys takes no alias, wherever it is: only that it is none of here is seen first.
            let expected = if has_a_name && !is_one { "InvalidArnException" } else { "NotFoundException" };
            assert_eq!(name, expected, "{operation} {arn}: {message}");
            assert!(message.contains(arn), "{operation}: {message}");
        }
    }
    assert_eq!(rig.snapshot().await, before);
}

#[tokio::test]
async fn a_dry_run_does_nothing_and_says_that_it_would_have_succeeded() {
    let rig = Rig::new().await;
    let key = arn(&rig.key);
    let calls = rig.manager.calls(custom_key_store::backend::software::Method::Encrypt);
    for (operation, request) in [
        ("Encrypt", json!({ "KeyId": key, "Plaintext": "AA==", "DryRun": true })),
        ("Decrypt", json!({ "CiphertextBlob": rig.blob, "DryRun": true })),
        ("ReEncrypt", json!({ "CiphertextBlob": rig.blob, "DestinationKeyId": key, "DryRun": true })),
        ("GenerateDataKey", json!({ "KeyId": key, "KeySpec": "AES_256", "DryRun": true })),
        ("GenerateDataKeyWithoutPlaintext", json!({ "KeyId": key, "KeySpec": "AES_256", "DryRun": true })),
    ] {
        let reply = rig.call(operation, &request).await;
        is_error(&reply, 400, "DryRunOperationException");
    }
    assert_eq!(rig.manager.calls(custom_key_store::backend::software::Method::Encrypt), calls);
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_throttling() {
    let few = custom_key_store::RateLimit::per_second(std::num::NonZeroU32::new(2).unwrap());
    // Opening the rig has used one up.
    let rig =
        Rig::with(|kms| kms.quota(few), |kms| custom_key_store::api::KmsApi::builder(kms, callers())).await;
    let encrypt = call("Encrypt", &json!({ "KeyId": rig.key.key_id, "Plaintext": "AA==" }));
    assert_eq!(rig.send(&encrypt).await.status, 200);
    is_error(&rig.send(&encrypt).await, 400, "ThrottlingException");
}

#[tokio::test]
async fn an_endpoint_over_nothing_answers_too() {
    let ledger = crate::support::ledger();
    let (kms, driver) = Kms::open(ledger, BackendMap::new()).await.unwrap();
    tokio::spawn(driver);
    let clock = crate::xks_proxy::support::NOW;
    let clock = custom_key_store::clock::ManualClock::starting_at(
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(clock),
    );
    let api = custom_key_store::api::KmsApi::builder(kms, callers()).clock(clock).build().unwrap();
    let request = super::support::request(&call("ListKeys", &json!({})));
    let response = tower_service::Service::call(&mut api.clone(), request).await.unwrap();
    assert_eq!(response.status(), 200);
}
