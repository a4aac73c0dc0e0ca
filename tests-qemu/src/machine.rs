//! One QEMU machine: firmware, buses, kernel, serial ports, and an end.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::qmp::{self, Qmp};

/// How a medium is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Bus {
    /// ATAPI drive on the PIIX IDE controller.
    IdeCd,
    /// CD drive on virtio-scsi.
    ScsiCd,
    /// CD drive in a USB enclosure.
    UsbCd,
    /// USB mass storage on xHCI.
    UsbStick,
    /// virtio-blk.
    Virtio,
    /// virtio-blk with sectors of 4096 bytes.
    Virtio4k,
    /// NVMe namespace.
    Nvme,
    /// Disk on an AHCI (SATA) controller.
    Ahci,
    /// SD card in an SDHCI slot; its size must be a power of two.
    SdCard,
}

/// What starts the machine.
#[derive(Clone, Debug)]
pub enum Start {
    /// QEMU loads kernel and initrd itself.
    Kernel { kernel: PathBuf, initrd: Option<PathBuf>, append: String },
    /// BIOS firmware boots the first medium.
    SeaBios,
    /// UEFI firmware boots the first medium.
    Ovmf,
}

/// How guest time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// As fast as the host goes.
    Host { cpus: u8 },
    /// Guest time counts instructions, so the same boot gives the same time on every host.
    Instructions,
}

/// One attached medium.
#[derive(Clone, Debug)]
pub struct Drive {
    /// Raw image.
    pub file: PathBuf,
    /// Where it is plugged in.
    pub bus: Bus,
    /// Plugged in this long after power-on, instead of from the start.
    pub late: Option<Duration>,
    /// Writes reach the file instead of being dropped at the end.
    pub keep_writes: bool,
    /// Log of all that is written to it (see `powercut::log`); the file must exist and be empty.
    pub log: Option<PathBuf>,
    /// The write protection is on.
    pub locked: bool,
    /// Bytes per second that it takes, if it is a slow one.
    pub slow: Option<u64>,
}

/// Everything QEMU is told.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Firmware or kernel.
    pub start: Start,
    /// Media; the first one boots.
    pub drives: Vec<Drive>,
    /// MiB of RAM.
    pub memory: u32,
    /// Speed of time.
    pub clock: Clock,
}

/// Firmware images and their variable store, newest layout first.
const OVMF: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
];

/// Can this host run guests on its own processor?
pub fn has_kvm() -> bool {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split(' ').any(|flag| flag == "vmx" || flag == "svm")
        && File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

impl Machine {
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
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-nodefaults", "-machine", "pc", "-display", "none", "-no-reboot", "-nic", "none"]);
        qemu.args(["-m", &self.memory.to_string()]);
        match self.clock {
            Clock::Host { cpus } => {
                let accel = if has_kvm() { "kvm" } else { "tcg,thread=multi" };
                qemu.args(["-accel", accel, "-smp", &cpus.to_string()]);
            }
            Clock::Instructions => {
                qemu.args(["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=2,sleep=off"]);
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
                qemu.arg("-kernel").arg(kernel).args(["-append", append]);
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
            if drive.late.is_none() {
                add_drive(&mut qemu, index, drive);
            }
        }
        Ok(qemu)
    }

    fn add_controllers(&self, qemu: &mut Command) {
        let uses = |buses: &[Bus]| self.drives.iter().any(|drive| buses.contains(&drive.bus));
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

    /// Starts it; late media are plugged in by [`Running::tick`].
    pub fn power_on(&self, dir: &Path) -> Result<Running> {
        fs::create_dir_all(dir)?;
        let mut command = self.command(dir)?;
        fs::write(dir.join("qemu.command"), format!("{command:?}\n"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.join("qemu.stderr"))?)
            .spawn()
            .context("starting qemu-system-x86_64")?;
        let started = Instant::now();
        let late = self.drives.iter().cloned().enumerate().filter(|(_, drive)| drive.late.is_some()).collect();
        Ok(Running { child, dir: dir.to_owned(), started, late, qmp: None, console: None })
    }
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
        Bus::UsbStick => ("usb-storage", Some("usb.0".into())),
        Bus::Virtio | Bus::Virtio4k => ("virtio-blk-pci", None),
        Bus::Nvme => ("nvme", None),
        Bus::Ahci => ("ide-hd", Some(format!("sata.{index}"))),
        Bus::SdCard => ("sd-card", Some("sd-bus".into())),
    };
    let mut words = vec![("driver", driver.to_owned()), ("id", format!("dev{index}"))];
    words.extend(bus.map(|bus| ("bus", bus)));
    words.push(("drive", format!("drive{index}")));
    match drive.bus {
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
    if drive.bus == Bus::UsbCd {
        qemu.args(["-device", &format!("usb-bot,id=bot{index},bus=usb.0")]);
    }
    let mut words = device(index, drive);
    // A card has no place in the firmware's order.
    if drive.bus != Bus::SdCard {
        words.push(("bootindex", (index + 1).to_string()));
    }
    if drive.log.is_some() {
        words.push(("write-cache", "on".into()));
        // The log would mix up zeroing with what is written at the same time: QEMU's driver reserves their places in two steps.
        if drive.bus == Bus::Virtio {
            words.extend([("discard", "off".into()), ("write-zeroes", "off".into())]);
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
    let file = drive.file.display().to_string().replace(',', ",,");
    let writes = match (is_cd(drive.bus), drive.keep_writes) {
        (true, _) => "media=cdrom,readonly=on",
        (false, _) if drive.locked => "readonly=on",
        (false, true) => "snapshot=off",
        (false, false) => "snapshot=on",
    };
    let slow = drive.slow.map_or(String::new(), |bytes| format!(",throttling.bps-write={bytes}"));
    qemu.args(["-drive", &format!("if=none,id=drive{index},format=raw,{writes}{slow},file={file}")]);
}

/// A machine that is switched on.
pub struct Running {
    child: Child,
    dir: PathBuf,
    started: Instant,
    late: Vec<(usize, Drive)>,
    qmp: Option<Qmp>,
    console: Option<UnixStream>,
}

impl Running {
    /// Time since power-on.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Has it switched itself off (or crashed)?
    pub fn ended(&mut self) -> Result<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => {
                let said = fs::read_to_string(self.dir.join("qemu.stderr")).unwrap_or_default();
                bail!("QEMU ended with {status}: {said}")
            }
        }
    }

    /// Plugs in the media whose time has come.
    pub fn tick(&mut self) -> Result<()> {
        let age = self.age();
        let (due, later): (Vec<_>, Vec<_>) =
            self.late.drain(..).partition(|(_, drive)| drive.late.is_none_or(|at| at <= age));
        self.late = later;
        for (index, drive) in due {
            self.plug_in(index, &drive)?;
        }
        Ok(())
    }

    /// Plugs in everything that is not yet.
    pub fn plug_in_all(&mut self) -> Result<()> {
        for (index, drive) in std::mem::take(&mut self.late) {
            self.plug_in(index, &drive)?;
        }
        Ok(())
    }

    fn plug_in(&mut self, index: usize, drive: &Drive) -> Result<()> {
        let qmp = self.qmp()?;
        let file = json!({"driver": "file", "filename": drive.file, "read-only": true});
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

    /// Pulls out the drive with this number.
    pub fn pull_out(&mut self, index: usize) -> Result<()> {
        self.qmp()?.command("device_del", json!({"id": format!("dev{index}")}))?;
        Ok(())
    }

    /// Presses the button of a CD drive.
    ///
    /// # Errors
    /// The system has locked the door.
    pub fn eject(&mut self, index: usize) -> Result<()> {
        self.qmp()?.command("eject", json!({"id": format!("dev{index}")}))?;
        Ok(())
    }

    fn qmp(&mut self) -> Result<&mut Qmp> {
        if self.qmp.is_none() {
            self.qmp = Some(Qmp::connect(&self.dir.join("qmp"))?);
        }
        self.qmp.as_mut().context("no control socket")
    }

    /// Types on the serial console.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
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

    /// What the console has shown so far.
    pub fn console_text(&self) -> String {
        text_of(&self.dir.join("console.log"))
    }

    /// What came through the result channel so far.
    pub fn result_text(&self) -> String {
        text_of(&self.dir.join("result"))
    }

    /// Pulls the plug.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads and forgets: QEMU writes a byte at a time, and a socket nobody reads is full after some hundred of them.
fn drain(mut stream: UnixStream) {
    std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
}

fn text_of(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// QMP wants a real boolean where the command line has `on`.
fn typed(value: String) -> serde_json::Value {
    match value.as_str() {
        "on" => true.into(),
        "off" => false.into(),
        _ => value.into(),
    }
}
