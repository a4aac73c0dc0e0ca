//! Leaves out what only unwinding needs, where a panic aborts: the standard library brings its tables in any case.

fn main() {
    let is = |key: &str, value: &str| std::env::var(key).is_ok_and(|is| is == value);
    println!("cargo::rerun-if-changed=discard-unwind.ld");
    // The release profile, told by its optimisation: cargo does not say here whether a panic aborts. GNU ld, with which other targets
    // are linked, reads the script as the whole layout of the program.
    if (is("OPT_LEVEL", "s") || is("OPT_LEVEL", "z")) && is("CARGO_CFG_TARGET_ENV", "musl") {
        let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins={manifest}/discard-unwind.ld");
    }
}
