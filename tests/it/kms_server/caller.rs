//! A client that knows nothing of the crate: HTTP/1.1 and signature version 4 by the book.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use jiff::Timestamp;
use serde_json::Value;

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) request_id: String,
    pub(super) body: Value,
}

impl Answer {
    /// The name of the error.
    pub(super) fn exception(&self) -> &str {
        self.body["__type"].as_str().unwrap_or_default()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) id: String,
    pub(super) secret: String,
}

impl Caller {
    /// `None` if the answer does not come, or not whole.
    pub(super) fn call(&self, at: SocketAddr, operation: &str, body: &Value) -> Option<Answer> {
        let body = body.to_string();
        let request = self.request(at, operation, &body);
        let mut stream = TcpStream::connect(at).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        parsed(&String::from_utf8(answer).ok()?)
    }

    fn request(&self, at: SocketAddr, operation: &str, body: &str) -> String {
        let date = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &date[..8];
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("host", at.to_string()),
            ("x-amz-date", date.clone()),
            ("x-amz-target", format!("TrentService.{operation}")),
        ];
        let lines = |separator: &str| -> String {
            headers.iter().map(|(name, value)| format!("{name}:{value}{separator}")).collect()
        };
        let names = headers.each_ref().map(|(name, _)| *name).join(";");
        let canonical = format!("POST\n/\n\n{}\n{names}\n{}", lines("\n"), hex(&sha256(body.as_bytes())));
        let scope = format!("{day}/us-east-1/kms/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day, "us-east-1", "kms", "aws4_request", &text] {
            key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
        }
        format!(
            "POST / HTTP/1.1\r\n{}connection:close\r\ncontent-length:{}\r\nauthorization:AWS4-HMAC-SHA256 \
             Credential={}/{scope}, SignedHeaders={names}, Signature={}\r\n\r\n{body}",
            lines("\r\n"),
            body.len(),
            self.id,
            hex(&key)
        )
    }
}

fn parsed(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let header = |wanted: &str| {
        let named = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        };
        head.lines().find_map(named)
    };
    if header("content-length")?.parse::<usize>().ok()? != body.len() {
        return None;
    }
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        request_id: header("x-amzn-requestid")?,
        body: serde_json::from_str(body).ok()?,
    })
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
