//! What an endpoint is called.

/// The names of the host that requests may be sent to; where nobody has said which, all.
#[derive(Debug)]
pub(super) struct Hosts(Option<Vec<Box<str>>>);

impl Hosts {
    /// `None` if one of them can be none, or if there is none: somebody wanted to say which.
    pub(super) fn new(names: Option<Vec<String>>) -> Option<Self> {
        let Some(names) = names else { return Some(Self(None)) };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        let is_name = |name: &String| !name.is_empty() && name.bytes().all(legal);
        let are_names = !names.is_empty() && names.iter().all(is_name);
        are_names.then(|| Self(Some(names.into_iter().map(Into::into).collect())))
    }

    /// Whether this is one of them, as a request names it: with a port or without.
    pub(super) fn have(&self, host: &[u8]) -> bool {
        let Some(names) = &self.0 else { return true };
        let host = host.trim_ascii();
        let without_port = || {
            let colon = host.iter().rposition(|b| *b == b':')?;
            let (name, port) = host.split_at_checked(colon)?;
            port.get(1..)?.iter().all(u8::is_ascii_digit).then_some(name)
        };
        let is = |name: &str, host: &[u8]| name.as_bytes().eq_ignore_ascii_case(host);
        let among = |host: &[u8]| names.iter().any(|name| is(name, host));
        among(host) || without_port().is_some_and(among)
    }
}
