//! The bytes of a request.

use crate::url::{Credentials, Url};

use super::Wanted;

/// `GET`, nothing else: a presigned URL is for one method (network-field.md kind 15). No `If-Range`, no `If-Match` (streaming.md 4.2).
pub(super) fn get(url: &Url, wanted: Wanted, proxy: Option<&Credentials>, absolute: bool) -> String {
    let target = if absolute { format!("http://{}{}", url.authority(), url.target()) } else { url.target() };
    let mut text = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n", url.authority());
    text.push_str(concat!(
        "User-Agent: rdlive/",
        env!("CARGO_PKG_VERSION"),
        "\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    ));
    if let Wanted::Range { from, to } = wanted {
        text.push_str(&format!("Range: bytes={from}-{}\r\n", to.saturating_sub(1)));
    }
    if let Some(credentials) = url.credentials() {
        text.push_str(&format!("Authorization: Basic {}\r\n", basic(credentials)));
    }
    if let Some(credentials) = proxy {
        text.push_str(&format!("Proxy-Authorization: Basic {}\r\n", basic(credentials)));
    }
    text + "\r\n"
}

/// A tunnel through a proxy (RFC 9110, section 9.3.6). The server's credentials are none of the proxy's business.
pub(super) fn connect(url: &Url, proxy: Option<&Credentials>) -> String {
    let server = format!("{}:{}", url.host(), url.port());
    let credentials = proxy.map(|credentials| format!("Proxy-Authorization: Basic {}\r\n", basic(credentials)));
    format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n{}\r\n", credentials.unwrap_or_default())
}

/// RFC 7617.
fn basic(credentials: &Credentials) -> String {
    base64(&[&credentials.user[..], b":", &credentials.password[..]].concat())
}

/// RFC 4648, section 4.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn requests() {
        let url: Url = "http://Aladdin:open%20sesame@h:81/a%2Fb?c=d#e".parse().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let common = format!("User-Agent: rdlive/{version}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n");
        let authorization = "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
        assert_eq!(
            get(&url, Wanted::Range { from: 5, to: 10 }, None, false),
            format!("GET /a%2Fb?c=d HTTP/1.1\r\nHost: h:81\r\n{common}Range: bytes=5-9\r\n{authorization}\r\n")
        );
        let user = Credentials { user: b"u".into(), password: b"p".into() };
        assert_eq!(
            get(&url, Wanted::Whole, Some(&user), true),
            format!(
                "GET http://h:81/a%2Fb?c=d HTTP/1.1\r\nHost: h:81\r\n{common}{authorization}Proxy-Authorization: Basic dTpw\r\n\r\n"
            )
        );
        let url: Url = "https://u:p@[2001:db8::1]/x".parse().unwrap();
        assert_eq!(connect(&url, None), "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n");
    }
}
