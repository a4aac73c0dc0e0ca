//! Roots that come over the network, natively; no medium is there (network.md 4 to 6, network-field.md).

use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::Nic;
use crate::medium::*;
use crate::mode::Mode;
use crate::net::{Link, Net, Serve};

const URL: &str = "root=live:http://10.9.0.1/live.iso";
/// The first card of user-mode Linux, which is the quick tier's machine.
const STATIC: &str = "ip=10.9.0.9::10.9.0.1:24::live0:none ifname=live0:02:00:00:00:00:11";
const WRONG: &str = "rd.live.sha256=00000000000000000000000000000000000000000000000000000000000000aa";

pub(super) fn http(recipe: Recipe) -> Net {
    Net::new().serve(Serve::Http(vec![("/live.iso", recipe)]))
}

pub(super) fn dhcp(recipe: Recipe) -> Net {
    http(recipe).serve(Serve::Dhcp(vec![]))
}

/// A network of both families, whose router has addresses of IPv6 given by DHCPv6 alone.
fn dhcp6(recipe: Recipe) -> Net {
    let words = vec!["--enable-ra", "--ra-param=srv0,4", "--dhcp-range=fd09::1000,fd09::1fff,64,1h"];
    // The kernel of user-mode Linux has no IPv6.
    http(recipe).six().nic(Nic::Virtio).serve(Serve::Dhcp(words))
}

pub(super) fn boot(net: Net) -> Boot {
    Boot::nothing().mode(Mode::Native).net(net).root(URL).kargs("rd.minmem=64 rd.retry=30")
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = roots();
    list.extend(addresses());
    list.extend(with_dracut());
    list.extend(failures());
    list
}

/// What is fetched, and what becomes of it.
fn roots() -> Vec<Scenario> {
    let container = |kind| folder(kind, "", vec![("LiveOS/rootfs.img", image(Fs::Ext4))]);
    let mut list = vec![
        scenario(
            "net/T-48 E1 N-P5 an ISO over HTTP into RAM",
            boot(dhcp(iso()))
                .expect(overlay_root())
                .expect(persistence("temporary"))
                .expect(exists("/dev/ram0"))
                .expect(console_says("network: addresses and routes taken away"))
                .expect(report_says("fetch http://10.9.0.1/live.iso to RAM at /run/initramfs/fetched/image")),
        ),
        scenario(
            "net/E2 E3 K15 a squashfs is known by its content, whatever its name",
            boot(dhcp(container(Fs::Squashfs("zstd"))))
                .root("root=live:http://10.9.0.1/live.iso?x=1")
                .expect(mapped_root()),
        ),
        scenario("net/K15 an EROFS is known by its content", boot(dhcp(container(Fs::Erofs))).expect(mapped_root())),
        scenario(
            "net/SD-14 with RAM as target nothing is made for changes, and that is said",
            boot(dhcp(iso()))
                .kargs("rd.live.overlay.persistent")
                .expect(overlay_root())
                .expect(persistence("temporary"))
                .expect(console_says("changes are not kept over a reboot")),
        ),
        scenario(
            "net/SD-16 kernel and initrd of another build",
            boot(dhcp(iso()))
                .over_initrd("mkdir etc; echo 'medium = UUID=2020-01-01-00-00-00-00' > etc/rdlive.conf")
                .expect(overlay_root())
                .expect(console_says("of another build: copy kernel and initrd out of it again")),
        ),
        scenario(
            "net/rd.live.mirror= is asked where the first URL has nothing",
            boot(dhcp(iso()))
                .root("root=live:http://10.9.0.1/nothing.iso")
                .kargs("rd.live.mirror=http://10.9.0.1/live.iso")
                .expect(overlay_root()),
        ),
        scenario(
            "net/K18 a line that loses a frame in ten",
            boot(dhcp(iso()).link(Link { loss: 10, ..Link::default() })).kargs("rd.retry=60").expect(overlay_root()),
        ),
        scenario(
            "net/K6 a tunnel that carries small packets alone, and nobody says so",
            boot(dhcp(iso()).link(Link { largest: Some(1400), ..Link::default() }))
                .expect(overlay_root())
                .expect(console_says("(path MTU?)")),
        ),
        scenario(
            "net/K20 a slow line says how far it is",
            boot(dhcp(iso()).link(Link { rate: Some(3000), ..Link::default() }))
                .expect(overlay_root())
                .expect(console_says("MB/s"))
                .expect(console_says("s left")),
        ),
    ];
    list.extend([Nic::E1000, Nic::Virtio].map(|nic| {
        scenario(
            format!("net/T-48 an ISO over HTTP into RAM by {}", nic.name()),
            boot(dhcp(iso()).nic(nic)).expect(overlay_root()),
        )
    }));
    list
}

/// A port that expects tagged frames, with the words of the iPXE script that `rdlive-image pxe --vlan 5` writes.
fn trunk(net: Net) -> Boot {
    let net = net.nic(Nic::Virtio).link(Link { vlan: Some(5), ..Link::default() });
    boot(net).kargs("BOOTIF=01-02-00-00-00-00-11 vlan=vlan5:02-00-00-00-00-11").expect(overlay_root())
}

/// How the machine gets its address.
fn addresses() -> Vec<Scenario> {
    vec![
        scenario("net/N-N1 an address of the command line", boot(http(iso())).kargs(STATIC).expect(overlay_root())),
        scenario(
            "net/K9 a port that expects tagged frames, and an address that was typed",
            trunk(http(iso())).kargs("ip=10.9.0.77::10.9.0.1:255.255.255.0::vlan5:none"),
        ),
        scenario("net/K9 a port that expects tagged frames, and DHCP", trunk(dhcp(iso()))).with_all(),
        scenario(
            "net/K5 the interface is named by its hardware address",
            boot(dhcp(iso())).kargs("ip=02-00-00-00-00-11:dhcp").expect(overlay_root()),
        ),
        scenario(
            "net/N-N4 a router says that addresses are to be had by DHCPv6",
            boot(dhcp6(iso()))
                .root("root=live:http://[fd09::1]/live.iso")
                .expect(overlay_root())
                .expect(console_says(": fd09::1"))
                .expect(console_says("/128 from DHCP server fe80::")),
        ),
        // Setting the MTU takes this card's carrier away for a moment; it is waited out.
        scenario(
            "net/K6 the MTU of a lease on a card that loses its carrier by it",
            boot(http(iso()).nic(Nic::E1000e).serve(Serve::Dhcp(vec!["--dhcp-option=26,1400"])))
                .expect(overlay_root())
                .expect(asked_once()),
        ),
        scenario(
            "net/N-N4 ip=dhcp6",
            boot(dhcp6(iso())).root("root=live:http://[fd09::1]/live.iso").kargs("ip=dhcp6").expect(overlay_root()),
        ),
        scenario(
            "net/N-N3 an address of the command line that another machine has",
            boot(http(iso()))
                .kargs("ip=10.9.0.1::10.9.0.2:24:::none rd.retry=12")
                .keep_after_failure()
                .expect(stops_with("RDL-070"))
                .expect(report_says("has 10.9.0.1 already, so it is not used"))
                .expect(report_says("rd.live.net.conflict=use")),
        ),
        scenario(
            "net/K13 a name is looked up with the server that DHCP names",
            boot(http(iso()).serve(Serve::Dhcp(vec!["--port=53", "--address=/image.lan/10.9.0.1"])))
                .root("root=live:http://image.lan/live.iso")
                .expect(overlay_root()),
        ),
        scenario(
            "net/two cards, and the server is on the second",
            boot(dhcp(iso()).cards(&["02:00:00:00:00:21", "06:00:00:00:00:22"]))
                .root("root=live:http://10.9.1.1/live.iso")
                .expect(overlay_root()),
        ),
        scenario(
            "net/rd.neednet=1 keeps the network",
            boot(dhcp(iso()))
                .kargs("rd.neednet=1")
                .expect(overlay_root())
                .expect(console_says("network: left as it is"))
                .expect(console_lacks("taken away")),
        ),
    ]
}

/// In an initrd of dracut, with and without a program that brings the network up.
fn with_dracut() -> Vec<Scenario> {
    use Mode::{Dracut059, Dracut059Legacy, Dracut106, Dracut106Networkd, Dracut106Nm, Dracut106Shell};
    let by = |mode: Mode| boot(dhcp(iso())).mode(mode).kargs("rd.retry=60").expect(overlay_root());
    let own = |boot: Boot| boot.expect(report_says("network (any interface: DHCP or a router)"));
    let mut list = vec![
        scenario("net/T-48 E1 rdlive's own client, dracut 106", own(by(Dracut106))),
        scenario("net/T-48 E1 rdlive's own client, dracut 106 without systemd", own(by(Dracut106Shell))),
        scenario("net/T-48 E1 rdlive's own client, dracut 059", own(by(Dracut059))),
    ];
    for (mode, name, told) in [
        (Dracut106Networkd, "systemd-networkd", "network (by systemd-networkd)"),
        (Dracut106Nm, "NetworkManager", "network (by NetworkManager)"),
    ] {
        list.extend([
            scenario(
                format!("net/E1 {name} brings the network up and is followed, dracut 106"),
                by(mode).kargs("ip=dhcp").expect(report_says(told)).expect(console_lacks("does not run")),
            ),
            scenario(format!("net/E1 {name} is there and nobody asks it, dracut 106"), own(by(mode))).with_all(),
        ]);
    }
    list.extend([
        scenario(
            "net/E1 NetworkManager does not run although it is asked, dracut 106",
            by(Dracut106Nm)
                .kargs("ip=dhcp")
                .over_initrd(
                    r"mkdir -p usr/sbin; printf '#!/bin/sh\nexit 1\n' > usr/sbin/NetworkManager; chmod 755 usr/sbin/NetworkManager",
                )
                .expect(console_says("NetworkManager does not run, so rdlive's own client brings it up")),
        ),
        scenario(
            "net/K12 NetworkManager gets no answer, dracut 106",
            boot(http(iso()))
                .mode(Dracut106Nm)
                .kargs("ip=dhcp rd.retry=12")
                .expect(stops_with("RDL-070"))
                .expect(console_says("waiting for an address by NetworkManager"))
                .expect(report_says("journalctl -u nm-initrd")),
        ),
    ]);
    list.extend([
        scenario(
            "net/E1 network-legacy brings the network up and is followed, dracut 059",
            by(Dracut059Legacy)
                .kargs("ip=dhcp")
                .expect(report_says("network (by network-legacy)"))
                .expect(console_lacks("does not run")),
        )
        .with_all(),
        scenario("net/E1 network-legacy is there and nobody asks it, dracut 059", own(by(Dracut059Legacy))).with_all(),
    ]);
    list.extend(second_tries());
    list.push(scenario(
        "net/SD-35 a word that systemd-networkd cannot read, dracut 106",
        // The kernel's name of the card in user-mode Linux is none that networkd of dracut has a setting for.
        boot(dhcp(iso()).nic(Nic::Virtio))
            .mode(Dracut106Networkd)
            .kargs("rd.retry=60 ip=single-dhcp")
            .expect(overlay_root())
            .expect(report_says("network (any: DHCPv4)"))
            .expect(console_says("systemd-networkd cannot read ip=single-dhcp, so rdlive's own client brings it up")),
    ));
    list
}

/// Nobody answers the first try of the program that brings the network up (network-field.md kind 12).
fn second_tries() -> Vec<Scenario> {
    // On a busy host an initrd takes half a minute until somebody asks.
    let late = |mode: Mode, told| {
        boot(http(iso()).serve(Serve::LateDhcp(60)))
            .mode(mode)
            .kargs("ip=dhcp rd.retry=120")
            .deadline(300)
            .expect(overlay_root())
            .expect(console_says(told))
            .expect(console_lacks("does not run"))
    };
    vec![
        scenario(
            "net/K12 a DHCP server that comes late, network-legacy, dracut 059",
            late(Mode::Dracut059Legacy, "waiting for an address by network-legacy"),
        ),
        scenario(
            "net/K12 a DHCP server that comes late, systemd-networkd, dracut 106",
            late(Mode::Dracut106Networkd, "waiting for an address by systemd-networkd"),
        )
        .with_all(),
        scenario(
            "net/K12 a DHCP server that comes late, NetworkManager, dracut 106",
            late(Mode::Dracut106Nm, "waiting for an address by NetworkManager"),
        )
        .with_all(),
    ]
}

/// What goes wrong is said, soon, with its cause.
fn failures() -> Vec<Scenario> {
    let fails = |net: Net, code| boot(net).kargs("rd.retry=6").keep_after_failure().expect(stops_with(code));
    vec![
        scenario(
            "net/K2 no DHCP server answers",
            fails(http(iso()), "RDL-070")
                .expect(console_says("waiting for an address, 3 s of 6"))
                .expect(report_says("link up")),
        ),
        scenario(
            "net/K5 the interface that is named is not there",
            fails(dhcp(iso()), "RDL-070").kargs("ip=eth7:dhcp").expect(report_says("eth7 is not there")),
        ),
        scenario(
            "net/T-51 E4 N-P6 K14 404 is no reason to wait for long",
            fails(dhcp(iso()), "RDL-071")
                .root("root=live:http://10.9.0.1/nothing.iso")
                .expect(report_says("404 Not Found")),
        ),
        scenario(
            "net/K25 a URL that was cut behind its server",
            fails(dhcp(iso()), "RDL-071")
                .root("root=live:http://10.9.0.1/")
                .expect(console_says(
                    "the URL ends behind its server: it may be cut, for GRUB ends a command at ; and &",
                ))
                .expect(console_says("try:    the URL ends behind")),
        ),
        scenario(
            "net/T-51 K14 nobody listens",
            fails(Net::new().serve(Serve::Dhcp(vec![])), "RDL-071").expect(report_says("connection refused")),
        ),
        scenario(
            "net/K13 a name that nobody knows",
            fails(dhcp(iso()), "RDL-071")
                .root("root=live:http://nobody.invalid/live.iso")
                .expect(report_says("nobody.invalid has no address")),
        ),
        scenario(
            "net/another SHA-256 than was given",
            fails(dhcp(iso()), "RDL-072").kargs(WRONG).expect(report_says("00aa")),
        ),
        scenario(
            "net/T-49 T-50 an ISO that does not fit is refused before its first byte",
            fails(dhcp(iso()), "RDL-028").kargs("rd.minmem=100000").expect(console_lacks("into RAM, ")),
        ),
        scenario(
            "net/what is fetched is no image",
            fails(dhcp(Recipe::Text("<html>Please log in</html>")), "RDL-071")
                .expect(report_says("what the server sent is no image"))
                .expect(report_says("Please log in")),
        ),
    ]
}
