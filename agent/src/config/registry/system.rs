//! Kargs about waiting, failing, logging, kernel modules and the real init.

use super::{Karg, Origin, ValueKind, alias, table};

table! { SYSTEM_TABLE:
    RETRY = Karg::new("rd.retry", ValueKind::Number, Origin::Both, "Seconds to wait for the medium").default("180");
    TIMEOUT = Karg::new("rd.timeout", ValueKind::Number, Origin::Both, "Seconds to wait for the medium, if `rd.retry` is absent")
        .values("seconds; 0 is the default of `rd.retry`, nothing waits for ever");
    SHELL = Karg::new("rd.shell", ValueKind::Bool, Origin::Both, "Allow a prompt or shell when the boot fails").default("1");
    EMERGENCY = Karg::new("rd.emergency", ValueKind::Text, Origin::Both, "What to do after the prompt, or when it is not allowed")
        .values("`reboot`, `poweroff`, `halt`")
        .words(&["reboot", "poweroff", "halt"]);
    PANIC = Karg::new("panic", ValueKind::Number, Origin::Kernel, "Seconds until a failed boot restarts the machine; negative: at once")
        .default("0, wait for a person");
    BREAK = Karg::new("rd.break", ValueKind::Text, Origin::Both, "Stop at a hook of dracut").elsewhere("dracut; a native initrd has no hooks");
    SHUTDOWN_TIMEOUT = Karg::new("rd.shutdown.timeout.umount", ValueKind::Number, Origin::Dracut, "Seconds that an unmount at power-off may take without writing anything; dracut's shutdown: seconds for each unmount")
        .values("seconds, `90s`, `2m`; 0 waits as long as it takes")
        .default("90");
    LIVE_EJECT = Karg::new("rd.live.eject", ValueKind::Bool, Origin::Rdlive, "Open the optical drive when the machine has been taken down; `=prompt` also asks to take the medium away")
        .values("bool or `prompt`")
        .words(&["prompt"])
        .default("0");
    LIVE_DEBUG = Karg::new("rd.live.debug", ValueKind::Bool, Origin::Both, "Log every fact and decision").default("0")
        .aliases(&[alias("rdlivedebug", "dracut before 104")]);
    KIWI_DEBUG = Karg::new("rd.kiwi.debug", ValueKind::Bool, Origin::Kiwi, "The same as `rd.live.debug`").default("0");
    DEBUG = Karg::new("rd.debug", ValueKind::Bool, Origin::Dracut, "The same as `rd.live.debug`; dracut's shell code traces too").default("0");
    REPORT = Karg::new("rd.live.report", ValueKind::Text, Origin::Rdlive, "Write the boot report there as well")
        .values("a character device such as `/dev/ttyS1`");
    RO = Karg::new("ro", ValueKind::Word, Origin::Kernel, "Mount the medium read-only; the last of `ro` and `rw` wins").default("set");
    RW = Karg::new("rw", ValueKind::Word, Origin::Kernel, "Mount the medium read-write, unless another system may sleep on it; the last of `ro` and `rw` wins");
    INIT = Karg::new("init", ValueKind::Text, Origin::Kernel, "The program that takes over").values("a path in the new root")
        .default("`/sbin/init`, `/etc/init`, `/bin/init`, `/bin/sh`");
    DRIVER_BLACKLIST = Karg::new("rd.driver.blacklist", ValueKind::List, Origin::Dracut, "Kernel modules never to load in the initrd");
    MODPROBE_BLACKLIST = Karg::new("modprobe.blacklist", ValueKind::List, Origin::Kernel, "Kernel modules never to load by their device");
    MODULE_BLACKLIST = Karg::new("module_blacklist", ValueKind::List, Origin::Kernel, "Kernel modules the kernel refuses to load");
    DRIVER_PRE = Karg::new("rd.driver.pre", ValueKind::List, Origin::Dracut, "Kernel modules to load before all others");
    DRIVER_POST = Karg::new("rd.driver.post", ValueKind::List, Origin::Dracut, "Kernel modules to load after all others");
    PLYMOUTH = Karg::new("plymouth.enable", ValueKind::Bool, Origin::Both, "Boot splash; KIWI's media check entry turns it off").elsewhere("plymouth");
    KIWI_TERM = Karg::new("rd.kiwi.term", ValueKind::Text, Origin::Kiwi, "Terminal type of KIWI's dialogs").ignored("rdlive shows no dialogs");
    KIWI_DIALOG_TIMEOUT = Karg::new("rd.kiwi.dialog.timeout", ValueKind::Text, Origin::Kiwi, "Time limit of KIWI's dialogs").ignored("rdlive shows no dialogs");
    KIWI_PLYMOUTH = Karg::new("rd.kiwi.allow_plymouth", ValueKind::Bool, Origin::Kiwi, "Keep the boot splash during KIWI's dialogs").ignored("rdlive shows no dialogs");
    DEVICE_TIMEOUT = Karg::new("DEVICE_TIMEOUT", ValueKind::Number, Origin::Kiwi, "Limit for udev in kiwi-live, which never saw the karg")
        .ignored("rdlive does not wait for udev; rd.retry limits the wait for the medium");
}
