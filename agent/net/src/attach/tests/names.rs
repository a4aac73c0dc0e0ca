//! Names, where each network has a server of its own (network-field.md kind 13).

use super::*;

/// The server of the first network knows no such name, the first server of the second is dead.
#[test]
fn one_network_that_knows_no_such_name_does_not_end_the_search() {
    in_a_network(|near, there| {
        let other = There::new();
        other.far_end(near, ("cable0", "other0"), Some("198.51.100.1/24"));
        there.far_end(near, ("cable1", "server1"), Some("192.0.2.1/24"));
        let _ignorant = other.dnsmasq("other0", "--port=53 --no-resolv --no-hosts --local=/lan/");
        let _knowing = there.dnsmasq("server1", "--port=53 --no-resolv --no-hosts --address=/image.lan/192.0.2.1");
        let line = "ip=198.51.100.9:::24::cable0:none:198.51.100.1 ip=192.0.2.9:::24::cable1:none:192.0.2.77:192.0.2.1";
        let attached = Attached::begin(wish(line), Path::new("/")).unwrap();
        until_up(&attached, &["cable0", "cable1"]);
        let end = Instant::now() + LONG;
        // Until both servers listen.
        let found = loop {
            match attached.reach().addresses("image.lan") {
                Ok(found) => break found,
                Err(failure) => assert!(Instant::now() < end, "{failure:?}"),
            }
        };
        assert_eq!(found, [IpAddr::from([192, 0, 2, 1])]);
        let begun = Instant::now();
        let failure = attached.reach().addresses("nobody.lan").unwrap_err().unwrap();
        let words = failure.to_string();
        assert!(words.contains("198.51.100.1 says that there is no such name"), "{words}");
        assert!(words.contains("192.0.2.77 says ") && words.contains("192.0.2.1 says "), "{words}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    });
}
