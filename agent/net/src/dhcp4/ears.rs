//! What arrives on a link that gives no address (network-field.md kind 2). A switch port with spanning tree or LACP
//! sends its own frames while it lets no others pass: they prove nothing but name the cause.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use rdlive_media::printable::printable;

/// Tags that are told to a person.
const MAX_TAGS: usize = 8;
/// Characters of a switch's name, or of a port's, that are told.
const MAX_NAME: usize = 64;
/// After this time without an address something is said.
const FIRST: Duration = Duration::from_secs(10);
/// Then after each of these.
const AGAIN: Duration = Duration::from_secs(30);

/// What a frame tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bridge's protocol data unit: IEEE 802.1D, or Cisco's per VLAN.
    SpanningTree,
    /// Link aggregation (IEEE 802.3ad, slow protocols).
    Lacp,
    /// A switch that gives its name (IEEE 802.1AB).
    Lldp(Neighbour),
    /// Another frame that no bridge forwards: a blocked port sends these too.
    LinkLocal,
    /// Anything else: the port forwards.
    Other,
}

/// A frame of a link: what it tells and its VLAN tag (IEEE 802.1Q).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it tells.
    pub kind: Kind,
    /// VLAN 1 to 4094; `None` without a tag, and for the tag 0, which only carries a priority.
    pub vlan: Option<u16>,
}

/// Who is at the other end of the cable, as it says itself; made harmless for a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// The name of the switch.
    pub switch: Option<String>,
    /// The name of the port.
    pub port: Option<String>,
}

/// What has arrived since the link is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Frames that prove that the port forwards.
    pub frames: u64,
    /// Whether there were bridge protocol data units.
    pub spanning_tree: bool,
    /// Whether there were frames of link aggregation.
    pub lacp: bool,
    /// Tags of VLANs, the first eight.
    pub vlans: BTreeSet<u16>,
    /// The switch and its port.
    pub neighbour: Neighbour,
}

/// Counts frames, and knows when to speak.
#[derive(Clone, Debug, Default)]
pub struct Ears {
    heard: Heard,
    up: Option<Duration>,
    said: u32,
}

impl Frame {
    /// Reads the first bytes of an Ethernet frame; `tag` is a VLAN tag that the kernel has taken out of it.
    #[must_use]
    pub fn read(frame: &[u8], tag: Option<u16>) -> Self {
        let two = |at: usize| frame.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, u16::from_be_bytes);
        let mut vlan = tag.map(|tag| tag & 0xfff);
        let mut at = 12;
        // 802.1Q inside of 802.1ad: two tags are all that occurs.
        for _ in 0..2 {
            if matches!(two(at), 0x8100 | 0x88a8) {
                vlan = vlan.filter(|vlan| *vlan != 0).or(Some(two(at + 2) & 0xfff));
                at += 4;
            }
        }
        let payload = frame.get(at + 2..).unwrap_or_default();
        let kind = match frame.get(..6) {
            Some([0x01, 0x80, 0xc2, 0, 0, 0] | [0x01, 0, 0x0c, 0xcc, 0xcc, 0xcd]) => Kind::SpanningTree,
            Some([0x01, 0x80, 0xc2, 0, 0, last]) if *last < 0x10 => match (two(at), payload) {
                (0x8809, [1, ..]) => Kind::Lacp,
                (0x88cc, _) => Kind::Lldp(Neighbour::read(payload)),
                _ => Kind::LinkLocal,
            },
            _ => Kind::Other,
        };
        Self { kind, vlan: vlan.filter(|vlan| (1..=4094).contains(vlan)) }
    }
}

impl Neighbour {
    /// The type-length-values of IEEE 802.1AB: 2 the port's number, 4 its description, 5 the name of the system.
    fn read(mut values: &[u8]) -> Self {
        let mut found = Self::default();
        while let [high, low, rest @ ..] = values {
            let length = usize::from(high & 1) << 8 | usize::from(*low);
            let Some((value, rest)) = rest.split_at_checked(length) else { break };
            values = rest;
            match high >> 1 {
                0 => break,
                // The subtypes with a text for people: alias, name, local.
                2 => {
                    if let [1 | 5 | 7, text @ ..] = value {
                        found.port = found.port.or_else(|| name(text));
                    }
                }
                4 => found.port = name(value).or(found.port),
                5 => found.switch = name(value),
                _ => {}
            }
        }
        found
    }
}

fn name(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    (!text.is_empty()).then(|| printable(&text.chars().take(MAX_NAME).collect::<String>()))
}

impl Ears {
    /// The link has come up: all begins anew.
    pub fn up(&mut self, now: Duration) {
        *self = Self { up: Some(now), ..Self::default() };
    }

    /// The link has gone down.
    pub fn down(&mut self) {
        self.up = None;
    }

    /// A frame; whether it is the first that proves that the port forwards.
    pub fn hear(&mut self, frame: Frame) -> bool {
        if let Some(vlan) = frame.vlan.filter(|_| self.heard.vlans.len() < MAX_TAGS) {
            self.heard.vlans.insert(vlan);
        }
        match frame.kind {
            Kind::SpanningTree => self.heard.spanning_tree = true,
            Kind::Lacp => self.heard.lacp = true,
            Kind::Lldp(neighbour) => self.heard.neighbour = neighbour,
            Kind::LinkLocal => {}
            // What has a tag is not for us: it opens nothing, and is counted for the message.
            Kind::Other if frame.vlan.is_some() => {}
            Kind::Other => {
                self.heard.frames = self.heard.frames.saturating_add(1);
                return self.heard.frames == 1;
            }
        }
        false
    }

    /// What has arrived so far.
    #[must_use]
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// When there is something to say next.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        Some(self.up? + FIRST + AGAIN * self.said)
    }

    /// For how long the link has been up, if it is time to say something.
    pub fn speak(&mut self, now: Duration) -> Option<Duration> {
        let up = now.saturating_sub(self.up?);
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        // One that was missed is not made up for.
        self.said = u32::try_from(up.saturating_sub(FIRST).as_secs() / AGAIN.as_secs()).unwrap_or(u32::MAX - 1) + 1;
        Some(up)
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.frames, self.spanning_tree, self.lacp) {
            (0, false, false) => f.write_str("not one frame received")?,
            (0, spanning_tree, lacp) => {
                let what = [(spanning_tree, "spanning tree"), (lacp, "LACP")];
                let what: Vec<_> = what.into_iter().filter_map(|(is, what)| is.then_some(what)).collect();
                write!(f, "no frame but {}: the switch does not let any pass yet", what.join(" and "))?;
            }
            (1, ..) => f.write_str("1 frame received, no DHCP answer")?,
            (frames, ..) => write!(f, "{frames} frames received, no DHCP answer")?,
        }
        if !self.vlans.is_empty() {
            let vlans: Vec<_> = self.vlans.iter().map(u16::to_string).collect();
            write!(f, "; VLAN tags seen: {}", vlans.join(", "))?;
        }
        match (&self.neighbour.switch, &self.neighbour.port) {
            (Some(switch), Some(port)) => write!(f, "; the switch is {switch}, port {port}"),
            (Some(name), None) => write!(f, "; the switch is {name}"),
            (None, Some(port)) => write!(f, "; the switch calls the port {port}"),
            (None, None) => Ok(()),
        }
    }
}
