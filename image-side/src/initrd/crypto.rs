//! Kernel modules of encrypted areas.

use anyhow::{Result, bail};

use super::kmod::ModuleTree;

/// The device-mapper target.
const TARGET: &str = "dm_crypt";
/// Ciphers, modes and digests of LUKS volumes as cryptsetup makes them, the kernel's interface that cryptsetup opens key
/// slots with, and what makes them fast. A kernel has some built in, and some only on one processor.
const WANTED: [&str; 17] = [
    "xts",
    "cbc",
    "ecb",
    "essiv",
    "aes_generic",
    "sha1_generic",
    "sha256_generic",
    "sha512_generic",
    "af_alg",
    "algif_hash",
    "algif_skcipher",
    "aesni_intel",
    "sha256_ssse3",
    "sha512_ssse3",
    "aes_ce_blk",
    "aes_neon_blk",
    "sha2_ce",
];

/// The modules of `tree` that encrypted areas need, without their dependencies.
///
/// # Errors
/// The kernel has no dm-crypt.
pub(super) fn modules(tree: &ModuleTree) -> Result<Vec<String>> {
    if !tree.contains(TARGET) && !tree.is_builtin(TARGET) {
        bail!("--encryption needs {TARGET}: kernel {} has no such module (CONFIG_DM_CRYPT)", tree.version);
    }
    let wanted = [TARGET].into_iter().chain(WANTED);
    Ok(wanted.filter(|name| tree.contains(name)).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(modules: &str, builtin: &str) -> ModuleTree {
        ModuleTree::from_texts("6.1", modules, "", "", builtin)
    }

    #[test]
    fn what_there_is_but_never_without_the_target() {
        let some = "kernel/crypto/xts.ko:\nkernel/crypto/algif_skcipher.ko:\nkernel/fs/ext4/ext4.ko:\n";
        let with = format!("kernel/drivers/md/dm-crypt.ko.xz:\n{some}");
        assert_eq!(modules(&tree(&with, "")).unwrap(), ["dm_crypt", "xts", "algif_skcipher"]);
        assert_eq!(modules(&tree(some, "kernel/drivers/md/dm-crypt.ko\n")).unwrap(), ["xts", "algif_skcipher"]);
        let error = modules(&tree(some, "")).unwrap_err().to_string();
        assert!(error.contains("CONFIG_DM_CRYPT"), "{error}");
    }
}
