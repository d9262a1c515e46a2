//! Which addresses are of the public Internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that anybody may reach, anywhere: not of this machine, of its networks, of documents or
/// tests, nor of many at once.
///
/// The special-purpose registries of IANA, read strictly: what is not plainly public is not public. An IPv6 address that
/// stands for one of IPv4, mapped or by a translator of addresses, is as public as that.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !SPECIAL_V4.iter().any(|(network, length)| (bits ^ network.to_bits()) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let within =
        |(network, length): &(Ipv6Addr, u32)| (address.to_bits() ^ network.to_bits()) >> (128 - length) == 0;
    let [.., a, b, c, d] = address.octets();
    if within(&MAPPED) || within(&TRANSLATED) {
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    within(&GLOBAL_UNICAST) && !SPECIAL_V6.iter().any(within)
}

const fn v4(a: u8, b: u8, c: u8, length: u32) -> (Ipv4Addr, u32) {
    (Ipv4Addr::new(a, b, c, 0), length)
}

const fn v6(a: u16, b: u16, c: u16, length: u32) -> (Ipv6Addr, u32) {
    (Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    v4(0, 0, 0, 8),       // this network
    v4(10, 0, 0, 8),      // private
    v4(100, 64, 0, 10),   // shared, behind a carrier's translator
    v4(127, 0, 0, 8),     // loopback
    v4(169, 254, 0, 16),  // link-local, metadata of clouds
    v4(172, 16, 0, 12),   // private
    v4(192, 0, 0, 24),    // assignments to protocols
    v4(192, 0, 2, 24),    // documents
    v4(192, 88, 99, 24),  // relays of 6to4, of the past
    v4(192, 168, 0, 16),  // private
    v4(198, 18, 0, 15),   // benchmarks
    v4(198, 51, 100, 24), // documents
    v4(203, 0, 113, 24),  // documents
    v4(224, 0, 0, 4),     // multicast
    v4(240, 0, 0, 4),     // reserved, broadcast
];

/// All that is public is in it; the rest is reserved, of this machine, unique or link-local, multicast.
const GLOBAL_UNICAST: (Ipv6Addr, u32) = v6(0x2000, 0, 0, 3);
/// `::ffff:a.b.c.d`
const MAPPED: (Ipv6Addr, u32) = (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
/// `64:ff9b::a.b.c.d`, by which NAT64 reaches IPv4. The one for local use, `64:ff9b:1::/48`, is not public.
const TRANSLATED: (Ipv6Addr, u32) = v6(0x64, 0xff9b, 0, 96);

const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    v6(0x2001, 0, 0, 23),     // assignments to protocols: Teredo, benchmarks and others
    v6(0x2001, 0xdb8, 0, 32), // documents
    v6(0x2002, 0, 0, 16),     // 6to4, which leads to an address of IPv4
    v6(0x3fff, 0, 0, 20),     // documents
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> bool {
        is_public(address.parse().unwrap())
    }

    /// The first and the last of each network, and its neighbours on both sides.
    #[test]
    fn what_is_special_ends_where_the_registry_says() {
        for (first, last, before, after) in [
            ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
            ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
            ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
            ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
            ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
            ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
            ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
            ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
            ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
            ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
            ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
            ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
            ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
            ("224.0.0.0", "255.255.255.255", Some("223.255.255.255"), None),
            ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2000:ffff::1"), Some("2001:200::")),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:db7::1"), Some("2001:db9::")),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:ffff::1"), Some("2003::")),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3ffe:ffff::1"), Some("3fff:1000::")),
            ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ] {
            assert!(!of(first) && !of(last), "{first} to {last}");
            assert!(before.is_none_or(of) && after.is_none_or(of), "around {first} to {last}");
        }
    }

    #[test]
    fn what_one_would_try_is_not_public() {
        for address in [
            "127.0.0.1",
            "169.254.169.254",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "fe80::1",
            "fec0::1",
            "fd00:ec2::254",
            "ff02::1",
            "100::1",
            "5f00::1",
            "64:ff9b:1::808:808",
            "2002:7f00:1::",
        ] {
            assert!(!of(address), "{address}");
        }
    }

    /// `::ffff:0:0/96` and `64:ff9b::/96`
    #[test]
    fn an_address_that_stands_for_another_is_as_public_as_that() {
        for (v4, public) in [
            ("0.0.0.0", false),
            ("8.8.8.8", true),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("203.0.113.9", false),
            ("224.0.0.1", false),
        ] {
            for of_v6 in ["::ffff:", "64:ff9b::"] {
                assert_eq!(of(&format!("{of_v6}{v4}")), public, "{of_v6}{v4}");
            }
            assert_eq!(of(v4), public, "{v4}");
        }
    }

    #[test]
    fn the_internet_is_public() {
        for address in ["1.1.1.1", "52.94.5.1", "2600:1f18::1", "2a05:d018::1", "2606:4700:4700::1111"] {
            assert!(of(address), "{address}");
        }
    }
}
