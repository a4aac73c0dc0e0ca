//! Mirrors and redirects.

use super::*;

fn good(data: &[u8], tag: &'static str) -> Server {
    let data = data.to_vec();
    Server::new(move |request, peer| serve(request, peer, &data, tag))
}

/// Breaks for good behind so many bytes of the file.
fn dying(data: &[u8], at: usize) -> Server {
    let data = data.to_vec();
    Server::new(move |request, peer| {
        let (first, _) = request.range().unwrap();
        if first >= at {
            return Ok(false);
        }
        let (head, body) = part(request, &data, "\"a\"");
        peer.write_all(head.as_bytes())?;
        let cut = body.len().min(at - first);
        peer.write_all(&body[..cut])?;
        Ok(cut == body.len())
    })
}

#[test]
fn a_mirror_takes_over_where_the_file_is_missing_or_the_server_is_wrong() {
    let data = image(500_000);
    for status in ["404 x", "401 x", "500 x"] {
        let first = Server::new(move |_, peer| say(peer, status, "", ""));
        let mirror = good(&data, "\"m\"");
        let mut place = Memory::default();
        let fetched = run(patient(), &job(&[first.url("/"), mirror.url("/m")], 60), &mut place).unwrap();
        assert!(place.image() == data);
        assert_eq!(fetched.address, mirror.address);
        assert_eq!(first.requests().len(), if status == "500 x" { 2 } else { 1 }, "{status}");
    }
}

#[test]
fn a_mirror_takes_over_in_the_middle_of_the_file() {
    let data = image(2_000_000);
    let (first, mirror) = (dying(&data, 1_000_000), good(&data, "\"m\""));
    let mut place = Memory::default();
    let fetched = run(patient(), &job(&[first.url("/"), mirror.url("/m")], 60), &mut place).unwrap();
    assert!(place.image() == data);
    assert_eq!((fetched.restarts, fetched.address), (0, mirror.address));
    let ranges: Vec<_> = mirror.requests().iter().map(|request| request.range().unwrap().0).collect();
    assert_eq!(ranges, [0, 1_000_000], "its beginning is compared, and then only what is missing is asked for");
}

#[test]
fn a_mirror_with_another_file_is_not_used() {
    let data = image(2_000_000);
    let mut other = data.clone();
    other[60_000] ^= 1;
    for wrong in [other, image(2_000_001)] {
        let first = dying(&data, 1_000_000);
        let (bad, mirror) = (good(&wrong, "\"a\""), good(&data, "\"m\""));
        let mut place = Memory::default();
        let sources = [first.url("/"), bad.url("/"), mirror.url("/")];
        let fetched = run(patient(), &job(&sources, 60), &mut place).unwrap();
        assert!(place.image() == data);
        assert_eq!((fetched.restarts, fetched.address, bad.requests().len()), (0, mirror.address, 1));
    }
}

#[test]
fn when_all_end_the_first_cause_is_told() {
    let first = Server::new(|_, peer| say(peer, "401 x", "", ""));
    let mirror = Server::new(|_, peer| say(peer, "200 OK", "Content-Type: text/html\r\n", "<html>"));
    let stop = run(patient(), &job(&[first.url("/"), mirror.url("/")], 60), &mut Memory::default()).unwrap_err();
    let Stop::Source(failure) = stop else { panic!("{stop}") };
    assert_eq!((failure.why, failure.tries), (GaveUp::NoSource, 2));
    assert!(failure.to_string().contains("401 Unauthorized"), "{failure}");
}

#[test]
fn redirects_that_lead_nowhere() {
    let endless = Server::new(|_, peer| say(peer, "302 x", "Location: /again\r\n", ""));
    let (line, _) = give_up(patient(), &endless, 1);
    assert_eq!(line, "http://S/i.iso: S: more than 10 redirects, the last one to http://S/again (1 try in 1 s)");
    let away = Server::new(|_, peer| say(peer, "302 x", "Location: gopher://h/\r\n", ""));
    let (line, took) = give_up(patient(), &away, 60);
    assert!(line.contains("rdlive does not fetch gopher: URLs") && took < secs(20.0), "{line}");
}

/// A token that is good for three requests; then the first URL has to be asked for a new one.
#[test]
fn a_redirects_target_is_used_until_it_expires() {
    let data = image(400_000);
    let served = data.clone();
    let used = AtomicUsize::new(0);
    let cdn = Server::new(move |request, peer| {
        let token: usize = request.target().rsplit('=').next().unwrap().parse().unwrap();
        if used.fetch_add(1, Ordering::SeqCst) >= 3 * (token + 1) {
            used.store(3 * (token + 1), Ordering::SeqCst);
            return say(peer, "403 Expired", "", "");
        }
        let (head, body) = part(request, &served, "\"x\"");
        peer.write_all(head.as_bytes())?;
        let cut = body.len().min(66_000);
        peer.write_all(&body[..cut]).map(|()| cut == body.len())
    });
    let tokens = AtomicUsize::new(0);
    let target = cdn.address;
    let server = Server::new(move |_, peer| {
        let token = tokens.fetch_add(1, Ordering::SeqCst);
        say(peer, "302 x", &format!("Location: http://{target}/i?a=%2F&n={token}\r\n"), "")
    });
    let began = Instant::now();
    let (_, place) = get(&server);
    assert!(place.image() == data);
    // 6 pieces of 66 kB and one for the beginning, three for a token.
    assert_eq!(server.requests().len(), 3);
    assert!(began.elapsed() < secs(9.0), "a token that expired is no failure: {:?}", began.elapsed());
}
