//! A module as a native initramfs stores it: what is damaged is refused, and what was packed comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdlive_media::packed;

fuzz_target!(|data: &[u8]| {
    let _ = packed::unseal(data);
    let _ = packed::unpack(data.to_vec());
    if !data.starts_with(&packed::MARK) {
        assert_eq!(packed::unpack(packed::pack(data.to_vec())).as_deref(), Ok(data));
    }
});
