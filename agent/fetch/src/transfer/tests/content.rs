//! What comes: images, pages, other versions, compressed files.

use super::*;

#[test]
fn a_login_page_is_no_image() {
    let server = Server::new(|_, peer| {
        say(peer, "200 OK", "Content-Type: text/html\r\n", "<html>\x1b[2J<title>Hotel Wi-Fi: please log in")
    });
    let (line, took) = give_up(patient(), &server, 60);
    let words = "http://S/i.iso: what the server sent is no image (ISO 9660, squashfs, EROFS, ext4, or one of them compressed): \
        text/html, begins with `<html>\\x1b[2J<title>Hotel Wi-Fi: please ` (1 try in 0 s)";
    assert_eq!(line, words);
    assert!(took < secs(20.0));
}

#[test]
fn a_file_that_is_cut_on_the_server_is_told_before_the_rest_comes() {
    let data = image(3_000_000);
    let server = Server::new(move |request, peer| serve(request, peer, &data[..2_000_000], "\"x\""));
    let (line, _) = give_up(patient(), &server, 60);
    assert!(
        line.contains("the file on the server is cut: its squashfs needs 3000000 bytes (2 MiB), it has 2000000"),
        "{line}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn without_a_length_that_is_found_at_the_end() {
    let data = image(300_000);
    let server = Server::new(move |_, peer| {
        peer.write_all(b"HTTP/1.0 200 OK\r\n\r\n")?;
        peer.write_all(&data[..200_000]).map(|()| false)
    });
    let (line, _) = give_up(patient(), &server, 60);
    assert!(line.contains("is cut: its squashfs needs 300000 bytes (292 KiB), it has 200000"), "{line}");
}

#[test]
fn bodies_without_a_length() {
    let data = image(300_000);
    let served = data.clone();
    let chunked = Server::new(move |_, peer| {
        peer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for piece in served.chunks(7_777) {
            peer.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
            peer.write_all(piece)?;
            peer.write_all(b"\r\n")?;
        }
        peer.write_all(b"0\r\n\r\n").map(|()| true)
    });
    let served = data.clone();
    let until_close = Server::new(move |_, peer| {
        peer.write_all(b"HTTP/1.0 200 OK\r\n\r\n")?;
        peer.write_all(&served).map(|()| false)
    });
    for server in [chunked, until_close] {
        let (fetched, place) = get(&server);
        assert!(place.image() == data);
        assert_eq!((fetched.length, place.offers.lock().unwrap()[0].length), (300_000, None));
    }
}

#[test]
fn an_empty_file() {
    let server = Server::new(|request, peer| serve(request, peer, &[], "\"x\""));
    let (line, _) = give_up(patient(), &server, 60);
    assert_eq!(line, "http://S/i.iso: S: the file is empty (1 try in 0 s)");
    let server = Server::new(|_, peer| peer.write_all(b"HTTP/1.0 200 OK\r\n\r\n").map(|()| false));
    let (line, _) = give_up(patient(), &server, 60);
    assert_eq!(line, "http://S/i.iso: the file is empty (1 try in 0 s)");
}

/// As long, with the same beginning, but another tag: only one version is ever in one output.
#[test]
fn a_file_that_changes_between_its_parts_is_begun_anew() {
    let old = image(2_000_000);
    let mut new = old.clone();
    new[1_000_000..].reverse();
    let (before, after) = (old.clone(), new.clone());
    let server = Server::new(move |request, peer| match request.nth {
        0 => serve(request, peer, &before, "\"a\""),
        1 => {
            let (head, body) = part(request, &before, "\"a\"");
            peer.write_all(head.as_bytes())?;
            peer.write_all(&body[..700_000]).map(|()| false)
        }
        _ => serve(request, peer, &after, "\"b\""),
    });
    let (fetched, place) = get(&server);
    assert!(place.image() == new);
    assert_eq!((fetched.restarts, place.outputs.lock().unwrap().len()), (1, 2));
    let first = place.outputs.lock().unwrap()[0].clone();
    assert!(!first.finished && first.bytes == old[..765_536], "the first output has the old version alone");
}

/// Two servers behind one name, each with a tag of its own: each new connection leads to the other one.
#[test]
fn where_tags_differ_the_digest_decides() {
    let data = image(2_000_000);
    let digest: [u8; 32] = Sha256::digest(&data).into();
    let served = data.clone();
    let server = Server::new(move |request, peer| {
        let (head, body) = part(request, &served, ["\"a\"", "\"b\""][request.connection % 2]);
        peer.write_all(head.as_bytes())?;
        let sent = body.len().min(700_000);
        peer.write_all(&body[..sent]).map(|()| sent == body.len())
    });
    let mut place = Memory::default();
    let mut with = job(&[server.url("/")], 60);
    with.digest = Some(digest);
    let fetched = run(patient(), &with, &mut place).unwrap();
    assert!(place.image() == data);
    assert_eq!((fetched.restarts, fetched.verified), (1, true));
    let (line, _) = give_up(patient(), &server, 60);
    assert!(line.contains("it was begun 4 times"), "{line}");
}

#[test]
fn a_file_that_becomes_shorter_is_begun_anew() {
    let (old, new) = (image(2_000_000), image(100_000));
    let served = new.clone();
    let server = Server::new(move |request, peer| match request.nth {
        0 => serve(request, peer, &old, ""),
        _ => serve(request, peer, &served, ""),
    });
    let (fetched, place) = get(&server);
    assert!(place.image() == new);
    assert_eq!(fetched.restarts, 1);
}

#[test]
fn a_file_that_never_comes_to_rest() {
    let data = image(2_000_000);
    let server = Server::new(move |request, peer| serve(request, peer, &data, &format!("\"{}\"", request.nth)));
    let (line, took) = give_up(patient(), &server, 60);
    let words = "http://S/i.iso: the file on the server changed while it was fetched: it was ETag \"6\" and is ETag \"7\"; \
        it was begun 4 times";
    assert_eq!(line, words);
    assert!(took < secs(20.0));
}

#[test]
fn a_wrong_digest_shows_both() {
    let data = image(400_000);
    let digest: [u8; 32] = Sha256::digest(&data).into();
    let server = Server::new(move |request, peer| serve(request, peer, &data, "\"x\""));
    let url = |digest: &[u8; 32]| format!("{}#sha256={}", server.url("/i.iso"), hex(digest)).parse::<Url>().unwrap();
    let mut place = Memory::default();
    let fetched = run(patient(), &job(&[url(&digest)], 60), &mut place).unwrap();
    assert!(fetched.verified);
    let mut wrong = digest;
    wrong[31] ^= 1;
    let mut place = Memory::default();
    let stop = run(patient(), &job(&[url(&wrong)], 60), &mut place).unwrap_err();
    assert!(matches!(&stop, Stop::Digest { expected, found, .. } if (expected, found) == (&wrong, &digest)), "{stop}");
    assert!(stop.to_string().contains(&hex(&digest)) && stop.to_string().contains(&hex(&wrong)));
    assert!(!place.outputs.lock().unwrap()[0].finished, "what is wrong is never said to be complete");
}

/// `.gz` in front, and what [`Plain`] adds.
fn packed(image: &[u8]) -> Vec<u8> {
    [b"\x1f\x8b\x08.......".as_slice(), image].concat()
}

fn unpack(data: Vec<u8>, unpacks: bool, digest: Option<[u8; 32]>) -> (Result<Fetched, Stop>, Memory) {
    let server = Server::new(move |request, peer| serve(request, peer, &data, "\"x\""));
    let mut place = Memory { unpacks, ..Memory::default() };
    let mut job = job(&[server.url("/i.iso.gz")], 60);
    job.digest = digest;
    (run(patient(), &job, &mut place), place)
}

#[test]
fn a_compressed_image_is_unpacked_while_it_comes() {
    for size in [1000, 70_000, 3_000_000] {
        let data = image(size);
        let file = packed(&data);
        let digest: [u8; 32] = Sha256::digest(&file).into();
        let (fetched, place) = unpack(file.clone(), true, Some(digest));
        let fetched = fetched.unwrap();
        assert!(place.image() == data);
        assert_eq!((fetched.length, fetched.written), (file.len() as u64, size as u64));
        let offers = place.offers.lock().unwrap();
        assert_eq!(
            (offers[0].packed, offers[0].written(), offers[0].length),
            (Some(Packing::Gzip), None, Some(file.len() as u64))
        );
        assert_eq!(offers[0].image.as_ref().unwrap().size, Some(size as u64));
    }
}

#[test]
fn compressed_files_that_are_no_good() {
    let line = |data: Vec<u8>, unpacks| unpack(data, unpacks, None).0.unwrap_err().to_string();
    assert!(line(packed(&image(9000)), false).contains("compressed (Gzip), and this initrd cannot unpack that"));
    assert!(line(packed(b"just a text"), true).contains("is no image"));
    assert!(line(packed(&packed(&image(9000))), true).contains("compressed twice"));
    assert!(
        line(packed(&[&image(200_000)[..], b"!DAMAGED"].concat()), true).contains("the compressed image is damaged")
    );
    assert!(line(b"\x1f\x8b\x08".to_vec(), true).contains("the compressed image is damaged"));
    assert!(line(packed(&image(200_000)[..150_000]), true).contains("is cut: its squashfs needs 200000 bytes"));
}

#[test]
fn the_place_has_the_last_word() {
    struct Full;
    impl Place for Full {
        fn open(&mut self, offered: &Offered) -> Result<Box<dyn Output>, Refusal> {
            Err(format!("{} bytes are too much", offered.length.unwrap()).into())
        }
    }
    let data = image(400_000);
    let served = data.clone();
    let server = Server::new(move |request, peer| serve(request, peer, &served, "\"x\""));
    let stop = fetch(&Arc::new(patient()), &job(&[server.url("/")], 60), &mut Full, |_| ()).unwrap_err();
    assert!(matches!(stop, Stop::Refused(_)) && stop.to_string() == "400000 bytes are too much", "{stop}");
    assert_eq!(server.requests().len(), 1, "nothing more is fetched");
    let mut place = Memory { room: Some(300_000), ..Memory::default() };
    let stop = run(patient(), &job(&[server.url("/")], 60), &mut place).unwrap_err();
    assert!(matches!(&stop, Stop::Output(error) if error.raw_os_error() == Some(28)), "{stop}");
}
