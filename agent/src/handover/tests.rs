use serde_json::{Value, json};

use super::*;
use crate::terminal::tests::with_each_text;

/// A report in which everything is said.
fn full() -> Value {
    json!({
        "schema": 1, "version": "1", "mode": "native", "outcome": "failed", "dialect": "kiwi", "dialect_reason": "why",
        "medium": { "origin": { "device": "/dev/sr0" }, "kind": "iso9660", "label": "LIVE", "uuid": "2026" },
        "device": "/dev/sr0",
        "content": { "container": { "path": "LiveOS/squashfs.img", "kind": "squashfs", "compressor": "zstd", "dirty": false } },
        "inner": { "image": { "path": "LiveOS/rootfs.img", "kind": "ext4", "compressor": null, "dirty": true } },
        "write_mode": {
            "method": "snapshot", "persistence": "file", "size": "50%", "place": "/dev/sda1:x.cow", "readonly": true,
            "store": { "device": "live-rw", "origin": 4096, "size": 2048 }, "encrypted": true, "cipher": "aes",
            "notes": ["made"],
        },
        "other_kernel": { "running": "6.12.1", "modules": ["6.1.0"] },
        "ram": { "path": "/run/x", "bytes": 2, "data": 1, "released": true, "sha256": "ab" },
        "warnings": [{ "id": "value", "karg": "a=b", "message": "bad" }],
        "fallbacks": ["to RAM"],
        "considered": [{ "device": "sda", "verdict": "another label" }],
        "steps": [{ "stage": "acquire", "step": "mount", "at_ms": 1.0, "took_ms": 2.0, "error": "EIO" }],
        "timeline": [{ "event": "agent", "at_ms": 1.0 }],
        "stop": { "code": "RDL-010", "cause": "why", "wanted": "this", "found": ["that", "it"], "advice": "do" },
    })
}

#[test]
fn f12_no_text_of_a_report_makes_lines_of_its_own() {
    let read = |value| serde_json::from_value::<Report>(value).ok();
    let report = read(full()).unwrap();
    let mut said = serde_json::to_value(&report).unwrap();
    said["inner"]["image"]["compressor"] = Value::Null;
    // Whatever is added to the report has to be in the sample too.
    assert_eq!(said, full());
    assert!(!said.to_string().replace("\"compressor\":null", "").contains("null"));
    assert_eq!(with_each_text(&full(), read, Report::lines), 36);
}
