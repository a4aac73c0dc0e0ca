//! Dialects, waiting, failing, modules, network.

use std::time::Duration;

use super::*;

#[test]
fn a19_t17_rootflags_are_a_list() {
    assert_eq!(read("rd.overlay rootflags=noatime,metacopy=on,").rootflags, ["noatime", "metacopy=on"]);
    assert_eq!(read("rootflags=").rootflags, [""; 0]);
}

#[test]
fn t06_deadline() {
    let rows = [
        ("", 180),
        ("rd.retry=20", 20),
        ("rd.retry=0", 0),
        ("rd.timeout=40", 40),
        ("rd.timeout=0", 180),
        ("rd.retry=20 rd.timeout=40", 20),
        ("rd.retry=soon", 180),
        ("rd.retry=soon rd.timeout=40", 40),
        ("rd.retry=-1", 180),
        ("rd.retry=99999999999999999999", 180),
    ];
    for (text, seconds) in rows {
        assert_eq!(read(text).deadline, Duration::from_secs(seconds), "{text}");
    }
    assert_eq!(ids("rd.retry=soon"), ["value"]);
}

#[test]
fn dialects() {
    let kiwi = Conf { dialect: Some("kiwi".into()), ..Conf::default() };
    let none = Conf::default();
    let odd = Conf { dialect: Some("other".into()), ..Conf::default() };
    let rows = [
        ("", &none, Dialect::Dmsquash),
        ("rd.kiwi.debug", &none, Dialect::Kiwi),
        ("rd.live.overlay.persistent=0", &none, Dialect::Kiwi),
        ("rd.live.cowfile.mbsize=1", &none, Dialect::Kiwi),
        ("mediacheck=1", &none, Dialect::Kiwi),
        ("root=live:AOEINTERFACE=e0.1", &none, Dialect::Kiwi),
        ("root=live:CDLABEL=x rd.live.image", &none, Dialect::Dmsquash),
        ("", &kiwi, Dialect::Kiwi),
        ("rd.overlay", &kiwi, Dialect::Kiwi),
        ("rd.live.dialect=dmsquash mediacheck", &kiwi, Dialect::Dmsquash),
        ("rd.live.dialect=what", &kiwi, Dialect::Kiwi),
        ("rd.live.dialect=what mediacheck", &none, Dialect::Kiwi),
        ("", &odd, Dialect::Dmsquash),
    ];
    for (text, conf, expected) in rows {
        let config = interpret(&Cmdline::parse(text), conf).0;
        assert_eq!(config.dialect, expected, "{text} {conf:?}");
        assert!(!config.dialect_reason.is_empty(), "{text}");
    }
}

#[test]
fn small_kargs() {
    use Access::{ReadOnly, ReadWrite};
    for (text, access) in
        [("", ReadOnly), ("ro rw", ReadWrite), ("rw ro", ReadOnly), ("rw=1", ReadOnly), ("rw quiet", ReadWrite)]
    {
        assert_eq!(read(text).medium_access, access, "{text}");
    }
    for (text, check) in [
        ("rd.live.check", true),
        ("rd.live.check=0", false),
        ("mediacheck=1", true),
        ("check", true),
        ("rd.live.check=0 mediacheck", true),
    ] {
        assert_eq!(read(text).check, check, "G3: {text}");
    }
    for (text, debug) in [
        ("rd.live.debug", true),
        ("rd.kiwi.debug", true),
        ("rd.debug", true),
        ("rdlivedebug", true),
        ("rd.debug=0", false),
        ("debug", false),
    ] {
        assert_eq!(read(text).debug, debug, "{text}");
    }
    assert_eq!(
        read("panic=-1 rd.shell=0 rd.emergency=poweroff").failure,
        Failure { shell: false, panic: Some(-1), emergency: Some(Emergency::Poweroff) }
    );
    assert_eq!(read("panic=x rd.emergency=explode").failure, Failure::default());
    assert_eq!(
        read("init=/bin/sh -- -c \"a b\"").init,
        Init { path: Some("/bin/sh".into()), args: vec!["-c".into(), "a b".into()] }
    );
    assert_eq!(read("rd.live.report=/dev/ttyS1").report, Some("/dev/ttyS1".into()));
    assert_eq!(read("rd.live.report=/etc/passwd").report, None);
    assert!(read("rd.live.ram").ram && read("live_ram").ram);
    for (text, expected) in [
        ("rd.live.ram", (true, false)),
        ("rd.live.ram=1", (true, false)),
        ("rd.live.ram=required", (true, true)),
        ("rd.live.ram=required rd.live.ram=0", (false, false)),
        ("live_ram=required", (true, true)),
    ] {
        assert_eq!((read(text).ram, read(text).ram_required), expected, "{text}");
    }
    assert_eq!(read("rd.minmem=256").ram_reserve_mib, 256);
}

#[test]
fn modules_lists_and_parameters() {
    let text = "rd.driver.blacklist=a,b-c modprobe.blacklist=d module_blacklist=e rd.driver.pre=squashfs rd.driver.pre=ext4 rd.driver.post=x \
        usb-storage.quirks=1:2:u usb_storage.delay_use=0 loop.max_loop=8 snd.flag \"dyndbg.x=file a b\" systemd.unit=x rd.luks.uuid=y net.ifnames=0 root.=1 .x=2";
    let expected = Modules {
        blacklist: ["a", "b_c", "d", "e"].map(String::from).to_vec(),
        pre: ["squashfs", "ext4"].map(String::from).to_vec(),
        post: vec!["x".to_owned()],
        parameters: [
            ("usb_storage", "quirks=1:2:u delay_use=0"),
            ("loop", "max_loop=8"),
            ("snd", "flag"),
            ("dyndbg", "x=\"file a b\""),
        ]
        .map(|(module, text)| (module.to_owned(), text.to_owned()))
        .to_vec(),
    };
    assert_eq!(read(text).modules, expected);
}

#[test]
fn network_kargs_are_kept_and_reported() {
    let (config, warnings) = interpret_text(
        "root=live:torrent://h/x.iso ip=eth0:dhcp ip=dhcp BOOTIF=01-52 rd.neednet=0 bond=bond0 rd.live.mirror=http://m/x",
    );
    let expected = [
        ("ip", "eth0:dhcp"),
        ("ip", "dhcp"),
        ("BOOTIF", "01-52"),
        ("rd.neednet", "0"),
        ("bond", "bond0"),
        ("rd.live.mirror", "http://m/x"),
    ]
    .map(|(name, value)| Setting { name: name.to_owned(), value: Some(value.to_owned()) });
    assert_eq!(config.network, expected);
    let kargs: Vec<_> =
        warnings.iter().filter(|warning| warning.id == "not-built").map(|warning| warning.karg.as_str()).collect();
    assert_eq!(kargs, ["root=live:torrent://h/x.iso"]);
}
