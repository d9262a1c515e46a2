//! The common name in the subject of a certificate, which `rustls` does not read.
//!
//! As much of X.509 as leads there, by DER's own rules; what is not as it should be has no common name.

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0] EXPLICIT`
const VERSION: u8 = 0xa0;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The common name; `None` when there is none or more than one, since then nobody can say which counts.
pub(super) fn common_name(certificate: &[u8]) -> Option<&str> {
    let mut certificate = Der(Der(certificate).take(SEQUENCE)?);
    let mut signed = Der(certificate.take(SEQUENCE)?);
    if signed.peek() == Some(VERSION) {
        signed.take(VERSION)?;
    }
    signed.take(INTEGER)?; // serial number
    signed.take(SEQUENCE)?; // algorithm of the signature
    signed.take(SEQUENCE)?; // issuer
    signed.take(SEQUENCE)?; // validity
    let mut subject = Der(signed.take(SEQUENCE)?);

    let mut found = None;
    while subject.peek().is_some() {
        let mut set = Der(subject.take(SET)?);
        while set.peek().is_some() {
            let mut attribute = Der(set.take(SEQUENCE)?);
            if attribute.take(OBJECT_ID)? != COMMON_NAME {
                continue;
            }
            let kind = attribute.peek()?;
            if found.is_some() || !matches!(kind, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) {
                return None;
            }
            found = Some(str::from_utf8(attribute.take(kind)?).ok()?);
        }
    }
    found
}

/// What is still to be read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The contents of the next value, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match *first {
            short @ ..=0x7f => (usize::from(short), rest),
            // No certificate is so long that its length would need more than three bytes.
            long @ 0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*found == tag).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_name_is_found_among_others() {
        let names = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "cn.example.com"),
            (DnType::CommonName, "cks.kms.eu-west-1.amazonaws.com"),
        ];
        assert_eq!(common_name(&certificate(&names)), Some("cks.kms.eu-west-1.amazonaws.com"));
        assert_eq!(common_name(&certificate(&names[..2])), None);
        assert_eq!(common_name(&certificate(&[])), None);
    }

    #[test]
    fn two_names_are_none() {
        let der = certificate(&[(DnType::CommonName, "aaaa"), (DnType::OrganizationName, "bbbb")]);
        // Turns the organization (2.5.4.10) into a second common name, in subject and issuer.
        let mut twice = der;
        for at in 0..twice.len() - 3 {
            if twice[at..at + 3] == [0x55, 0x04, 0x0a] {
                twice[at + 2] = 0x03;
            }
        }
        assert_eq!(common_name(&twice), None);
    }

    #[test]
    fn damage_never_panics() {
        let der = certificate(&[(DnType::CommonName, "name")]);
        for length in 0..der.len() {
            assert!(common_name(&der[..length]).is_none(), "cut at {length}");
        }
        for at in 0..der.len() {
            for value in [0, 0x7f, 0x80, 0x81, 0x84, 0xff] {
                let mut damaged = der.clone();
                damaged[at] = value;
                let _any = common_name(&damaged);
            }
        }
    }
}
