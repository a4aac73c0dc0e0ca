//! A machine on a network of its own: what the lab offers to those who test one. The client is busybox in the booted system.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::{Scenario, Work, scenario};
use crate::boot::Boot;
use crate::check::*;
use crate::lab::Lab;
use crate::machine::{Machine, Nic};
use crate::medium::*;
use crate::net::{Link, Net, SERVER, Serve, Wire};

/// A file of some size, so that a slow link shows.
const FILE: &str = "/some/file.bin";

fn file() -> Recipe {
    changed(Recipe::Text(""), "head -c 200000 /dev/zero | tr '\\0' x > \"$1\"")
}

fn net() -> Net {
    Net::new().serve(Serve::Dhcp(vec![])).serve(Serve::Http(vec![(FILE, file())]))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let fetch = |net: Net| Boot::from(iso()).net(net).fetches(FILE).expect(fetched(FILE));
    let linked = |link| fetch(net().link(link));
    let mut list = vec![
        scenario(
            "net/DHCP and HTTP",
            Boot::from(iso())
                .net(Net::new().serve(Serve::Dhcp(vec![])).serve(Serve::Http(vec![("/live.iso", iso())])))
                .fetches("/live.iso")
                .expect(overlay_root())
                .expect(fetched("/live.iso")),
        ),
        scenario("net/two cards with chosen addresses", two_cards(Net::new())),
        scenario("net/two cards with chosen addresses on e1000", two_cards(Net::new().nic(Nic::E1000))),
        // 200 kB are 1.6 s at 1000 kbit/s; what is lost only makes it longer.
        scenario("net/a slow link", linked(Link { rate: Some(1000), ..Link::default() }).expect(fetching_took(1.6))),
        // Four messages make a lease; a connection and an answer take four ways, too.
        scenario(
            "net/a late link",
            linked(Link { delay: 100, ..Link::default() }).expect(leases_took(0.4)).expect(fetching_took(0.4)),
        ),
        scenario("net/a link that loses a frame in ten", linked(Link { loss: 10, ..Link::default() })),
        scenario(
            "net/a link that loses everything",
            Boot::from(iso())
                .net(net().link(Link { loss: 100, ..Link::default() }))
                .configures()
                .expect(overlay_root())
                .expect(no_lease()),
        ),
        Scenario {
            name: "net/a server that does not start says why".into(),
            work: Work::Measure(wrong_word),
            tag: None,
        },
        Scenario {
            name: "net/same addresses side by side, and nothing is left".into(),
            work: Work::Measure(side_by_side),
            tag: None,
        },
    ];
    list.extend(super::netboot::all());
    list.extend(super::cards::all());
    list.extend(super::servers::all());
    list.extend(super::kept_net::all());
    list.extend(Nic::ALL.map(|nic| scenario(format!("net/{}", nic.name()), fetch(net().nic(nic)))));
    list
}

fn two_cards(net: Net) -> Boot {
    const CARDS: [&str; 2] = ["02:00:00:00:00:21", "06:00:00:00:00:22"];
    let hosts = vec!["--dhcp-host=02:00:00:00:00:21,10.9.0.77", "--dhcp-host=06:00:00:00:00:22,10.9.1.78"];
    Boot::from(iso())
        .net(net.cards(&CARDS).serve(Serve::Dhcp(hosts)))
        .configures()
        .expect(leases(&[(CARDS[0], "10.9.0.77/24"), (CARDS[1], "10.9.1.78/24")]))
}

/// Two networks at once with servers on the same addresses and ports; one ends in order, one as if the lab had been killed.
fn side_by_side(lab: &Lab) -> Result<()> {
    let dir = lab.cache.scratch("net")?;
    let lay = |name: &'static str| {
        let net = Net::new().serve(Serve::Dhcp(vec![])).serve(Serve::Http(vec![("/who", Recipe::Text(name))]));
        Wire::lay(&net, lab, Machine::Uml, &dir.join(name))
    };
    let wires = [("one", lay("one")?), ("two", lay("two")?)];
    for (name, wire) in &wires {
        let said = wire.ask(&["busybox", "wget", "-q", "-O", "-", &format!("http://{SERVER}/who")], "")?;
        ensure!(said == *name, "network {name} serves {said:?}");
    }
    let spaces = wires.each_ref().map(|(_, wire)| fs::read_link(wire.plug().namespace));
    let [(_, first), (_, second)] = wires;
    drop(first);
    second.abandon()?;
    for space in spaces {
        let space = space?;
        ensure!(!is_used(&space)?, "processes are left in {}", space.display());
    }
    crate::remove::tree(&dir)?;
    Ok(())
}

/// dnsmasq does not know this word.
fn wrong_word(lab: &Lab) -> Result<()> {
    let dir = lab.cache.scratch("net")?;
    let laid = Wire::lay(&Net::new().serve(Serve::Dhcp(vec!["--no-such-word"])), lab, Machine::Uml, &dir);
    let Err(error) = laid else { bail!("dnsmasq takes a word that does not exist") };
    let said = error.to_string();
    ensure!(said.contains("ended with") && said.contains("bad command line options"), "it says: {said}");
    crate::remove::tree(&dir)?;
    Ok(())
}

fn is_used(namespace: &Path) -> Result<bool> {
    let processes = fs::read_dir("/proc")?.flatten().map(|entry| entry.path().join("ns/net"));
    Ok(processes.filter_map(|link| fs::read_link(link).ok()).any(|found| found == namespace))
}
