use zstd::bulk::Compressor;

use super::*;

/// A module with relocations and 20 of 50 texts that others have, too.
fn module(number: usize) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    (file[16], file[58], file[60]) = (1, 64, 1);
    for record in 0..100_u64 {
        let fields = [record * 24 + number as u64, (record % 7) << 32 | 2, record.wrapping_mul(8).wrapping_sub(4)];
        file.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
    }
    for part in 0..20 {
        let seed = ((number * 7 + part * 3) % 50) as u32;
        let byte = |at: u32| ((seed + 1).wrapping_mul(at + 1).wrapping_mul(2_654_435_761) >> 13) as u8;
        file.extend((0..400).map(byte));
        file.extend((0..100).map(|at| byte(at + 400 * number as u32)));
    }
    let headers = (file.len() as u64).to_le_bytes();
    file[40..48].copy_from_slice(&headers);
    let mut header = [0; 64];
    (header[4], header[24], header[56]) = (4, 64, 24);
    header[32..40].copy_from_slice(&2400_u64.to_le_bytes());
    file.extend(header);
    file
}

fn dictionary(of: std::ops::Range<usize>) -> Vec<u8> {
    let modules: Vec<Vec<u8>> = of.map(|number| packed::pack(module(number))).collect();
    zstd::dict::from_samples(&modules, 16 << 10).unwrap()
}

fn compressed(module: &[u8], dictionary: &[u8], checksum: bool) -> Vec<u8> {
    let mut compressor = match dictionary {
        [] => Compressor::new(19),
        dictionary => Compressor::with_dictionary(19, dictionary),
    }
    .unwrap();
    compressor.include_checksum(checksum).unwrap();
    compressor.compress(module).unwrap()
}

/// A root of ours with this file as the dictionary.
fn root(stored: Option<&[u8]>) -> (tempfile::TempDir, Env) {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::new(dir.path());
    if let Some(stored) = stored {
        let path = env.path(layout::MODULE_DICTIONARY);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, stored).unwrap();
    }
    (dir, env)
}

#[test]
fn what_the_builder_and_what_distributions_compress_is_unpacked() {
    let dictionary = dictionary(0..60);
    let (_dir, env) = root(Some(&packed::seal(&dictionary)));
    let shared = Shared::default();
    for number in [3, 59, 400] {
        let (module, packed) = (module(number), packed::pack(module(number)));
        assert_ne!(module, packed);
        let file = compressed(&packed, &dictionary, true);
        assert!(file.len() < compressed(&packed, &[], true).len(), "the dictionary is used");
        for (name, file) in [
            ("ours", file),
            ("ours, without a dictionary", compressed(&packed, &[], true)),
            ("a distribution's", compressed(&module, &[], false)),
            ("of a program that adds checksums", compressed(&module, &[], true)),
        ] {
            assert_eq!(unpack(&env, &file, &shared).unwrap(), module, "{name} {number}");
        }
    }
}

#[test]
fn a_dictionary_that_cannot_be_used_is_told_table() {
    let (ours, other) = (dictionary(0..60), dictionary(100..160));
    let module = module(1);
    let file = compressed(&packed::pack(module.clone()), &ours, true);
    let stored = packed::seal(&ours);
    let mut altered = stored.clone();
    *altered.last_mut().unwrap() ^= 1;
    for (dictionary, expected) in [
        (None, "is missing"),
        (Some(altered), "is damaged"),
        (Some(stored[..stored.len() / 2].to_vec()), "is damaged"),
        (Some(Vec::new()), "is damaged"),
        (Some(packed::seal(b"no dictionary")), "is damaged"),
        (Some(packed::seal(&other)), "is of another initrd"),
    ] {
        let (_dir, env) = root(dictionary.as_deref());
        let shared = Shared::default();
        let fault = unpack(&env, &file, &shared).unwrap_err();
        assert!(matches!(fault, Fault::Dictionary(why) if why == expected), "{fault:?}, expected {expected}");
        // What needs none is loaded all the same.
        assert_eq!(unpack(&env, &compressed(&module, &[], false), &shared).unwrap(), module);
    }
}

#[test]
fn a_module_with_any_other_byte_is_never_taken_for_the_module() {
    let dictionary = dictionary(0..60);
    let (_dir, env) = root(Some(&packed::seal(&dictionary)));
    let shared = Shared::default();
    let module = module(2);
    let file = compressed(&packed::pack(module.clone()), &dictionary, true);
    for at in 0..file.len() {
        assert!(unpack(&env, &file[..at], &shared).is_err(), "{at}");
        for bits in [1, 0x80] {
            let mut other = file.clone();
            other[at] ^= bits;
            if let Ok(unpacked) = unpack(&env, &other, &shared) {
                assert!(unpacked == module, "{at} {bits}");
            }
        }
    }
}
