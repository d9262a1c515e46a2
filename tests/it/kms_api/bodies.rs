//! Bodies that are none.

use serde_json::json;

use super::routing::{HAD, NOT_HAD};
use super::support::{Rig, call, call_with, error, is_error};

/// The body is what is wrong.
fn no_bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "true",
        "1",
        "\"{}\"",
        "[]",
        "[{}]",
        "{",
        "}",
        "{}x",
        "{}{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{'a':1}",
        "{\"a\":\"\n\"}",
        "{\"a\":01}",
        "{\"a\":\"\\x\"}",
        "\u{feff}{}",
        "<xml/>",
        "Action=ListKeys&Version=2014-11-01",
        "\0",
        "{}\0",
    ]
    .into_iter()
    .map(|body| body.as_bytes().to_vec())
    .collect();
    bodies.push(vec![0xff, 0xfe, b'{', b'}']);
    bodies.push(b"{\"KeyId\":\"\xff\"}".to_vec());
    bodies.push("[".repeat(10_000).into_bytes());
    bodies.push(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)).into_bytes());
    bodies.push("{\"KeyId\":".repeat(10_000).into_bytes());
    bodies.push([b"{\"a\":", "[".repeat(10_000).as_bytes()].concat());
    bodies
}

#[tokio::test]
async fn what_is_no_json_object_is_a_serialization_error_of_every_operation() {
    let rig = Rig::new().await;
    let before = rig.snapshot().await;
    for operation in HAD {
        for body in no_bodies() {
            let reply = rig.send(&call_with(operation, body.clone())).await;
            let (status, name, _) = error(&reply);
            let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!((status, &*name), (400, "SerializationException"), "{operation} {start}");
        }
    }
    assert_eq!(rig.snapshot().await, before);
}

#[tokio::test]
async fn what_is_not_had_says_so_whatever_the_body_is() {
    let rig = Rig::new().await;
    for operation in NOT_HAD {
        for body in [json!({}).to_string().into_bytes(), Vec::new(), vec![0xff; 100]] {
            let reply = rig.send(&call_with(operation, body)).await;
            let message = is_error(&reply, 400, "UnsupportedOperationException");
            assert_eq!(message, format!("{operation} is not supported"));
        }
    }
}

#[tokio::test]
async fn what_nobody_knows_may_be_nested_however_deep_and_what_is_known_may_not() {
    let rig = Rig::new().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    for nested in [&deep, &objects] {
        let reply = rig.send(&call_with("ListKeys", format!("{{\"New\":{nested}}}").into_bytes())).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        for (operation, member) in [
            ("Encrypt", "KeyId"),
            ("Encrypt", "Plaintext"),
            ("Encrypt", "EncryptionContext"),
            ("Encrypt", "GrantTokens"),
            ("TagResource", "Tags"),
            ("UntagResource", "TagKeys"),
            ("ListKeys", "Limit"),
            ("CreateKey", "MultiRegion"),
            ("CreateCustomKeyStore", "XksProxyAuthenticationCredential"),
        ] {
            let body = format!("{{\"{member}\":{nested}}}");
            let (status, name, _) = error(&rig.send(&call_with(operation, body.into_bytes())).await);
            assert_eq!(status, 400, "{operation} {member}");
            // A list of lists is a list, of something that is none of its entries, or too many.
            let expected = [
                "SerializationException",
                "ValidationException",
                "UnsupportedOperationException",
                "InvalidKeyUsageException",
            ];
            assert!(expected.contains(&&*name), "{operation} {member}: {name}");
        }
    }
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_not_read() {
    let rig = Rig::new().await;
    let with = |length: usize| {
        let mut body = b"{\"New\":\"".to_vec();
        body.resize(length - 2, b'x');
        body.extend_from_slice(b"\"}");
        call_with("ListKeys", body)
    };
    assert_eq!(rig.send(&with(1 << 20)).await.status, 200);
    let reply = rig.send(&with((1 << 20) + 1)).await;
    is_error(&reply, 413, "RequestEntityTooLargeException");
    assert_eq!(rig.send(&call("ListKeys", &json!({}))).await.status, 200);
}
