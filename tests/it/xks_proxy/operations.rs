//! The four operations: what they give, and what they refuse.

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{KeyStatus, KeyUsages};
use custom_key_store::xks::proxy::KeyGrant;
use serde_json::{Value, json};

use super::support::{
    Call, KEY, Rig, base64, decrypt_body, describe_body, encrypt_body, health_body, key_id, metadata,
    unbase64, vectors, verified,
};

/// XKS-P-01, XKS-P-06, XKS-P-45, XKS-P-54 to XKS-P-59, XKS-P-64, XKS-P-65, XKS-P-74, XKS-P-87, XKS-P-88: all four on
/// one HTTP/1.1 connection (XKS-P-02, XKS-P-03).
#[tokio::test]
async fn all_four_operations() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;

    client.send(&Call::new("health", &health_body())).await.ok();
    // XKS-P-36 to XKS-P-38, XKS-P-41, weak spot 1.
    let described = client.send(&Call::on_key("metadata", KEY, &describe_body())).await.ok();
    assert_eq!(
        described,
        json!({ "keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT"], "keyStatus": "ENABLED" })
    );
    let mut older = describe_body();
    older["requestMetadata"] = metadata("DescribeKey");
    older["requestMetadata"]["kmsViaService"] = "ebs".into();
    assert_eq!(client.send(&Call::on_key("metadata", KEY, &older)).await.ok(), described);

    for aad in [None, Some(b"tenant=blue".as_slice()), Some(b"".as_slice())] {
        for wanted in [false, true] {
            let mut body = encrypt_body(b"attack at dawn", aad);
            if wanted {
                body = verified(body);
            }
            let encrypted = client.send(&Call::on_key("encrypt", KEY, &body)).await.ok();
            let part = |member: &str| unbase64(&encrypted[member]);
            assert_eq!(part("ciphertext").len(), 14);
            assert_eq!(part("initializationVector").len(), 12);
            assert_eq!(part("authenticationTag").len(), 16);
            let note = part("ciphertextMetadata");
            assert!(note.len() <= 20);
            // XKS-P-67, XKS-P-68.
            let hashed = [
                aad.unwrap_or_default(),
                &note,
                &part("initializationVector"),
                &part("ciphertext"),
                &part("authenticationTag"),
            ]
            .concat();
            let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &hashed);
            let integrity = encrypted.get("ciphertextDataIntegrityValue");
            assert_eq!(integrity.map(unbase64), wanted.then(|| hash.as_ref().to_vec()));

            let decrypt = Call::on_key("decrypt", KEY, &decrypt_body(&encrypted, aad));
            assert_eq!(unbase64(&client.send(&decrypt).await.ok()["plaintext"]), b"attack at dawn");
        }
    }
}

/// XKS-P-46, XKS-P-76, XKS-P-77, XKS-P-91, XKS-P-44, XKS-P-73: each kind of key with each request.
#[tokio::test]
async fn every_kind_of_key() {
    const USAGE: (u16, &str) = (400, "InvalidKeyUsageException");
    const STATE: (u16, &str) = (400, "InvalidStateException");
    const NONE: (u16, &str) = (404, "KeyNotFoundException");
    const OK: (u16, &str) = (200, "");

    let rig = Rig::new().await;
    let mut client = rig.client().await;
    // Decryption has to begin with a true ciphertext, of which only usable keys can make one.
    let one = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.ok();
    for (key, usages, encrypt, with_value, decrypt) in [
        ("enc", Some(json!(["ENCRYPT"])), OK, USAGE, USAGE),
        ("dec", Some(json!(["DECRYPT"])), USAGE, USAGE, (400, "InvalidCiphertextException")),
        ("none", Some(json!([])), USAGE, USAGE, USAGE),
        ("disabled", Some(json!(["ENCRYPT", "DECRYPT"])), STATE, STATE, STATE),
        // In the table and not in the key manager; in the manager and not in the table; another tenant's.
        ("gone", None, NONE, NONE, NONE),
        ("unlisted", None, NONE, NONE, NONE),
        ("in-key", None, NONE, NONE, NONE),
        ("other", None, NONE, NONE, NONE),
        ("nobody", None, NONE, NONE, NONE),
    ] {
        for aad in [None, Some(b"aad".as_slice())] {
            let plain = encrypt_body(b"plaintext", aad);
            for (operation, body, expected) in [
                ("encrypt", plain.clone(), encrypt),
                ("encrypt", verified(plain), with_value),
                ("decrypt", decrypt_body(&one, aad), decrypt),
            ] {
                let reply = client.send(&Call::on_key(operation, key, &body)).await;
                if expected == OK {
                    reply.ok();
                } else {
                    assert_eq!(reply.error(), (expected.0, expected.1.to_owned()), "{operation} {key}");
                }
            }
        }
        let reply = client.send(&Call::on_key("metadata", key, &describe_body())).await;
        match usages {
            None => reply.is_error(404, "KeyNotFoundException"),
            Some(usages) => {
                let described = reply.ok();
                assert_eq!(described["keyUsage"], usages, "{key}");
                let status = if key == "disabled" { "DISABLED" } else { "ENABLED" };
                assert_eq!(described["keyStatus"], status);
            }
        }
    }
    // XKS-P-43: nothing of that has changed a key; its owner can.
    assert!(rig.manager.set_key_status(&key_id("in-key"), KeyStatus::Disabled));
    client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.is_error(400, STATE.1);
}

/// XKS-P-23, weak spot 1: a key of another kind is said to be one, so that no KMS key is made of it, and never passes
/// for an AES_256.
#[tokio::test]
async fn a_key_of_another_kind_is_named() {
    let rig = Rig::new().await;
    let describe = Call::on_key("metadata", KEY, &describe_body());
    rig.manager.inject(Method::DescribeKey, Fault::Corrupt);
    assert_eq!(rig.send(&describe).await.ok()["keySpec"], "AES_257");
    assert_eq!(rig.send(&describe).await.ok()["keySpec"], "AES_256");
}

/// A grant takes away from what its key can do and adds nothing.
#[tokio::test]
async fn a_grant_narrows_the_usages() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let encrypt = Call::on_key("encrypt", "narrow", &encrypt_body(b"x", None));
    let with_value = Call::on_key("encrypt", "narrow", &verified(encrypt_body(b"x", None)));
    let describe = Call::on_key("metadata", "narrow", &describe_body());

    let grant = |usages| KeyGrant::new(key_id("in-key")).usages(usages);
    rig.tenant.set_key(&key_id("narrow"), grant(KeyUsages::ENCRYPT)).unwrap();
    let encrypted = client.send(&encrypt).await.ok();
    client.send(&with_value).await.is_error(400, "InvalidKeyUsageException");
    assert_eq!(client.send(&describe).await.ok()["keyUsage"], json!(["ENCRYPT"]));

    rig.tenant.set_key(&key_id("narrow"), grant(KeyUsages::DECRYPT)).unwrap();
    client.send(&encrypt).await.is_error(400, "InvalidKeyUsageException");
    client.send(&Call::on_key("decrypt", "narrow", &decrypt_body(&encrypted, None))).await.ok();

    rig.tenant.set_key(&key_id("narrow"), KeyGrant::new(key_id("in-none"))).unwrap();
    assert_eq!(client.send(&describe).await.ok()["keyUsage"], json!([]));
    assert!(rig.tenant.remove_key(&key_id("narrow")));
    client.send(&describe).await.is_error(404, "KeyNotFoundException");
}

/// XKS-P-47, XKS-P-49, XKS-P-52, XKS-P-75, XKS-P-79, XKS-P-84, weak spot 2: a decryption with 65,536 bytes of
/// authenticated data killed the process.
#[tokio::test]
async fn sizes() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    for (data, aad) in [(0, 0), (1, 8192), (4096, 8192), (4300, 8192)] {
        let (data, aad) = (vec![3; data], vec![4; aad]);
        let body = verified(encrypt_body(&data, Some(&aad)));
        let encrypted = client.send(&Call::on_key("encrypt", KEY, &body)).await.ok();
        let decrypt = Call::on_key("decrypt", KEY, &decrypt_body(&encrypted, Some(&aad)));
        assert_eq!(unbase64(&client.send(&decrypt).await.ok()["plaintext"]), data);
    }
    let one = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.ok();
    for (data, aad) in [(4301, 0), (1, 8193), (4301, 8193), (1, 40_000)] {
        let body = encrypt_body(&vec![3; data], Some(&vec![4; aad]));
        client
            .send(&Call::on_key("encrypt", KEY, &body))
            .await
            .is_error(501, "UnsupportedOperationException");
        let mut body = decrypt_body(&one, Some(&vec![4; aad]));
        body["ciphertext"] = base64(&vec![3; data]).into();
        client
            .send(&Call::on_key("decrypt", KEY, &body))
            .await
            .is_error(501, "UnsupportedOperationException");
    }
    for aad in [65_535, 65_536, 70_000] {
        let aad = vec![4; aad];
        let decrypt = Call::on_key("decrypt", KEY, &decrypt_body(&one, Some(&aad)));
        rig.send(&decrypt).await.is_error(501, "UnsupportedOperationException");
    }
    client.send(&Call::on_key("decrypt", KEY, &decrypt_body(&one, None))).await.ok();
}

/// With a proxy that takes more: the length of the authenticated data has two bytes.
#[tokio::test]
async fn a_proxy_that_takes_more() {
    let options = custom_key_store::xks::proxy::ServeOptions::plain_http();
    let rig = Rig::with(
        |tenant| tenant,
        |proxy| proxy.size_limits(10_000, usize::MAX).body_limit(200_000),
        options,
    )
    .await;
    let mut client = rig.client().await;
    let one = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(&[1; 10_000], None))).await.ok();
    let most = vec![4; 65_535];
    let decrypt = Call::on_key("decrypt", KEY, &decrypt_body(&one, Some(&most)));
    client.send(&decrypt).await.is_error(400, "InvalidCiphertextException");
    let more = Call::on_key("decrypt", KEY, &decrypt_body(&one, Some(&vec![4; 65_536])));
    client.send(&more).await.is_error(501, "UnsupportedOperationException");
}

/// XKS-P-32 to XKS-P-34, XKS-P-50, XKS-P-53, XKS-P-72, XKS-P-78, XKS-P-80, XKS-P-82: every class of malformed body is
/// the same error, and the connection goes on.
#[tokio::test]
async fn malformed_bodies() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let one = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.ok();
    let right = [
        ("metadata", describe_body()),
        ("encrypt", verified(encrypt_body(b"x", Some(b"aad")))),
        ("decrypt", decrypt_body(&one, None)),
    ];
    let health = format!("{}/health", super::support::PATH);
    let mut tried: Vec<(String, Vec<u8>)> = Vec::new();
    for (operation, body) in &right {
        let path = Call::on_key(operation, KEY, body).path;
        for raw in ["", "{", "[]", "null", "\"text\"", "{}x", "{} {}", "{}", "\u{feff}{}", "[{}]"] {
            tried.push((path.clone(), raw.into()));
        }
        tried.push((path.clone(), b"{\"requestMetadata\":\"\xff\"}".to_vec()));
        for (member, value) in body.as_object().unwrap() {
            let optional = [
                "additionalAuthenticatedData",
                "ciphertextDataIntegrityValueAlgorithm",
                "ciphertextMetadata",
            ];
            let mut wrong: Vec<Value> = vec![json!(1), json!([]), json!(true)];
            if value.is_string() {
                wrong.extend([json!({}), json!("AES_CBC")]);
            }
            if !optional.contains(&&**member) {
                wrong.push(Value::Null);
                let mut absent = body.clone();
                absent.as_object_mut().unwrap().remove(member);
                tried.push((path.clone(), absent.to_string().into()));
            }
            if !member.contains("lgorithm") && value.is_string() {
                // Base64 of another alphabet, without padding, with spaces.
                wrong.extend([json!("-_8="), json!("AA"), json!("AA =="), json!("AA==\n"), json!("A")]);
            }
            for wrong in wrong {
                let mut body = body.clone();
                body[member] = wrong;
                tried.push((path.clone(), body.to_string().into()));
            }
            let twice = format!("{{\"{member}\":{value},{}", &body.to_string()[1..]);
            tried.push((path.clone(), twice.into()));
        }
        for member in body["requestMetadata"].as_object().unwrap().keys() {
            let needed = *operation != "metadata" || member != "kmsKeyArn";
            let mut wrong = body.clone();
            wrong["requestMetadata"][member] = json!(7);
            tried.push((path.clone(), wrong.to_string().into()));
            if needed {
                wrong["requestMetadata"].as_object_mut().unwrap().remove(member);
                tried.push((path.clone(), wrong.to_string().into()));
            }
        }
    }
    for body in [
        "{}",
        "{\"requestMetadata\":{}}",
        "{\"requestMetadata\":{\"kmsRequestId\":\"1\"}}",
        "{\"requestMetadata\":{\"kmsOperation\":\"KmsHealthCheck\"}}",
        "",
    ] {
        tried.push((health.clone(), body.into()));
    }
    let mut long = decrypt_body(&one, None);
    long["ciphertextMetadata"] = base64(&[0; 21]).into();
    tried.push((Call::on_key("decrypt", KEY, &long).path, long.to_string().into()));

    assert!(tried.len() > 100);
    for (path, body) in tried {
        let mut call = Call::new("", &json!({}));
        (call.path, call.body) = (path, body);
        let reply = client.send(&call).await;
        let what = format!("{} {}", call.path, String::from_utf8_lossy(&call.body));
        assert_eq!(reply.error(), (400, "ValidationException".to_owned()), "{what}");
    }
}

/// XKS-P-26, XKS-P-28: by each of the four operations.
#[tokio::test]
async fn any_kms_operation_and_any_request_id_are_taken() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let one = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"x", None))).await.ok();
    for (operation, mut body) in [
        (format!("keys/{KEY}/metadata"), describe_body()),
        (format!("keys/{KEY}/encrypt"), encrypt_body(b"x", None)),
        (format!("keys/{KEY}/decrypt"), decrypt_body(&one, None)),
        ("health".to_owned(), health_body()),
    ] {
        for (member, value) in [
            ("kmsOperation", "InventTomorrow"),
            ("kmsOperation", "\u{1f511}"),
            ("kmsRequestId", "no uuid at all \u{1f511}"),
            ("kmsRequestId", &"i".repeat(2048)),
        ] {
            body["requestMetadata"][member] = value.into();
            let reply = client.send(&Call::new(&operation, &body)).await;
            assert_eq!(reply.status, 200, "{operation} {member}={value}");
        }
    }
}

/// XKS-P-29, XKS-P-31, XKS-P-35, XKS-P-62: what else has to be accepted.
#[tokio::test]
async fn what_must_not_be_refused() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let mut body = encrypt_body(b"x", None);
    let said = &mut body["requestMetadata"];
    said["awsPrincipalArn"] = "AWS Internal".into();
    said["kmsKeyArn"] = "whatever".into();
    said["awsNitroAttestation"] = json!({ "new": [1, 2] });
    said["awsSourceVpc"] = Value::Null;
    body["additionalAuthenticatedData"] = Value::Null;
    body["ciphertextDataIntegrityValueAlgorithm"] = Value::Null;
    body["future"] = json!([{}]);
    let encrypted = client.send(&Call::on_key("encrypt", KEY, &body)).await.ok();
    // Absent and empty are the same.
    client.send(&Call::on_key("decrypt", KEY, &decrypt_body(&encrypted, Some(b"")))).await.ok();
    // JSON may escape a slash.
    let mut call = Call::on_key("encrypt", KEY, &encrypt_body(&[0xff; 3], None));
    call.body = String::from_utf8(call.body).unwrap().replace("////", "\\/\\/\\/\\/").into_bytes();
    client.send(&call).await.ok();
}

/// XKS-P-81, XKS-P-83, XKS-P-85, XKS-P-86, XKS-P-90, XKS-P-92, weak spot 6: a tag that is empty and appended to the
/// ciphertext decrypted. One answer to all of it.
#[tokio::test]
async fn whatever_was_changed_reads_the_same() {
    let rig = Rig::new().await;
    let mut client = rig.client().await;
    let aad = Some(b"tenant=blue".as_slice());
    let encrypted = client.send(&Call::on_key("encrypt", KEY, &encrypt_body(b"plaintext", aad))).await.ok();
    let right = decrypt_body(&encrypted, aad);
    let part = |member: &str| unbase64(&right[member]);
    let with = |member: &str, bytes: &[u8]| {
        let mut body = right.clone();
        body[member] = base64(bytes).into();
        body
    };
    let flipped = |member: &str| {
        let mut bytes = part(member);
        bytes[0] ^= 1;
        with(member, &bytes)
    };
    let without = |member: &str| {
        let mut body = right.clone();
        body.as_object_mut().unwrap().remove(member);
        body
    };
    let mut appended = with("ciphertext", &[part("ciphertext"), part("authenticationTag")].concat());
    appended["authenticationTag"] = "".into();
    let long_iv = [part("initializationVector"), vec![0; 4]].concat();

    let mut seen = Vec::new();
    for body in [
        flipped("ciphertext"),
        flipped("initializationVector"),
        flipped("authenticationTag"),
        flipped("ciphertextMetadata"),
        flipped("additionalAuthenticatedData"),
        without("additionalAuthenticatedData"),
        without("ciphertextMetadata"),
        appended,
        with("authenticationTag", &part("authenticationTag")[..15]),
        with("authenticationTag", &part("authenticationTag")[..4]),
        with("authenticationTag", &[part("authenticationTag"), vec![0]].concat()),
        with("initializationVector", &part("initializationVector")[..11]),
        with("initializationVector", &[]),
        with("initializationVector", &long_iv),
        with("initializationVector", &[0; 13]),
        with("ciphertext", b""),
    ] {
        let reply = client.send(&Call::on_key("decrypt", KEY, &body)).await;
        reply.is_error(400, "InvalidCiphertextException");
        seen.push(reply.body);
    }
    assert!(seen.iter().all(|body| *body == seen[0]));
    client.send(&Call::on_key("decrypt", KEY, &right)).await.ok();
    // Under another key too.
    client.send(&Call::on_key("decrypt", "vector", &right)).await.is_error(400, "InvalidCiphertextException");
}

/// XKS-P-51, XKS-P-60, XKS-P-61, XKS-P-62: ciphertexts of somebody else's making decrypt.
#[tokio::test]
async fn the_vectors_decrypt() {
    let rig = Rig::new().await;
    let mut tried = 0;
    for vector in vectors()["aad_gcm"].as_array().unwrap() {
        // The longest is given by generators; `sizes` makes the round trip with its lengths.
        let text = |member: &str| vector.get(member).and_then(Value::as_str);
        let (Some(aad), Some(plaintext)) = (text("additional_authenticated_data_hex"), text("plaintext_hex"))
        else {
            continue;
        };
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        };
        let aad = bytes(aad);
        let body = decrypt_body(&vector["response"], (!aad.is_empty()).then_some(&aad));
        let reply = rig.send(&Call::on_key("decrypt", "vector", &body)).await;
        if unbase64(&vector["response"]["initializationVector"]).len() == 16 {
            // The software key manager takes 12 bytes alone, and may; it must not fail otherwise.
            reply.is_error(400, "InvalidCiphertextException");
        } else {
            assert_eq!(unbase64(&reply.ok()["plaintext"]), bytes(plaintext), "{}", vector["name"]);
        }
        tried += 1;
    }
    assert!(tried >= 5, "{tried}");
}
