use super::*;

fn url(text: &str) -> Url {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn t53_the_request_target_is_what_was_written() {
    for (text, target, authority) in [
        ("http://h", "/", "h"),
        ("http://h?a=b", "/?a=b", "h"),
        ("http://H.Example:8080/a/../b/./c", "/a/../b/./c", "h.example:8080"),
        ("https://h:443/x", "/x", "h"),
        ("http://h:443/x", "/x", "h:443"),
        ("http://h:/x", "/x", "h"),
        // A signed URL: nothing decoded, nothing sorted, nothing encoded twice.
        (
            "https://b.s3/i%2Fx+y=.iso?X-Sig=a%2Bb%3D&b=c;d&e=$(f)'g\"h",
            "/i%2Fx+y=.iso?X-Sig=a%2Bb%3D&b=c;d&e=$(f)'g\"h",
            "b.s3",
        ),
        ("http://h/a b\u{e4}.iso?x y", "/a%20b%C3%A4.iso?x%20y", "h"),
        ("http://h/100%.iso", "/100%.iso", "h"),
        ("http://h/a?b?c=/d#e?f", "/a?b?c=/d", "h"),
        ("http://u:p@h/x@y", "/x@y", "h"),
        ("http://192.0.2.7:81/x", "/x", "192.0.2.7:81"),
        ("http://[2001:db8::1]:81/x", "/x", "[2001:db8::1]:81"),
        ("http://[fe80::1%25eth0]/x", "/x", "[fe80::1]"),
        ("ftp://h/x;type=i", "/x;type=i", "h"),
        ("http://h//a//b/", "//a//b/", "h"),
    ] {
        let url = url(text);
        assert_eq!((url.target().as_str(), url.authority().as_str()), (target, authority), "{text}");
    }
}

#[test]
fn hosts() {
    for (text, host) in [
        ("http://h_1.example./", Host::Name("h_1.example.".into())),
        ("http://192.0.2.7/", Host::V4([192, 0, 2, 7].into())),
        ("http://[::1]/", Host::V6(Ipv6Addr::LOCALHOST, None)),
        ("http://[fe80::1%25eth0]:8/", Host::V6("fe80::1".parse().unwrap(), Some("eth0".into()))),
        ("http://[fe80::1%eth0.5]/", Host::V6("fe80::1".parse().unwrap(), Some("eth0.5".into()))),
    ] {
        assert_eq!(url(text).host(), &host, "{text}");
    }
}

#[test]
fn what_is_refused() {
    let host = |name: &str| UrlError::Host(name.into());
    for (text, error) in [
        ("h/x", UrlError::NoScheme),
        ("//h/x", UrlError::NoScheme),
        ("torrent://h/x", UrlError::Scheme("torrent".into())),
        ("FILE:///x", UrlError::Scheme("file".into())),
        ("http:/x", UrlError::NoHost),
        ("http://", UrlError::NoHost),
        ("http:///x", UrlError::NoHost),
        ("http://u@/x", UrlError::NoHost),
        ("http://:80/x", UrlError::NoHost),
        ("http://h:0/x", UrlError::Port("0".into())),
        ("http://h:65536/x", UrlError::Port("65536".into())),
        ("http://h:+80/x", UrlError::Port("+80".into())),
        ("http://h:8 0/x", UrlError::Port("8 0".into())),
        ("http://h\u{e4}/x", host("h\u{e4}")),
        ("http://h h/x", host("h h")),
        ("http://h..x/", host("h..x")),
        ("http://-h/", host("-h")),
        // The classful and octal forms of old resolvers: another address than the one that is seen.
        ("http://010.0.0.1/", host("010.0.0.1")),
        ("http://1.2.3/", host("1.2.3")),
        ("http://2130706433/", host("2130706433")),
        ("http://fe80::1/x", UrlError::Port(":1".into())),
        ("http://[fe80::1/x", host("[fe80::1")),
        ("http://[fe80::1]x/", host("[fe80::1]x")),
        ("http://[fe80::1%25]/", host("[fe80::1%25]")),
        ("http://[fe80::1%25a b]/", host("[fe80::1%25a b]")),
        ("http://h/a\r\nX: y", UrlError::Control(13)),
        ("http://h/a\0", UrlError::Control(0)),
        ("http://h/a\x7f", UrlError::Control(0x7f)),
    ] {
        assert_eq!(text.parse::<Url>(), Err(error), "{text:?}");
    }
    assert_eq!(format!("http://h/{}", "a".repeat(MAX_LEN)).parse::<Url>(), Err(UrlError::TooLong(MAX_LEN + 9)));
}

#[test]
fn credentials_are_decoded_and_never_shown() {
    let url = url("http://us%40er:pa%3Ass@w\u{f6}rd@h:81/x?y=1&token=geheim&X-Amz-Signature=geheim#z");
    let credentials = url.credentials().unwrap();
    assert_eq!(credentials.user, b"us@er");
    assert_eq!(credentials.password, "pa:ss@w\u{f6}rd".as_bytes());
    assert_eq!(url.to_string(), "http://h:81/x?y=1&token=…&X-Amz-Signature=…");
    let debug = format!("{:?}", url.credentials());
    assert!(!debug.contains("us") && !debug.contains("pa"), "{debug}");
    for wrong in ["http://user:geheim@h:x/", "http://user:geheim@h h/", "nix://user:geheim@h/"] {
        let error = wrong.parse::<Url>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("geheim"), "{error}");
    }
}

#[test]
fn digest_in_the_fragment() {
    let hex = "00ff".repeat(16);
    let digest = url(&format!("http://h/x#sha256={hex}")).digest().unwrap().unwrap();
    assert_eq!(&digest[..4], &[0, 255, 0, 255]);
    assert_eq!(url("http://h/x").digest(), Ok(None));
    assert_eq!(url("http://h/x#part").digest(), Ok(None));
    assert_eq!(url("http://h/x#sha256=00").digest(), Err(UrlError::Digest(2)));
    assert_eq!(url(&format!("http://h/x#sha256={}", "0x".repeat(32))).digest(), Err(UrlError::Digest(64)));
    assert_eq!(url(&format!("http://h/x#sha256={}", "+1".repeat(32))).digest(), Err(UrlError::Digest(64)));
}

/// RFC 3986, section 5.4, without the references that have no host.
#[test]
fn references_are_resolved_as_the_rfc_says() {
    let base = url("http://a/b/c/d;p?q");
    for (reference, resolved) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        (";x", "http://a/b/c/;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        ("..g", "http://a/b/c/..g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("https://h:8443/x?t=%2F", "https://h:8443/x?t=%2F"),
        ("x:y z", "http://a/b/c/x:y%20z"),
    ] {
        // `x:y z` would be a scheme; it is here to show that one is refused, not taken for a file.
        if reference.starts_with("x:") {
            assert_eq!(base.resolve(reference), Err(UrlError::Scheme("x".into())));
            continue;
        }
        assert_eq!(base.resolve(reference).unwrap().to_string(), resolved, "{reference}");
    }
    assert_eq!(url("http://a").resolve("g").unwrap().to_string(), "http://a/g");
    assert_eq!(url("http://[fe80::1%25eth0]/").resolve("/g").unwrap().host().zone(), Some("eth0"));
    assert_eq!(base.resolve("/a\nb"), Err(UrlError::Control(10)));
}

#[test]
fn credentials_follow_to_the_same_server_only() {
    let base = url("http://u:p@a/b");
    for (reference, kept) in [
        ("/c", true),
        ("//a/c", true),
        ("http://a:80/c", true),
        ("https://a/c", true),
        ("https://a:8443/c", false),
        ("http://a:81/c", false),
        ("//b/c", false),
        ("http://x:y@b/c", false),
    ] {
        let resolved = base.resolve(reference).unwrap();
        assert_eq!(resolved.credentials().is_some(), kept, "{reference}");
        assert!(resolved.credentials().is_none_or(|credentials| credentials.user == b"u"), "{reference}");
    }
    // Never the other way: what was given for an encrypted connection is not sent in clear.
    assert!(url("https://u:p@a/b").resolve("http://a/b").unwrap().credentials().is_none());
}

/// What is read is read again the same: the target neither grows nor shrinks, whatever the bytes are.
#[test]
fn hostile_urls_do_no_harm() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let pieces = [
        "http://",
        "ftp:",
        "//",
        "/",
        "..",
        ".",
        "?",
        "#",
        "@",
        ":",
        "[",
        "]",
        "%",
        "%25",
        "fe80::1",
        "h",
        "1",
        "\u{202e}",
        " ",
        "sha256=",
        "\u{1f4be}",
    ];
    let base = url("http://u@a/b/c?d");
    for _ in 0..50_000 {
        let text: String = (0..random() % 12).map(|_| pieces[(random() % pieces.len() as u64) as usize]).collect();
        for parsed in [text.parse::<Url>(), base.resolve(&text)].into_iter().flatten() {
            assert!(
                parsed.target().starts_with('/') && parsed.target().bytes().all(|b| b.is_ascii_graphic()),
                "{text}"
            );
            assert!(parsed.authority().bytes().all(|b| b.is_ascii_graphic()), "{text}");
            let again = url(&format!("{}://{}{}", parsed.scheme().name(), parsed.authority(), parsed.target()));
            assert_eq!(again.target(), parsed.target(), "{text}");
            let _ = parsed.digest();
        }
    }
}
