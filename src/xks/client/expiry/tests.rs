use std::time::{Duration, SystemTime};

use super::not_after;

fn certificate(year: i32) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["proxy.example.com".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 6, 1);
    params.self_signed(&key).unwrap().der().to_vec()
}

#[test]
fn the_end_is_read_in_both_notations_of_time() {
    // 2030-06-01 as UTCTime, 2060-06-01 as GeneralizedTime.
    for (year, since_epoch) in [(2030, 1_906_502_400), (2060, 2_853_273_600)] {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch);
        assert_eq!(not_after(&certificate(year)), Some(end), "{year}");
    }
}

#[test]
fn what_is_no_certificate_has_no_end() {
    assert_eq!(not_after(b""), None);
    let whole = certificate(2030);
    for length in 0..whole.len() {
        assert_eq!(not_after(&whole[..length]), None, "{length}");
    }
}
