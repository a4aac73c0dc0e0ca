//! Redirects, TLS, proxies: whom the client talks to, and what it tells them.

use std::io::Write as _;

use super::*;
use crate::faulty::{Loopback, Request};
use crate::policy::{Changed, Identity, Validator};
use crate::tls::{Material, tests::Authority};

#[test]
fn t52_e7_redirects_are_followed_with_their_tokens() {
    let server = Server::new(|request, peer| match request.target() {
        "/a?b" => say(peer, "302 x", "Location: c/../d?token=x%2Fy+z&e\r\n", "moved"),
        "/d?token=x%2Fy+z&e" => serve(request, peer, b"hello", ""),
        _ => say(peer, "400 x", "", ""),
    });
    let mut client = Client::new(Arc::new(patient()));
    let mut answer = client.get(&server.url("/a?b"), START, None).unwrap();
    assert_eq!(answer.url.target(), "/d?token=x%2Fy+z&e");
    assert_eq!(read(&mut answer.body).unwrap(), b"hello");
    assert_eq!(server.connections(), 1, "the connection of a short redirect is used again");
}

#[test]
fn n_p6_an_endless_redirect_ends() {
    let server = Server::new(|request, peer| {
        let next: usize = request.target()[1..].parse().unwrap();
        if next == 10 {
            serve(request, peer, b"hello", "")
        } else {
            say(peer, "301 x", &format!("Location: /{}\r\n", next + 1), "")
        }
    });
    assert!(once(patient(), &server.url("/0"), START).is_ok(), "ten are followed");
    let endless = Server::new(|_, peer| say(peer, "307 x", "Location: /?\r\n", ""));
    let error = once(patient(), &endless.url("/"), START).unwrap_err();
    assert!(matches!(error, Error::Redirects { .. }), "{error}");
    assert_eq!(endless.requests().len(), 11);
    for (location, why) in
        [("ftp://h/x", "does not fetch ftp"), ("gopher://h/", "does not fetch gopher"), ("http://", "names no server")]
    {
        let server = Server::new(move |_, peer| say(peer, "302 x", &format!("Location: {location}\r\n"), ""));
        let error = once(patient(), &server.url("/"), START).unwrap_err();
        assert!(matches!(error, Error::Location { .. }) && error.verdict() == Verdict::Final, "{location} {error}");
        assert!(error.to_string().contains(why) || location.starts_with("ftp"), "{error}");
    }
}

#[test]
fn credentials_do_not_follow_to_another_server() {
    let other = Server::new(|request, peer| serve(request, peer, b"hello", ""));
    let target = other.url("/x").to_string().replace("http://", "http://evil:evil@");
    let server = Server::new(move |request, peer| match request.target() {
        "/" => say(peer, "302 x", "Location: /here\r\n", ""),
        _ => say(peer, "302 x", &format!("Location: {target}\r\n"), ""),
    });
    let url: Url = server.url("/").to_string().replace("http://", "http://user:geheim@").parse().unwrap();
    once(patient(), &url, START).unwrap();
    let sent = |request: &Request| request.field("authorization").map(str::to_owned);
    let expected = Some("Basic dXNlcjpnZWhlaW0=".to_owned());
    assert_eq!(server.requests().iter().map(sent).collect::<Vec<_>>(), [expected.clone(), expected]);
    assert_eq!(other.requests().iter().map(sent).collect::<Vec<_>>(), [None]);
}

#[test]
fn a_status_behind_a_redirect_says_where_it_came_from() {
    let other = Server::new(|_, peer| say(peer, "403 x", "", ""));
    let target = other.url("/x?token=geheim");
    let shown = target.to_string();
    let location = format!("http://{}{}", target.authority(), target.target());
    let server = Server::new(move |_, peer| say(peer, "302 x", &format!("Location: {location}\r\n"), ""));
    let error = once(patient(), &server.url("/"), START).unwrap_err();
    assert_eq!(error.to_string(), format!("{} (redirected to {shown}): 403 Forbidden", other.address));
    assert!(!shown.contains("geheim"));
}

fn trust(ca: &Authority) -> Option<Trust> {
    let pem = ca.pem();
    Some(Trust::new(&Material { bundle: pem.as_bytes(), ..Material::default() }).unwrap())
}

#[test]
fn https_and_no_way_back_to_http() {
    let ca = Authority::new();
    let plain = Server::new(|request, peer| serve(request, peer, b"in clear", ""));
    let back = plain.url("/").to_string();
    let server = Server::tls(ca.issue(&["image.test"], -1, 1).server(), move |request, peer| match request.target() {
        "/back" => say(peer, "302 x", &format!("Location: {back}\r\n"), ""),
        _ => serve(request, peer, &noise(100_000), "\"x\""),
    });
    let url = |target: &str| format!("https://image.test:{}{target}", server.address.port()).parse::<Url>().unwrap();
    let setup = || Setup { trust: trust(&ca), ..patient() };
    let mut client = Client::new(Arc::new(setup()));
    for (from, to) in [(0, 1000), (1000, 100_000)] {
        let (_, bytes) = fetch(&mut client, &url("/"), Wanted::Range { from, to }).unwrap();
        assert_eq!(bytes, noise(100_000)[from as usize..to as usize]);
    }
    assert_eq!(server.connections(), 1);
    let error = fetch(&mut client, &url("/back"), START).unwrap_err();
    assert!(matches!(error, Error::Downgrade { .. }) && error.verdict() == Verdict::Final, "{error}");
    assert_eq!(plain.requests().len(), 0);
    // The other way is allowed.
    let up = url("/");
    let up = format!("https://{}{}", up.authority(), up.target());
    let server = Server::new(move |_, peer| say(peer, "301 x", &format!("Location: {up}\r\n"), ""));
    assert!(once(setup(), &server.url("/"), START).is_ok());
}

#[test]
fn why_a_server_is_not_trusted_is_told_with_its_address() {
    let (ca, other) = (Authority::new(), Authority::new());
    let server = Server::tls(ca.issue(&["image.test"], -1, 1).server(), |request, peer| serve(request, peer, b"x", ""));
    let url = format!("https://image.test:{}/", server.address.port()).parse().unwrap();
    let error = once(Setup { trust: trust(&other), ..patient() }, &url, START).unwrap_err();
    let words = "a CA that is not among the 1 known ones issued the server's certificate; add it with rd.live.ca=";
    assert_eq!(error.to_string(), format!("{}: {words}", server.address));
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn e9_through_a_proxy() {
    let proxy = Server::new(|request, peer| match request.field("proxy-authorization") {
        None => say(peer, "407 x", "", ""),
        Some(_) => serve(request, peer, b"from the proxy", ""),
    });
    let setup = |proxy: String, except: &str| {
        let proxy = Some(Proxy::parse(&proxy, NoProxy::parse(except)).unwrap());
        Setup { proxy, trust: trust(&Authority::new()), ..patient() }
    };
    let with = format!("pu:pp@{}", proxy.address);
    let url = "http://u:p@image.test/a%2Fb?c".parse().unwrap();
    let (_, bytes) = once(setup(with.clone(), ""), &url, START).unwrap();
    assert_eq!(bytes, b"from the proxy");
    let request = &proxy.requests()[0];
    assert_eq!(request.target(), "http://image.test/a%2Fb?c");
    assert_eq!((request.field("host"), request.field("authorization")), (Some("image.test"), Some("Basic dTpw")));
    assert_eq!(request.field("proxy-authorization"), Some("Basic cHU6cHA="));
    let error = once(setup(proxy.address.to_string(), ""), &url, START).unwrap_err();
    assert!(error.to_string().contains("407") && error.verdict() == Verdict::Final, "{error}");
    // Directly, and without the proxy's credentials.
    let server = Server::new(|request, peer| serve(request, peer, b"direct", ""));
    let url = format!("http://image.test:{}/", server.address.port()).parse().unwrap();
    assert_eq!(once(setup(with.clone(), ".test"), &url, START).unwrap().1, b"direct");
    assert_eq!(server.requests()[0].field("proxy-authorization"), None);
    // A tunnel is asked for by name and port, without the server's credentials.
    let error =
        once(setup(proxy.address.to_string(), ""), &"https://u:p@image.test/".parse().unwrap(), START).unwrap_err();
    assert!(matches!(error, Error::Proxy { status: 407, .. }), "{error}");
    let last = proxy.requests().pop().unwrap();
    assert_eq!((last.method(), last.target(), last.field("authorization")), ("CONNECT", "image.test:443", None));
}

#[test]
fn a_tunnel_carries_tls() {
    let ca = Authority::new();
    let server =
        Server::tls(ca.issue(&["image.test"], -1, 1).server(), |request, peer| serve(request, peer, b"secret", ""));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, to) = (listener.local_addr().unwrap(), server.address);
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            io::Read::read_exact(&mut client, &mut byte).unwrap();
            head.push(byte[0]);
        }
        let mut server = TcpStream::connect(to).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || io::copy(&mut from, &mut into));
        let _ = io::copy(&mut server, &mut client);
    });
    let proxy = Some(Proxy::parse(&address.to_string(), NoProxy::default()).unwrap());
    let (_, bytes) =
        once(Setup { proxy, trust: trust(&ca), ..patient() }, &"https://image.test/".parse().unwrap(), START).unwrap();
    assert_eq!(bytes, b"secret");
}

#[test]
fn another_version_is_noticed_before_its_bytes_are_used() {
    let server = Server::new(|request, peer| {
        serve(request, peer, &noise(100), if request.nth == 0 { "\"a\"" } else { "\"b\"" })
    });
    let mut client = Client::new(Arc::new(patient()));
    let identity = client.get(&server.url("/"), START, None).unwrap().identity;
    assert_eq!(identity, Identity { total: Some(100), validator: Validator::Tag("\"a\"".into()) });
    let error = client.get(&server.url("/"), START, Some(&identity)).err().unwrap();
    assert!(matches!(error, Error::Changed { why: Changed::Version { .. }, .. }), "{error}");
}

#[test]
fn debug_output_has_no_credentials() {
    let proxy = Some(Proxy::parse("pu:geheim@h", NoProxy::default()).unwrap());
    let setup = Setup { proxy, ..Setup::new(Arc::new(Loopback)) };
    assert!(!format!("{setup:?}").contains("geheim"));
}

/// network-field.md kind 17c, and the clock of 17b.
#[test]
fn a_redirect_to_https_says_what_is_missing_and_what_time_servers_think_it_is() {
    let ca = Authority::new();
    let early = ca.issue(&["127.0.0.1"], 2, 3);
    let strange = Authority::new().issue(&["127.0.0.1"], -1, 1);
    for (leaf, trusting, says) in [
        (&early, Some(Trust::new(&Material::default()).unwrap()), "add the server's with rd.live.ca="),
        (&strange, trust(&ca), "add it with rd.live.ca="),
        (&early, trust(&ca), "correct it in the firmware's setup; a server says that it is 2027-02-03 04:05 UTC"),
    ] {
        let secret = Server::tls(leaf.server(), |request, peer| serve(request, peer, b"hello", ""));
        let target = format!("https://{}/x", secret.address);
        let location = target.clone();
        let plain = Server::new(move |_, peer| {
            say(peer, "302 x", &format!("Date: Wed, 03 Feb 2027 04:05:06 GMT\r\nLocation: {location}\r\n"), "")
        });
        let setup = Setup { trust: trusting, ..patient() };
        let error = once(setup, &plain.url("/"), START).unwrap_err();
        assert_eq!(error.verdict(), Verdict::Final);
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&format!("(redirected to {target})")), "{text}");
    }
}
