//! Is this a kernel that a node can start? Found out while the bundle is built, not when it boots.
//!
//! | kind | known by | entered at |
//! |---|---|---|
//! | bzImage | `HdrS` at 0x202, boot protocol 2.12 or later, 64-bit | its 64-bit entry |
//! | PVH ELF | `\x7fELF`, 64-bit, x86-64, a Xen note of type 18 | what the note says |
//!
//! Spec: Linux `Documentation/arch/x86/boot.rst`; Xen `docs/misc/pvh.pandoc`.

use crate::BundleError;
use goblin::elf::{Elf, header::EM_X86_64};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes that tell the kind: the boot protocol's header ends before.
const HEAD: u64 = 0x300;
/// Where the boot protocol's header has its magic number `HdrS`, version and 64-bit flags.
const MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const XLOADFLAGS: usize = 0x236;
/// Boot protocol 2.12 brought `xloadflags`.
const MIN_VERSION: u16 = 0x020C;
/// `XLF_KERNEL_64`: it has the 64-bit entry.
const KERNEL_64: u16 = 1;
/// `XEN_ELFNOTE_PHYS32_ENTRY`, of the owner `Xen`.
const PHYS32_ENTRY: u32 = 18;
/// Bytes of the largest ELF image that is read to look for the note.
const MAX_ELF: u64 = 1 << 30;

/// Refuses what no node could start.
pub(crate) fn check(path: &Path) -> Result<(), BundleError> {
    let head = read(path, HEAD)?;
    if head.starts_with(b"\x7fELF") {
        return check_elf(path);
    }
    if head.get(MAGIC..MAGIC + 4) != Some(b"HdrS") {
        let first: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let first = first.join(" ");
        let size = path.metadata().map_err(BundleError::read(path))?.len();
        return Err(BundleError::NotAKernel {
            path: path.to_owned(),
            size,
            what: what(&head),
            first,
        });
    }
    let word = |at: usize| head.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
    let (version, flags) = (word(VERSION), word(XLOADFLAGS));
    if version < MIN_VERSION {
        let (major, minor) = ((version >> 8) as u8, version as u8);
        return Err(BundleError::OldKernel { path: path.to_owned(), major, minor });
    }
    if flags & KERNEL_64 == 0 {
        return Err(BundleError::Not64Bit { path: path.to_owned() });
    }
    Ok(())
}

fn check_elf(path: &Path) -> Result<(), BundleError> {
    let bytes = read(path, MAX_ELF)?;
    let elf = Elf::parse(&bytes)
        .map_err(|cause| BundleError::BadElf { path: path.to_owned(), cause: cause.to_string() })?;
    if !elf.is_64 || elf.header.e_machine != EM_X86_64 {
        return Err(BundleError::Not64Bit { path: path.to_owned() });
    }
    let mut notes = elf.iter_note_headers(&bytes).into_iter().flatten().flatten();
    if notes.any(|note| note.name == "Xen" && note.n_type == PHYS32_ENTRY) {
        return Ok(());
    }
    Err(BundleError::NotPvh { path: path.to_owned() })
}

/// What a file that is no kernel probably is.
fn what(head: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 8] = [
        (b"", "an empty file"),
        (b"\x1f\x8b", "gzip data"),
        (b"\xfd7zXZ\0", "xz data"),
        (b"\x28\xb5\x2f\xfd", "zstd data"),
        (b"MZ", "a PE image without a Linux boot header"),
        (b"070701", "a cpio archive (an initramfs)"),
        (b"!<arch>\n", "a Debian package"),
        (b"#!", "a script"),
    ];
    let known = KNOWN.iter().skip(1).find(|(magic, _)| head.starts_with(magic));
    match known {
        _ if head.is_empty() => KNOWN[0].1,
        Some((_, name)) => name,
        None => "nothing that is known",
    }
}

/// At most `limit` bytes from the start.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(BundleError::read(path))?;
    file.take(limit).read_to_end(&mut bytes).map_err(BundleError::read(path))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(bytes: &[u8], expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel");
        std::fs::write(&path, bytes).unwrap();
        let error = check(&path).unwrap_err().to_string();
        let shown = error.replace(&path.display().to_string(), "KERNEL");
        let (problem, help) = shown.split_once("; ").unwrap();
        assert_eq!(problem, format!("KERNEL {expected}"));
        assert!(help.starts_with("use ") || help.starts_with("copy "), "{help}");
    }

    /// A boot header of this version with these flags.
    fn bzimage(version: u16, flags: u16) -> Vec<u8> {
        let mut head = vec![0; HEAD as usize];
        head[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        head[VERSION..VERSION + 2].copy_from_slice(&version.to_le_bytes());
        head[XLOADFLAGS..XLOADFLAGS + 2].copy_from_slice(&flags.to_le_bytes());
        head
    }

    #[test]
    fn a_bzimage_of_today_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel");
        std::fs::write(&path, bzimage(0x020F, 0x7F)).unwrap();
        check(&path).unwrap();
    }

    /// The smallest ELF file of this machine with this note of the owner `Xen`.
    fn elf(machine: u16, note: u32) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
        put(16, &2_u16.to_le_bytes()); // e_type: an executable
        put(18, &machine.to_le_bytes());
        put(20, &1_u32.to_le_bytes()); // e_version
        put(32, &64_u64.to_le_bytes()); // e_phoff
        put(52, &64_u16.to_le_bytes()); // e_ehsize
        put(54, &56_u16.to_le_bytes()); // e_phentsize
        put(56, &1_u16.to_le_bytes()); // e_phnum
        put(64, &4_u32.to_le_bytes()); // p_type: notes
        put(64 + 8, &120_u64.to_le_bytes()); // p_offset
        put(64 + 32, &24_u64.to_le_bytes()); // p_filesz
        put(64 + 48, &4_u64.to_le_bytes()); // p_align
        for word in [4, 8, note] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend(b"Xen\0\0\0\0\x01\0\0\0\0");
        elf
    }

    #[test]
    fn a_vmlinux_is_taken_for_its_pvh_note() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmlinux");
        std::fs::write(&path, elf(EM_X86_64, PHYS32_ENTRY)).unwrap();
        check(&path).unwrap();
        refused(&elf(EM_X86_64, 1), "is an ELF file without a PVH entry (a Xen note of type 18)");
        refused(&elf(183, PHYS32_ENTRY), "isn't an x86-64 kernel with a 64-bit entry");
    }

    #[test]
    fn what_is_no_kernel_is_named() {
        refused(b"", "isn't a Linux kernel: an empty file, 0 bytes, beginning with ``");
        refused(
            b"\x1f\x8b\x08\x00 compressed",
            "isn't a Linux kernel: gzip data, 15 bytes, beginning with `1f 8b 08 00 20 63 6f 6d`",
        );
        refused(
            &[b"MZ".as_slice(), &[0; 2000]].concat(),
            "isn't a Linux kernel: a PE image without a Linux boot header, 2002 bytes, beginning \
             with `4d 5a 00 00 00 00 00 00`",
        );
        refused(
            b"hello",
            "isn't a Linux kernel: nothing that is known, 5 bytes, beginning with `68 65 6c 6c 6f`",
        );
    }

    #[test]
    fn what_no_node_could_start_is_refused() {
        refused(&bzimage(0x0204, 0), "has boot protocol 2.04, at least 2.12 is needed");
        refused(&bzimage(0x020F, 0), "isn't an x86-64 kernel with a 64-bit entry");
        let elf = "is a broken ELF file: Malformed entity: invalid ELF class 20";
        refused(b"\x7fELF and no more", elf);
    }

    #[test]
    fn an_elf_program_is_no_kernel() {
        // This test itself: 64-bit, x86-64, without the note.
        let error = check(&std::env::current_exe().unwrap()).unwrap_err();
        assert!(matches!(error, BundleError::NotPvh { .. }), "{error}");
    }
}
