//! What is no kernel, or has no room, is refused by what it lacks; what is one lies where it should.
#![allow(clippy::unwrap_used)]

use super::*;
use pangea_topology::{Cluster, Failure, Guest, Links, Node};
use std::io::Write;
use tempfile::NamedTempFile;

const MIB: u64 = 1 << 20;

/// Two nodes of 256 MiB.
fn topology() -> Topology {
    let node = |name: &str| Node {
        name: name.into(),
        address: "127.0.0.1".into(),
        vcpus: 1,
        memory: 256 * MIB,
    };
    Topology::of(&Cluster {
        name: "test".into(),
        guest: Guest::default(),
        nodes: vec![node("a"), node("b")],
        links: Links::default(),
        failure: Failure::default(),
    })
}

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 512 << 20)]).unwrap()
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn loaded(bytes: &[u8], initrd: Option<(u64, u64)>) -> (Result<Entry, LoadError>, GuestMemoryMmap) {
    loaded_from(&file(bytes), initrd)
}

fn loaded_from(
    file: &NamedTempFile,
    initrd: Option<(u64, u64)>,
) -> (Result<Entry, LoadError>, GuestMemoryMmap) {
    let (memory, topology) = (memory(), topology());
    let kernel = Kernel { path: file.path(), memory: &memory, topology: &topology, initrd };
    (kernel.load(), memory)
}

/// A bzImage with one sector of set-up code, a setup header as of boot protocol 2.15, and this much kernel.
fn bzimage(xloadflags: u16, init_size: u32, payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]); // setup_sects
    put(0x1fe, &0xaa55_u16.to_le_bytes()); // boot_flag
    put(0x202, b"HdrS");
    put(0x206, &0x020f_u16.to_le_bytes()); // version
    put(0x211, &[1]); // loadflags: LOADED_HIGH
    put(0x214, &0x10_0000_u32.to_le_bytes()); // code32_start
    put(0x236, &xloadflags.to_le_bytes());
    put(0x258, &0x100_0000_u64.to_le_bytes()); // pref_address
    put(0x260, &init_size.to_le_bytes());
    image.extend_from_slice(payload);
    image
}

/// XEN_ELFNOTE_PHYS32_ENTRY, where PVH enters; and another note.
const PVH_NOTE: u32 = 18;
const LOADER_NOTE: u32 = 8;

/// An ELF executable for x86-64 with one loadable segment and a note of this kind.
fn elf(note: u32) -> Vec<u8> {
    let mut image = Vec::new();
    image.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let mut words = |bytes: &[&[u8]]| bytes.iter().for_each(|b| image.extend_from_slice(b));
    // e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, sizes and counts.
    words(&[&2_u16.to_le_bytes(), &62_u16.to_le_bytes(), &1_u32.to_le_bytes()]);
    words(&[&0x20_0000_u64.to_le_bytes(), &64_u64.to_le_bytes(), &0_u64.to_le_bytes()]);
    words(&[&0_u32.to_le_bytes(), &64_u16.to_le_bytes(), &56_u16.to_le_bytes()]);
    words(&[&2_u16.to_le_bytes(), &64_u16.to_le_bytes(), &[0; 4]]);
    let note_at = 64 + 2 * 56;
    let header = |kind: u32, offset: u64, at: u64, len: u64| {
        let mut header = [kind, 7].map(u32::to_le_bytes).concat();
        [offset, at, at, len, len, 4].map(u64::to_le_bytes).iter().for_each(|w| header.extend(w));
        header
    };
    words(&[&header(1, note_at, 0x20_0000, 4), &header(4, note_at, 0, 20)]);
    // A note of Xen's: lengths of name and value, kind, name, value.
    words(&[&4_u32.to_le_bytes(), &4_u32.to_le_bytes(), &note.to_le_bytes(), b"Xen\0"]);
    words(&[&0x20_0010_u32.to_le_bytes()]);
    image
}

#[test]
fn what_is_no_kernel_is_refused_by_name() {
    for (bytes, word) in [
        (&b"#!/bin/sh\necho no kernel\n"[..], "bzImage"),
        (&vec![0; 4096][..], "bzImage"),
        (&bzimage(0, 0, &[0; 4096])[..], "64-bit entry"),
        (&elf(LOADER_NOTE)[..], "PVH"),
        (&elf(LOADER_NOTE)[..40], "ELF"),
    ] {
        let error = loaded(bytes, None).0.unwrap_err();
        assert!(matches!(error, LoadError::Kernel { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error:?} doesn't say {word:?}");
    }
    assert!(matches!(loaded(b"MZ", None).0, Err(LoadError::Read { .. })));
}

#[test]
fn what_has_no_room_is_refused_with_the_limit() {
    let long = file(&bzimage(XLF_KERNEL_64, 0, &[]));
    long.as_file().set_len(257 * MIB).unwrap();
    let unpacks_too_far = file(&bzimage(XLF_KERNEL_64, 16 << 20, &[1; 4096]));
    for (image, initrd) in [(&long, None), (&unpacks_too_far, Some((30 * MIB, MIB)))] {
        let error = loaded_from(image, initrd).0.unwrap_err();
        assert!(matches!(error, LoadError::Space { what: "kernel", .. }), "{error}");
        assert!(error.to_string().contains("more memory"), "{error}");
    }
    let error = load_initrd(long.path(), topology().acpi().0, &memory()).unwrap_err();
    assert!(matches!(error, LoadError::Space { what: "initramfs", .. }), "{error}");
}

#[test]
fn a_bzimage_is_entered_in_64_bit_mode_and_told_of_its_memory_and_initramfs() {
    let image = bzimage(XLF_KERNEL_64, 4 << 20, &[0x5a; 4096]);
    let (entry, memory) = loaded(&image, Some((24 * MIB, 12_345)));
    let Entry::Linux64 { rip, boot_params: at, .. } = entry.unwrap() else {
        panic!("not entered as a bzImage");
    };
    assert_eq!((rip, at), (0x10_0200, BOOT_PARAMS));
    assert_eq!(memory.read_obj::<u8>(GuestAddress(rip)).unwrap(), 0x5a);
    let params: boot_params = memory.read_obj(GuestAddress(at)).unwrap();
    let (image, size) = (params.hdr.ramdisk_image, params.hdr.ramdisk_size);
    assert_eq!((u64::from(image), size), (24 * MIB, 12_345));
    let map = topology();
    assert_eq!(usize::from(params.e820_entries), map.e820().len());
    assert_eq!({ params.acpi_rsdp_addr }, map.acpi().0.0);
}

#[test]
fn an_elf_with_a_pvh_note_is_entered_there() {
    let (entry, memory) = loaded(&elf(PVH_NOTE), None);
    let Entry::Pvh { rip, start_info, .. } = entry.unwrap() else {
        panic!("not entered by PVH");
    };
    assert_eq!((rip, start_info), (0x20_0010, START_INFO));
    let info: hvm_start_info = memory.read_obj(GuestAddress(start_info)).unwrap();
    assert_eq!(({ info.magic }, { info.nr_modules }), (PVH_MAGIC, 0));
    assert_eq!({ info.memmap_entries } as usize, topology().e820().len());
}

#[test]
fn an_initramfs_lies_below_the_tables_on_a_page() {
    let initrd = file(&[7; 5000]);
    let (acpi, memory) = (topology().acpi().0, memory());
    let (at, len) = load_initrd(initrd.path(), acpi, &memory).unwrap();
    assert_eq!((at, len), (acpi.0 - 2 * PAGE_SIZE, 5000));
    assert_eq!(memory.read_obj::<u8>(GuestAddress(at + 4999)).unwrap(), 7);
}
