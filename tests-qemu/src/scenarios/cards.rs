//! Which network card is used, and what it is called (network-field.md kinds 1, 4, 5, 27; N-P2).

use super::drivers::without;
use super::netboot::{boot, dhcp, http};
use super::{Scenario, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::machine::{Bus, Nic};
use crate::medium::*;
use crate::mode::Mode;
use crate::net::{Net, Serve};

/// The first card of QEMU, by the name that udev gives, and another one of udev.
const UDEVS_NAME: &str = "ens2 (enp0s2";
/// Two cards; the server has 10.9.0.1 for the first and 10.9.1.1 for the second.
const TWO: [&str; 2] = ["02:00:00:00:00:21", "06:00:00:00:00:22"];

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut list = names();
    list.extend(chosen());
    list.extend(missing());
    list.extend(unneeded());
    list
}

fn names() -> Vec<Scenario> {
    vec![
        scenario(
            "net/K5 the interface is named as udev names it",
            boot(dhcp(iso()).nic(Nic::Virtio))
                .kargs("ip=ens2:dhcp")
                .expect(overlay_root())
                .expect(console_says(UDEVS_NAME))
                .expect(report_says("network (ens2: DHCPv4)")),
        ),
        scenario(
            "net/K5 udev names the same card so: networkd finds it by that name, dracut 106",
            boot(dhcp(iso()).nic(Nic::Virtio))
                .mode(Mode::Dracut106Networkd)
                .kargs("ip=ens2:dhcp rd.retry=60")
                .expect(overlay_root())
                .expect(report_says("network (by systemd-networkd)")),
        ),
        scenario(
            "net/K5 without udev's policy for networks rdlive names them, dracut 106",
            boot(dhcp(iso()).nic(Nic::Virtio))
                .mode(Mode::Dracut106)
                .kargs("ip=enp0s2:dhcp rd.retry=60")
                .expect(overlay_root())
                .expect(console_says(UDEVS_NAME)),
        ),
        scenario(
            "net/K5 the live system gets the card under that name",
            boot(Net::new().serve(Serve::Dhcp(vec![])).serve(Serve::Nfs(vec![("/live.iso", iso())])).nic(Nic::E1000))
                .root("root=live:nfs://10.9.0.1/images/live.iso")
                .expect(overlay_root())
                .expect(file_is("/sys/class/net/ens2/address", "02:00:00:00:00:11")),
        ),
        scenario(
            "net/K5 a name that no interface has, and one has a link",
            boot(dhcp(iso()).nic(Nic::Virtio))
                .kargs("ip=ens192:dhcp")
                .expect(overlay_root())
                .expect(console_says("ens192 is not there: ens2 is used instead")),
        ),
    ]
}

fn chosen() -> Vec<Scenario> {
    let two = || boot(dhcp(iso()).cards(&TWO)).root("root=live:http://10.9.1.1/live.iso").expect(overlay_root());
    // The address of the other one would be there long before the image is.
    let mut list: Vec<Scenario> =
        ["01-06-00-00-00-00-22", "01-06:00:00:00:00:22", "06:00:00:00:00:22", "01:06:00:00:00:00:22"]
            .into_iter()
            .map(|spelling| {
                scenario(
                    format!("net/N-P2 BOOTIF={spelling} is the second of two cards"),
                    two()
                        .kargs(&format!("BOOTIF={spelling}"))
                        .expect(console_says("from DHCP server 10.9.1.1"))
                        .expect(console_lacks("from DHCP server 10.9.0.1")),
                )
            })
            .collect();
    list.push(scenario(
        "net/K4 a BOOTIF that no card has",
        two().kargs("BOOTIF=01-06-00-00-00-00-99").expect(console_says(
            "06:00:00:00:00:99 is preferred and is not there, or has no link: all interfaces are used",
        )),
    ));
    list.push(scenario(
        "net/K4 a BOOTIF whose card gets no answer",
        boot(http(iso()).cards(&TWO).serve(Serve::Dhcp(vec!["--dhcp-host=02:00:00:00:00:21,ignore"])))
            .expect(overlay_root())
            .kargs("BOOTIF=01-02-00-00-00-00-21 rd.retry=60")
            .expect(console_says("02:00:00:00:00:21 is preferred and leads to no server: all interfaces are used")),
    ));
    list
}

fn missing() -> Vec<Scenario> {
    vec![scenario(
        "net/K1 a card whose driver is not in the initrd is named",
        without("e1000", boot(dhcp(iso()).nic(Nic::E1000)))
            .kargs("rd.retry=8")
            .keep_after_failure()
            .expect(stops_with("RDL-070"))
            .expect(console_says("no network interface is there: no driver for PCI 8086:100e at 0000:00:02.0"))
            .expect(report_says("no driver for PCI 8086:100e"))
            .expect(console_lacks("DHCP server")),
    )]
}

/// The root is on a medium of the machine, and needs no network.
fn unneeded() -> Vec<Scenario> {
    let cd = || Boot::from(iso()).on(Bus::Disk).mode(Mode::Native).expect(overlay_root());
    vec![
        scenario(
            "net/K27 rd.neednet=1 brings the network up for the live system",
            cd().net(dhcp(iso())).kargs("rd.neednet=1").expect(console_says("network: left as it is")),
        ),
        scenario(
            "net/K27 rd.neednet=1 without a server ends after 20 s",
            cd().net(http(iso()))
                .kargs("rd.neednet=1")
                .expect(console_says("no network interface got an address in 20 s"))
                .expect(report_says("the live system starts without a network")),
        ),
        scenario(
            "net/K27 ip=dhcp waits for nothing",
            cd().net(http(iso())).kargs("ip=dhcp").expect(console_lacks("waiting for an address")),
        ),
    ]
}
