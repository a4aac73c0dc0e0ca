//! QEMU: firmware, buses, kernel, serial ports, and a control socket.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{Backend, Bus, Clock, Drive, Hardware, Start, cards, memory};
use crate::qmp::{self, Qmp};

/// Firmware images and their variable store, newest layout first.
const OVMF: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
];

/// What a kernel that is loaded directly need not do where nothing is measured: its tests of its own ciphers are a fifth of a native
/// boot's processor time. Boots by firmware and the benches have them, as machines of users do.
const UNTESTED: &str = "cryptomgr.notests";

/// Can this host run guests on its own processor?
pub fn has_kvm() -> bool {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split(' ').any(|flag| flag == "vmx" || flag == "svm")
        && File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

impl Hardware {
    /// The command line with the console on a socket that also keeps a log.
    fn command(&self, dir: &Path) -> Result<Command> {
        let console =
            format!("socket,id=console,path={0}/console,server=on,wait=off,logfile={0}/console.log", dir.display());
        let mut qemu = self.command_with_console(dir, "chardev:console")?;
        qemu.args(["-chardev", &console]);
        Ok(qemu)
    }

    /// The command line; control socket and result file are made in `dir`, the first serial port goes to `console`.
    pub fn command_with_console(&self, dir: &Path, console: &str) -> Result<Command> {
        // A guest that is kept waiting finds its timers broken, and stops. User-mode Linux and what makes media do not mind.
        let mut qemu = cards::program("nice", self.net.as_ref());
        qemu.args(["-n", "-10", "qemu-system-x86_64"]);
        let (machine, room) = memory::machine(&self.drives)?;
        qemu.args(["-nodefaults", "-machine", machine, "-display", "none", "-no-reboot"]);
        qemu.args(cards::qemu(self.net.as_ref()));
        qemu.args([
            "-m",
            &format!(
                "{}{}",
                self.memory,
                room.map_or(String::new(), |mib| format!(",slots=4,maxmem={}M", u64::from(self.memory) + mib))
            ),
        ]);
        match self.clock {
            Clock::Host { cpus } => {
                let accel = if has_kvm() { "kvm" } else { "tcg,thread=multi" };
                qemu.args(["-accel", accel, "-smp", &cpus.to_string()]);
            }
            Clock::Lost => {
                qemu.args(["-accel", if has_kvm() { "kvm" } else { "tcg,thread=multi" }, "-smp", "1"]);
                qemu.args(["-rtc", "base=2001-01-01T00:00:00"]);
            }
            Clock::Instructions | Clock::Waiting => {
                let sleep = if self.clock == Clock::Waiting { "on" } else { "off" };
                let count = format!("shift=2,sleep={sleep}");
                qemu.args(["-accel", "tcg,thread=single", "-smp", "1", "-icount", &count]);
            }
        }
        let at = |name: &str| dir.join(name).display().to_string();
        qemu.args(["-qmp", &format!("unix:{},server=on,wait=off", at("qmp"))]);
        qemu.args(["-serial", console, "-serial", &format!("file:{}", at("result"))]);
        if !matches!(self.start, Start::Kernel { .. }) {
            // Boot loaders draw their menu on it.
            qemu.args(["-vga", "std"]);
        }
        match &self.start {
            Start::Kernel { kernel, initrd, append } => {
                let tests = match self.clock {
                    // In front: what stands behind `--` is for init.
                    Clock::Host { .. } | Clock::Lost => format!("{UNTESTED} "),
                    Clock::Instructions | Clock::Waiting => String::new(),
                };
                qemu.arg("-kernel").arg(kernel).arg("-append").arg(format!("{tests}{append}"));
                if let Some(initrd) = initrd {
                    qemu.arg("-initrd").arg(initrd);
                }
            }
            Start::SeaBios => {}
            Start::Ovmf => {
                let (code, vars) = ovmf()?;
                let own = dir.join("vars.fd");
                fs::copy(vars, &own).context("copying the UEFI variable store")?;
                qemu.args(["-drive", &format!("if=pflash,format=raw,unit=0,readonly=on,file={code}")]);
                qemu.args(["-drive", &format!("if=pflash,format=raw,unit=1,file={}", own.display())]);
            }
        }
        self.add_controllers(&mut qemu);
        for (index, drive) in self.drives.iter().enumerate() {
            if drive.bus.is_memory() {
                memory::add(&mut qemu, index, drive)?;
            } else if drive.late.is_none() {
                add_drive(&mut qemu, index, drive);
            }
        }
        Ok(qemu)
    }

    fn add_controllers(&self, qemu: &mut Command) {
        let uses = |buses: &[Bus]| self.drives.iter().any(|drive| buses.contains(&drive.bus.in_qemu()));
        if uses(&[Bus::UsbCd, Bus::UsbStick]) {
            qemu.args(["-device", "qemu-xhci,id=usb"]);
        }
        if uses(&[Bus::ScsiCd]) {
            qemu.args(["-device", "virtio-scsi-pci,id=scsi"]);
        }
        if uses(&[Bus::Ahci]) {
            qemu.args(["-device", "ich9-ahci,id=sata"]);
        }
        if uses(&[Bus::SdCard]) {
            qemu.args(["-device", "sdhci-pci,id=sdhci"]);
        }
    }
}

/// Starts it with what is plugged in from the beginning.
pub(super) fn start(hardware: &Hardware, dir: &Path) -> Result<(Child, Backend)> {
    let mut command = hardware.command(dir)?;
    fs::write(dir.join("qemu.command"), format!("{command:?}\n"))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(dir.join("qemu.stderr"))?)
        .spawn()
        .context("starting qemu-system-x86_64")?;
    Ok((child, Backend::Qemu(Control { dir: dir.to_owned(), qmp: None, console: None })))
}

/// What the end of the process means: a kernel that panics reboots, which ends QEMU in order.
pub(super) fn judge(status: ExitStatus, dir: &Path) -> Result<bool> {
    if !status.success() {
        let said = fs::read_to_string(dir.join("qemu.stderr")).unwrap_or_default();
        bail!("QEMU ended with {status}: {said}");
    }
    Ok(false)
}

fn ovmf() -> Result<(&'static str, &'static str)> {
    let found = OVMF.iter().find(|(code, _)| Path::new(code).exists());
    found.copied().context("no OVMF firmware found (Debian package ovmf)")
}

/// Everything after `-device` for a drive; the same words serve QMP's device_add.
fn device(index: usize, drive: &Drive) -> Vec<(&'static str, String)> {
    let (driver, bus): (&str, Option<String>) = match drive.bus {
        Bus::IdeCd => ("ide-cd", Some(format!("ide.{}", index % 2))),
        Bus::ScsiCd => ("scsi-cd", Some("scsi.0".into())),
        Bus::UsbCd => ("scsi-cd", Some(format!("bot{index}.0"))),
        Bus::UsbStick | Bus::Stick => ("usb-storage", Some("usb.0".into())),
        Bus::Virtio | Bus::Virtio4k | Bus::Disk => ("virtio-blk-pci", None),
        Bus::Nvme => ("nvme", None),
        Bus::Ahci => ("ide-hd", Some(format!("sata.{index}"))),
        Bus::IdeDisk => ("ide-hd", Some(format!("ide.{}", index % 2))),
        Bus::SdCard => ("sd-card", Some("sd-bus".into())),
        // Put together elsewhere; they cannot be plugged in later.
        Bus::Nvdimm | Bus::VirtioPmem | Bus::Memmap => ("none", None),
    };
    let mut words = vec![("driver", driver.to_owned()), ("id", format!("dev{index}"))];
    words.extend(bus.map(|bus| ("bus", bus)));
    words.push(("drive", format!("drive{index}")));
    match drive.bus.in_qemu() {
        Bus::Nvme => words.push(("serial", format!("nvme{index}"))),
        Bus::UsbStick => words.push(("removable", "on".into())),
        Bus::Virtio => words.push(("serial", format!("disk{index}"))),
        Bus::Virtio4k => {
            words.push(("serial", format!("disk{index}")));
            words.extend(["logical_block_size", "physical_block_size"].map(|key| (key, "4096".to_owned())));
        }
        _ => {}
    }
    words
}

fn is_cd(bus: Bus) -> bool {
    matches!(bus, Bus::IdeCd | Bus::ScsiCd | Bus::UsbCd)
}

fn add_drive(qemu: &mut Command, index: usize, drive: &Drive) {
    match &drive.log {
        Some(log) => add_logged(qemu, index, &drive.file, log),
        None => add_plain(qemu, index, drive),
    }
    if drive.bus.in_qemu() == Bus::UsbCd {
        qemu.args(["-device", &format!("usb-bot,id=bot{index},bus=usb.0")]);
    }
    let mut words = device(index, drive);
    // A card has no place in the firmware's order.
    if drive.bus.in_qemu() != Bus::SdCard {
        words.push(("bootindex", (index + 1).to_string()));
    }
    if drive.log.is_some() {
        words.push(("write-cache", "on".into()));
        // The log would mix up zeroing with what is written at the same time: QEMU's driver reserves their places in two steps.
        // It also puts two pieces in front of each request, and merged ones have as many as pwritev(2) takes (1024) already: EINVAL,
        // which the guest sees as an I/O error.
        if drive.bus.in_qemu() == Bus::Virtio {
            words.extend(["discard", "write-zeroes", "request-merging"].map(|word| (word, "off".into())));
        }
    }
    let (first, rest) = words.split_at(1);
    let mut text = first[0].1.clone();
    for (key, value) in rest {
        text.push_str(&format!(",{key}={value}"));
    }
    qemu.args(["-device", &text]);
}

/// Every write passes through the log, in the order in which they end. The host's own disk is not waited for: a flush is an
/// entry of the log.
fn add_logged(qemu: &mut Command, index: usize, file: &Path, log: &Path) {
    let node = json!({
        "driver": "blklogwrites",
        "node-name": format!("drive{index}"),
        "file": {"driver": "raw", "cache": {"no-flush": true}, "file": {"driver": "file", "filename": file}},
        "log": {"driver": "file", "filename": log, "cache": {"no-flush": true}},
    });
    qemu.args(["-blockdev", &node.to_string()]);
}

fn add_plain(qemu: &mut Command, index: usize, drive: &Drive) {
    let writes = match (is_cd(drive.bus), drive.keep_writes) {
        (true, _) => "media=cdrom,readonly=on",
        (false, _) if drive.locked => "readonly=on",
        (false, true) => "snapshot=off",
        (false, false) => "snapshot=on",
    };
    let rest = format!("{writes}{}", drive.trouble.options(&drive.file));
    qemu.args(["-drive", &format!("if=none,id=drive{index},format=raw,{rest}")]);
}

/// The sockets of a machine that is switched on, opened when they are needed.
pub(super) struct Control {
    dir: PathBuf,
    qmp: Option<Qmp>,
    console: Option<UnixStream>,
}

impl Control {
    pub(super) fn plug_in(&mut self, index: usize, drive: &Drive) -> Result<()> {
        let qmp = self.qmp()?;
        let file = json!({"driver": "file", "filename": drive.file, "read-only": true, "locking": "off"});
        qmp.command(
            "blockdev-add",
            json!({"driver": "raw", "node-name": format!("drive{index}"), "read-only": true, "file": file}),
        )?;
        let words = device(index, drive);
        let arguments: serde_json::Map<_, _> =
            words.into_iter().map(|(key, value)| (key.to_owned(), typed(value))).collect();
        qmp.command("device_add", arguments.into())?;
        Ok(())
    }

    pub(super) fn pull_out(&mut self, index: usize) -> Result<()> {
        self.qmp()?.command("device_del", json!({"id": format!("dev{index}")}))?;
        Ok(())
    }

    pub(super) fn eject(&mut self, index: usize) -> Result<()> {
        self.qmp()?.command("eject", json!({"id": format!("dev{index}")}))?;
        Ok(())
    }

    /// Without a limit, QEMU lets go of what it has held back.
    pub(super) fn answer(&mut self, index: usize) -> Result<()> {
        let none = json!({"device": format!("drive{index}"), "bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0});
        self.qmp()?.command("block_set_io_throttle", none)?;
        Ok(())
    }

    fn qmp(&mut self) -> Result<&mut Qmp> {
        if self.qmp.is_none() {
            self.qmp = Some(Qmp::connect(&self.dir.join("qmp"))?);
        }
        self.qmp.as_mut().context("no control socket")
    }

    pub(super) fn type_text(&mut self, text: &str) -> Result<()> {
        if self.console.is_none() {
            let stream = qmp::socket(&self.dir.join("console"))?;
            drain(stream.try_clone()?);
            self.console = Some(stream);
        }
        let console = self.console.as_mut().context("no console")?;
        // A 16550 has 16 bytes of room: a person does not type faster either.
        for chunk in text.as_bytes().chunks(8) {
            console.write_all(chunk)?;
            std::thread::sleep(Duration::from_millis(30));
        }
        Ok(())
    }
}

/// Reads and forgets: QEMU writes a byte at a time, and a socket nobody reads is full after some hundred of them.
fn drain(mut stream: UnixStream) {
    std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
}

/// QMP wants a real boolean where the command line has `on`.
fn typed(value: String) -> serde_json::Value {
    match value.as_str() {
        "on" => true.into(),
        "off" => false.into(),
        _ => value.into(),
    }
}
