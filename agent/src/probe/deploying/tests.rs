//! Power cuts at every write of a deployment.

use std::cell::RefCell;
use std::io::Read;

use super::*;

const SIZE: u64 = 8 << 20;

/// Where, and what; `None` is a flush.
type Entry = Option<(u64, Vec<u8>)>;

/// Remembers writes.
#[derive(Default)]
struct Log(RefCell<Vec<Entry>>);

impl Disk for &Log {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        // In pieces, as a disk takes them: a cut may come between any two.
        for (number, piece) in bytes.chunks(128 << 10).enumerate() {
            self.0.borrow_mut().push(Some((at + (number as u64 * (128 << 10)), piece.to_vec())));
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.borrow_mut().push(None);
        Ok(())
    }
}

fn image(seed: u8) -> Vec<u8> {
    (0..5 << 20).map(|at: usize| (at as u8).wrapping_mul(31) ^ (at >> 9) as u8 ^ seed).collect()
}

fn whose() -> Whose {
    Whose { url: "http://h/x".into(), file: Some([7; 32]), disk: Some([8; 7]) }
}

/// How far the work on a disk is, and nothing that was not noted.
fn how_far(file: &File, size: u64) -> Option<Deploying> {
    let known = known(file, size).unwrap()?;
    assert_eq!(known.whose, whose());
    Some(known.how_far)
}

/// The writes of a whole deployment of an image.
fn deployed(log: &Log, image: &[u8], old: Option<&Old>) {
    let mut notes = Notes::of(log, SIZE, whose(), 0);
    notes.begin(old).unwrap();
    for (number, piece) in image[HEAD..].chunks(1 << 20).enumerate() {
        let at = (HEAD + (number << 20)) as u64;
        log.write(piece, at).unwrap();
        log.sync().unwrap();
        notes.came(at + piece.len() as u64).unwrap();
    }
    notes.close(&image[..HEAD]).unwrap();
}

fn disk(before: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(SIZE).unwrap();
    file.write_all_at(before, 0).unwrap();
    file
}

fn content(file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = file;
    io::Seek::rewind(&mut file).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The disk at a cut, with what its cache held kept, lost, or torn.
fn cut_at(before: &[u8], writes: &[Entry], cut: usize, cache: &str) -> File {
    let file = disk(before);
    let flushed = writes[..cut].iter().rposition(Option::is_none).map_or(0, |at| at + 1);
    for (number, write) in writes[..cut].iter().enumerate() {
        let Some((at, bytes)) = write else { continue };
        let (is_safe, is_last, half) = (number < flushed, number + 1 == cut, bytes.len() / 1024 * 512);
        let part = match cache {
            "lost" if !is_safe => 0..0,
            "every second" if !is_safe && number % 2 == 0 => 0..0,
            "half of the last" if !is_safe && is_last => 0..half,
            "other half of the last" if !is_safe && is_last => half..bytes.len(),
            _ => 0..bytes.len(),
        };
        file.write_all_at(&bytes[part.clone()], *at + part.start as u64).unwrap();
    }
    file
}

/// At each of some 180 cuts, with what the disk's cache holds kept, lost, or torn, the disk is what it was, ours and unfinished, or
/// complete; what is unfinished ends complete, and of it as much is there as it says.
#[test]
fn wherever_the_power_is_cut_the_work_is_known() {
    let (old, new) = (image(0), image(0x55));
    let replaced = Old { head: old[..HEAD].to_vec(), places: vec![(3 << 20, 64 << 10), (6 << 20, 64 << 10)] };
    let (mut done_seen, mut marked) = (Vec::new(), 0);
    for (before, replaced) in [(&[][..], None), (&old[..], Some(&replaced))] {
        let log = Log::default();
        deployed(&log, &new, replaced);
        let writes = log.0.into_inner();
        assert!(writes.len() > 60, "{}", writes.len());
        for cut in 0..=writes.len() {
            for cache in ["kept", "lost", "every second", "half of the last", "other half of the last"] {
                let file = cut_at(before, &writes, cut, cache);
                let (state, now) = (how_far(&file, SIZE), content(&file));
                let begins_as = |image: &[u8]| now[..HEAD] == image[..HEAD];
                let why = || format!("cut at {cut} of {}, cache {cache}: {state:?}", writes.len());
                match &state {
                    Some(Deploying::Clearing(copy)) => {
                        let zero_or_old = |(at, byte): (usize, &u8)| *byte == 0 || old[at] == *byte;
                        assert!(now[..HEAD].iter().enumerate().all(zero_or_old), "{}", why());
                        assert!(*copy == old[..HEAD] && !before.is_empty(), "{}", why());
                    }
                    Some(Deploying::Writing { done }) => {
                        assert!(now[..HEAD].iter().all(|byte| *byte == 0), "{}", why());
                        let there = HEAD..(*done as usize).max(HEAD);
                        assert!(now[there.clone()] == new[there], "{}", why());
                        done_seen.push(*done);
                    }
                    Some(Deploying::Closing(head)) => {
                        assert!(*head == new[..HEAD] && now[HEAD..new.len()] == new[HEAD..], "{}", why());
                        Notes::of(Arc::new(file.try_clone().unwrap()), SIZE, whose(), 0).finish(head).unwrap();
                        assert!(content(&file)[..new.len()] == new);
                        assert_eq!(how_far(&file, SIZE), Some(Deploying::Whole));
                    }
                    Some(Deploying::Whole) => {
                        assert!(now[..new.len()] == new, "{}", why());
                        marked += 1;
                    }
                    // Nothing has been done that anybody would see, the old image is whole, or the new one is.
                    None if begins_as(&new) => assert!(now[..new.len()] == new, "{}", why()),
                    None if before.is_empty() => assert!(now.iter().all(|byte| *byte == 0), "{}", why()),
                    None => assert!(now[..old.len()] == old, "{}", why()),
                }
            }
        }
    }
    done_seen.sort_unstable();
    done_seen.dedup();
    let (most, all) = (done_seen.last().copied(), image(0).len() as u64);
    assert!(done_seen.len() == 6 && most == Some(all) && marked > 1, "{done_seen:?} {marked}");
}

#[test]
fn what_somebody_else_has_begun_since_is_not_ours() {
    let new = image(1);
    let file = disk(&[]);
    let mut notes = Notes::of(Arc::new(file.try_clone().unwrap()), SIZE, whose(), 0);
    notes.begin(None).unwrap();
    assert_eq!(how_far(&file, SIZE), Some(Deploying::Writing { done: 0 }));
    for at in [0, 510, 1024, 32_768, HEAD as u64 - 1] {
        file.write_all_at(b"x", at).unwrap();
        assert_eq!(known(&file, SIZE).unwrap(), None, "{at}");
        file.write_all_at(b"\0", at).unwrap();
    }
    // A disk of another size is another one: a copy of ours.
    assert_eq!(known(&file, SIZE - 512).unwrap(), None);
    file.write_all_at(&new[HEAD..], HEAD as u64).unwrap();
    let mut head = new[..HEAD].to_vec();
    file.write_all_at(&head, SIZE - ROOM).unwrap();
    notes.note(State::Closing, &head, 0).unwrap();
    assert!(matches!(how_far(&file, SIZE), Some(Deploying::Closing(_))));
    file.write_all_at(b"a table of somebody", 440).unwrap();
    assert_eq!(known(&file, SIZE).unwrap(), None);
    file.write_all_at(&new[..HEAD], 0).unwrap();
    assert!(matches!(how_far(&file, SIZE), Some(Deploying::Closing(_))));
    // A copy that is not what the block says.
    head[7] ^= 1;
    file.write_all_at(&head, SIZE - ROOM).unwrap();
    assert_eq!(known(&file, SIZE).unwrap(), None);
    assert_eq!(known(&disk(&[]), SIZE).unwrap(), None);
    assert_eq!(known(&disk(&[]), 4096).unwrap(), None);
}

/// A partition for changes is made in the table, and the image is still known; another image is not.
#[test]
fn what_was_deployed_is_known_by_what_it_is() {
    let new = image(3);
    let file = disk(&[]);
    file.write_all_at(&new, 0).unwrap();
    Notes::of(Arc::new(file.try_clone().unwrap()), SIZE, whose(), 0).close(&new[..HEAD]).unwrap();
    file.write_all_at(b"EFI PART", 512).unwrap();
    file.write_all_at(&[7; 5 * 4096], SIZE - 5 * 4096).unwrap();
    assert_eq!(how_far(&file, SIZE), Some(Deploying::Whole));
    file.write_all_at(b"CD001", TABLE as u64).unwrap();
    assert_eq!(known(&file, SIZE).unwrap(), None);
}

/// The numbers go on where an earlier life has left a note that does not count.
#[test]
fn what_is_begun_anew_comes_after_what_was_there() {
    let file = disk(&[]);
    let begun = |number| {
        let mut notes = Notes::of(Arc::new(file.try_clone().unwrap()), SIZE, whose(), number);
        notes.begin(None).unwrap();
        notes
    };
    begun(0).came(3 << 20).unwrap();
    assert_eq!(how_far(&file, SIZE), Some(Deploying::Writing { done: 3 << 20 }));
    assert_eq!(number(&file, SIZE).unwrap(), 2);
    begun(2);
    assert_eq!(how_far(&file, SIZE), Some(Deploying::Writing { done: 0 }));
}

#[test]
fn a_long_url_is_noted_too() {
    for (length, kept) in [(10, 10), (366, 366), (367, 367), (3000, 3000), (4000, 3000)] {
        let url = "u".repeat(length);
        let file = disk(&[]);
        let whose = Whose { url: url.clone(), file: None, disk: None };
        Notes::of(Arc::new(file.try_clone().unwrap()), SIZE, whose, 0).begin(None).unwrap();
        let known = known(&file, SIZE).unwrap().unwrap();
        assert_eq!(known.whose, Whose { url: url[..kept].to_owned(), file: None, disk: None }, "{length}");
        let first = [0; 4096 - 512];
        file.write_all_at(&first, SIZE - 2 * BLOCK as u64 + 512).unwrap();
        file.write_all_at(&first, SIZE - BLOCK as u64 + 512).unwrap();
        let is_short = super::known(&file, SIZE).unwrap().is_some();
        assert_eq!(is_short, length <= 366, "{length}");
    }
}
