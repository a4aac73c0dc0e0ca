//! `rdlive report`: what the boot did, and how the parts of the root are doing now.

use std::error::Error;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::env::Env;
use crate::handover::{Report, Store};
use crate::mapper::{self, MapperError, Status};
use crate::plan::snapshot::NAMES;
use crate::terminal;

/// Prints the report.
///
/// # Errors
/// No report, unknown arguments.
pub fn run(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let report = Report::load(&Env::default()).ok_or("no report in /run/rdlive: not a live system?")?;
    let store = report.write_mode.as_ref().and_then(|mode| mode.store.as_ref());
    // Asked now, not at boot: a store fills while the system works.
    let status = store.map(|store| mapper::status(&store.device));
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => terminal::print(report.lines().into_iter().chain(devices()).chain(line(store, status.as_ref()))),
        ["--json"] => {
            let value = with_status(&report, store, status.as_ref());
            terminal::print_json(&value?)?;
        }
        other => return Err(format!("unexpected arguments: {}", other.join(" ")).into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// The device-mapper devices of the root with their tables.
fn devices() -> impl Iterator<Item = String> {
    NAMES.iter().filter_map(|name| Some(format!("mapped    {name}: {}", mapper::table(name).ok()?)))
}

fn line(store: Option<&Store>, status: Option<&Result<Status, MapperError>>) -> Option<String> {
    let (store, status) = store.zip(status)?;
    Some(match status {
        Ok(status) => format!("store     {}: {status}", store.device),
        Err(why) => format!("store     {}: not known now: {why}", store.device),
    })
}

/// The report, and in `store_now` what the kernel says of the store.
fn with_status(
    report: &Report,
    store: Option<&Store>,
    status: Option<&Result<Status, MapperError>>,
) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(report)?;
    if let (Some(store), Some(Ok(status))) = (store, status) {
        let mut now = serde_json::to_value(status)?;
        now["device"] = json!(store.device);
        now["percent"] = json!(status.percent());
        value["store_now"] = now;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpret_text;

    #[test]
    fn b21_the_store_as_it_is_now() {
        let store = Store { device: "live-rw".into(), origin: 4096, size: 2048 };
        let rows = [
            (Ok(Status::Used { used: 9, total: 10 }), "live-rw: 90 % used (9/10), nearly full", "used", json!(90)),
            (Ok(Status::Overflow), "live-rw: Overflow", "overflow", json!(100)),
            (Ok(Status::Invalid), "live-rw: Invalid", "invalid", Value::Null),
        ];
        let (config, warnings) = interpret_text("root=live:LABEL=x");
        let report = Report::new("native", &config, &warnings);
        for (status, shown, state, percent) in rows {
            let found = line(Some(&store), Some(&status)).unwrap();
            assert!(found.contains(shown), "{status:?}: {found}");
            let value = with_status(&report, Some(&store), Some(&status)).unwrap();
            assert_eq!((&value["store_now"]["state"], &value["store_now"]["percent"]), (&json!(state), &percent));
        }
        let gone =
            MapperError { name: "live-rw".to_owned(), operation: "asking for its status", cause: "gone".to_owned() };
        let unknown = Err(gone);
        assert!(line(Some(&store), Some(&unknown)).unwrap().contains("not known now"));
        assert!(with_status(&report, None, None).unwrap().get("store_now").is_none());
    }
}
