//! The query.

use crate::sigv4::query::canonical;

#[test]
fn a_query_has_one_canonical_form() {
    for (query, expected) in [
        ("", ""),
        ("&&", ""),
        ("a", "a="),
        ("a=", "a="),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1&a", "a=&a=1&a=2"),
        ("a=b=c", "a=b%3Dc"),
        ("Action=X&Version=2014-11-01", "Action=X&Version=2014-11-01"),
        ("a=%7e%41~-._", "a=~A~-._"),
        ("a=%2f/", "a=%2F%2F"),
        ("a=%20b+c", "a=%20b%2Bc"),
        ("a=%", "a=%25"),
        ("a=%4", "a=%254"),
        ("a=%zz%4g", "a=%25zz%254g"),
        // Sorted as they are encoded.
        ("a~=1&a%2f=1", "a%2F=1&a~=1"),
        ("\u{e9}=%C3%a9", "%C3%A9=%C3%A9"),
    ] {
        let mut text = Vec::new();
        canonical(&mut text, query);
        assert_eq!(str::from_utf8(&text).unwrap(), expected, "{query}");
    }
}
