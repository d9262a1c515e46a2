//! Kinds of members, and values that are none of them.

use serde_json::{Value, json};

/// What a member may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Any of the ways to name a key.
    Key,
    /// The same, but for an alias.
    Target,
    StoreId,
    StoreName,
    KnownStoreName,
    /// What a name that no alias can have is answered with.
    Alias(&'static str),
    Endpoint,
    UriPath,
    ServiceName,
    Account,
    ClusterId,
    Password,
    Certificate,
    XksKeyId,
    PolicyName,
    Marker,
    /// Any text of this length.
    Free(usize, usize),
    Word(&'static [&'static str]),
    Integer(u32, u32),
    Boolean,
    /// As many bytes at most, and one at least.
    Blob(usize),
    Context,
    Credential,
    Tags,
    TagKeys,
    Owners,
}

/// A value that a member may not have, and the name of the error.
pub(super) type Bad = (Value, &'static str);

const SERIALIZATION: &str = "SerializationException";
const VALIDATION: &str = "ValidationException";

impl Kind {
    /// What this cannot be.
    pub(super) fn bad(self) -> Vec<Bad> {
        use Kind::*;
        let mut bad = self.of_another_type();
        match self {
            Key => {
                bad.extend(lengths(1, 2048));
                let none = ["no key", "1234abcd", "\0", "alias/\0", "alias/a b", "ключ", "alias/aws/s3"];
                bad.extend(each(&none, "NotFoundException"));
                bad.push((json!("arn:aws:kms:us-east-1:444455556666:alias/payroll"), "NotFoundException"));
            }
            Target => {
                bad.extend(lengths(1, 2048));
                bad.extend(each(&["no key", "\0"], "NotFoundException"));
                bad.push((json!("alias/payroll"), VALIDATION));
            }
            StoreId => {
                bad.extend(lengths(1, 64));
                bad.extend(each(&["cks-0", "\0", "a\nb"], "CustomKeyStoreNotFoundException"));
            }
            StoreName => {
                bad.extend(lengths(1, 256));
                bad.extend(each(&["\0", "a\nb"], VALIDATION));
            }
            KnownStoreName => {
                bad.extend(lengths(1, 256));
                bad.extend(each(&["\0", "nobody"], "CustomKeyStoreNotFoundException"));
            }
            Alias(name) => {
                bad.extend(lengths(1, 256));
                bad.extend(each(&["alias/a b", "alias/é", "alias/\0"], VALIDATION));
                bad.extend(each(&["payroll", "alias/", "alias/aws/s3", "alias/a:b"], name));
            }
            Endpoint => {
                bad.extend(lengths(10, 128));
                let none = [
                    "http://xks.example.com",
                    "https://xks.example.com:443",
                    "https://xks.example.com/",
                    "https://192.0.2.1",
                    "https://localhost",
                    "https://xks.exam\0ple.com",
                    "https://xks_1.example.com",
                ];
                bad.extend(each(&none, VALIDATION));
            }
            UriPath => {
                bad.extend(lengths(11, 128));
                let none =
                    ["/kms/xks/v1/", "/kms/xks/v2", "//kms/xks/v1", "/a b/kms/xks/v1", "/a\0/kms/xks/v1"];
                bad.extend(each(&none, VALIDATION));
            }
            ServiceName => {
                bad.extend(lengths(20, 64));
                let none =
                    ["com.amazonaws.vpce.us-east-1.vpce-svc-\0", "com.example.vpce.us-east-1.vpce-svc-0"];
                bad.extend(each(&none, VALIDATION));
            }
            Account => {
                bad.extend(each(&["", "1", "11112222333a", "1111222233334", "11112222333\0"], VALIDATION))
            }
            ClusterId => {
                bad.extend(lengths(19, 24));
                bad.extend(each(
                    &["cluster-1111111111111", "cluste--abcdefghij2", "cluster-abcdefghij\0"],
                    VALIDATION,
                ));
            }
            Password => {
                bad.extend(lengths(7, 32));
                bad.extend(each(&["correct horse", "correcthors\0"], VALIDATION));
            }
            Certificate => {
                bad.extend(lengths(1, 5000));
                bad.extend(each(&["\0", "é"], VALIDATION));
            }
            XksKeyId => {
                bad.extend(lengths(1, 128));
                bad.extend(each(&["a b", "a/b", "\0", "é"], VALIDATION));
            }
            PolicyName => {
                bad.extend(lengths(1, 128));
                bad.extend(each(&["a b", "\0"], VALIDATION));
                bad.push((json!("other"), "NotFoundException"));
            }
            Marker => {
                bad.extend(lengths(1, 1024));
                bad.extend(each(&["x", "\0", "YQ", "a2V5cwo1Ng=="], "InvalidMarkerException"));
            }
            Free(least, most) => bad.extend(lengths(least, most)),
            Word(words) => {
                bad.extend(each(&["", "nothing", "\0", &"x".repeat(300_000)], VALIDATION));
                bad.extend(words.iter().map(|word| (json!(word.to_lowercase()), VALIDATION)));
            }
            Integer(least, most) => {
                let outside = [i64::from(least) - 1, i64::from(most) + 1, -1, i64::MAX, i64::MIN];
                bad.push((json!(u64::MAX), VALIDATION));
                bad.extend(outside.map(|number| (json!(number), VALIDATION)));
                bad.extend([json!(1.5), json!(1e300)].map(|number| (number, SERIALIZATION)));
            }
            Boolean => {}
            Blob(most) => {
                let padded = |bytes: usize| json!(crate::xks_proxy::support::base64(&vec![0; bytes]));
                bad.extend([(json!(""), VALIDATION), (padded(most + 1), VALIDATION)]);
                bad.push((padded(200_000), VALIDATION));
                bad.extend(each(
                    &["A", "AA", "AA=", "!!!!", "A-_A", "AA==\n", "AB==", "\0\0\0\0"],
                    SERIALIZATION,
                ));
            }
            Context => {
                bad.push((json!({ "a": null }), VALIDATION));
                bad.push((json!({ "": "b" }), VALIDATION));
                bad.push((json!({ "a": "b".repeat(8192) }), VALIDATION));
                bad.push((json!({ "a": "b".repeat(300_000) }), VALIDATION));
                let many: serde_json::Map<_, _> =
                    (0..20_000).map(|number| (number.to_string(), json!("x"))).collect();
                bad.push((Value::Object(many), VALIDATION));
                bad.extend([json!({ "a": {} }), json!({ "a": [] })].map(|value| (value, SERIALIZATION)));
            }
            Credential => bad.extend(credentials()),
            Tags => bad.extend(tags()),
            TagKeys => {
                bad.extend([json!([1]), json!([{}])].map(|value| (value, SERIALIZATION)));
                bad.extend(
                    [json!([""]), json!(["a".repeat(129)]), json!([null])].map(|value| (value, VALIDATION)),
                );
                bad.extend([json!(["aws:a"]), json!(vec!["a"; 51])].map(|value| (value, "TagException")));
            }
            Owners => {
                bad.extend(
                    [json!([]), json!(["NOBODY"]), json!(["SELF", "SELF", "SELF"])]
                        .map(|value| (value, VALIDATION)),
                );
                bad.push((json!(["OTHER_ACCOUNTS_VIA_RAM"]), "UnsupportedOperationException"));
                bad.push((json!([1]), SERIALIZATION));
            }
        }
        bad
    }

    fn of_another_type(self) -> Vec<Bad> {
        use Kind::*;
        let all = [json!("x"), json!(1), json!(true), json!([]), json!({})];
        let own = match self {
            Integer(..) => 1,
            Boolean => 2,
            Tags | TagKeys | Owners => 3,
            Context | Credential => 4,
            _ => 0,
        };
        let others = all.into_iter().enumerate().filter(|(index, _)| *index != own);
        others.map(|(_, value)| (value, SERIALIZATION)).collect()
    }
}

/// Too short, too long by one, and by very much.
fn lengths(least: usize, most: usize) -> Vec<Bad> {
    let mut bad = vec![(json!("a".repeat(most + 1)), VALIDATION), (json!("a".repeat(300_000)), VALIDATION)];
    if least > 0 {
        bad.extend([(json!(""), VALIDATION), (json!("a".repeat(least - 1)), VALIDATION)]);
    }
    bad
}

fn each(values: &[&str], error: &'static str) -> Vec<Bad> {
    values.iter().map(|value| (json!(value), error)).collect()
}

fn credentials() -> Vec<Bad> {
    let (id, secret) = (json!("AKIDOFATEST222222222"), json!("s".repeat(43)));
    let of = |id: Value, secret: Value| json!({ "AccessKeyId": id, "RawSecretAccessKey": secret });
    let mut bad = vec![(json!({}), VALIDATION), (json!({ "AccessKeyId": id }), VALIDATION)];
    for wrong in
        [json!(null), json!(""), json!("A".repeat(19)), json!("A".repeat(31)), json!("akidofatest222222222")]
    {
        bad.push((of(wrong, secret.clone()), VALIDATION));
    }
    for wrong in
        [json!(null), json!(""), json!("s".repeat(42)), json!("s".repeat(65)), json!("\0".repeat(43))]
    {
        bad.push((of(id.clone(), wrong), VALIDATION));
    }
    bad.push((of(json!(1), secret), SERIALIZATION));
    bad.push((of(id, json!(["s"])), SERIALIZATION));
    bad
}

fn tags() -> Vec<Bad> {
    let of = |key: Value, value: Value| json!([{ "TagKey": key, "TagValue": value }]);
    let many: Vec<_> =
        (0..51).map(|number| json!({ "TagKey": number.to_string(), "TagValue": "" })).collect();
    vec![
        (json!(["a"]), SERIALIZATION),
        (json!([null]), VALIDATION),
        (of(json!(1), json!("a")), SERIALIZATION),
        (of(json!("a"), json!({})), SERIALIZATION),
        (json!([{}]), VALIDATION),
        (of(json!("a"), json!(null)), VALIDATION),
        (of(json!(""), json!("a")), VALIDATION),
        (of(json!("a".repeat(129)), json!("a")), VALIDATION),
        (of(json!("a"), json!("a".repeat(257))), VALIDATION),
        (of(json!("AWS:a"), json!("a")), "TagException"),
        (json!([{ "TagKey": "a", "TagValue": "" }, { "TagKey": "a", "TagValue": "" }]), "TagException"),
        (json!(many), "TagException"),
    ]
}
