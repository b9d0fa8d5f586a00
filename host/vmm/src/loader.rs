//! Puts kernel, initramfs, command line and tables into the guest's memory, through the same mapping
//! that the guest uses: where a page belongs to another node, coherence brings it here.
//!
//! ```text
//! 0x0500  descriptor table       0x7000  boot_params (bzImage)      0x9000  page tables, 6 pages
//! 0x6000  PVH start_info         0x2_0000 command line              0x10_0000 kernel
//! below the ACPI tables: initramfs
//! ```
//!
//! Linux Documentation/arch/x86/boot.rst "64-bit Boot Protocol", zero-page.rst; Xen docs/misc/pvh.pandoc
//! "x86/HVM direct boot ABI".

use linux_loader::loader::bootparam::{boot_e820_entry, boot_params};
use linux_loader::loader::elf::start_info::{
    hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use linux_loader::loader::elf::{Elf, PvhBootCapability};
use linux_loader::loader::{BzImage, KernelLoader};
use pangea_kvm::Entry;
use pangea_manifest::Bundle;
use pangea_topology::{E820Entry, Gpa, PAGE_SIZE, Topology};
use std::fs::File;
use std::path::{Path, PathBuf};
use vm_memory::{ByteValued, Bytes, GuestAddress, GuestMemoryMmap};

const GDT: u64 = 0x500;
const START_INFO: u64 = 0x6000;
const MODULES: u64 = 0x6100;
const MEMORY_MAP: u64 = 0x6200;
const BOOT_PARAMS: u64 = 0x7000;
const PAGE_TABLES: u64 = 0x9000;
const COMMAND_LINE: u64 = 0x2_0000;
const KERNEL: u64 = 0x10_0000;
const BASE: Option<GuestAddress> = Some(GuestAddress(KERNEL));
/// Bytes of a command line that Linux takes (x86 COMMAND_LINE_SIZE), with its end.
const COMMAND_LINE_MAX: usize = 2048;
/// Entries of the memory map that fit before `BOOT_PARAMS`, and in `boot_params`.
const MEMORY_MAP_MAX: usize = 128;
/// Loader type "undefined" in `boot_params`.
const LOADER_UNDEFINED: u8 = 0xff;
/// XLF_KERNEL_64: the image has a 64-bit entry at 0x200.
const XLF_KERNEL_64: u16 = 1;
const ENTRY_64: u64 = 0x200;
/// `hvm_start_info`: magic and the version with a memory map.
const PVH_MAGIC: u32 = 0x336e_c578;
const PVH_VERSION: u32 = 1;

/// Why the guest can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file doesn't open or read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The kernel file is neither a bzImage nor an ELF with a PVH entry.
    #[error("{path} can't be booted directly: {reason}")]
    Kernel {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Something doesn't fit where it has to be.
    #[error(
        "the {what} needs {len:#x} bytes at {at:#x}, but the root node's memory is free only up to \
         {limit:#x}; give the first node of the cluster file more memory"
    )]
    Space {
        /// What it is.
        what: &'static str,
        /// Its size.
        len: u64,
        /// Where it would go.
        at: u64,
        /// The end of what there is.
        limit: u64,
    },
    /// The command line is too long.
    #[error("the command line has {len} bytes, Linux takes {limit}; shorten `command-line`")]
    CommandLine {
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// Guest memory refused a write.
    #[error("cannot write the {what} at {at:#x}: {source}")]
    Write {
        /// What was written.
        what: &'static str,
        /// Where.
        at: u64,
        /// The reason.
        source: vm_memory::GuestMemoryError,
    },
}

/// Loads the bundle's guest. The vCPU that gets the returned [`Entry`] boots it.
pub(crate) fn load(bundle: &Bundle, memory: &GuestMemoryMmap) -> Result<Entry, LoadError> {
    let topology = bundle.topology();
    let (acpi, _) = topology.acpi();
    put(memory, "ACPI tables", acpi.0, bundle.acpi())?;
    let command_line = bundle.command_line();
    if command_line.len() >= COMMAND_LINE_MAX {
        let limit = COMMAND_LINE_MAX - 1;
        return Err(LoadError::CommandLine { len: command_line.len(), limit });
    }
    put(memory, "command line", COMMAND_LINE, command_line.as_bytes())?;
    put(memory, "command line", COMMAND_LINE + command_line.len() as u64, &[0])?;
    let initrd = match bundle.initrd() {
        Some(path) => Some(load_initrd(path, acpi, memory)?),
        None => None,
    };
    put_gdt(memory)?;

    Kernel { path: bundle.kernel(), memory, topology, initrd }.load()
}

/// The kernel's file, and what the kernel is told of.
struct Kernel<'a> {
    path: &'a Path,
    memory: &'a GuestMemoryMmap,
    topology: &'a Topology,
    /// Address and length of the initramfs.
    initrd: Option<(u64, u64)>,
}

impl Kernel<'_> {
    fn load(&self) -> Result<Entry, LoadError> {
        let mut file = File::open(self.path).map_err(|source| self.unread(source))?;
        let mut magic = [0; 4];
        std::io::Read::read_exact(&mut file, &mut magic).map_err(|source| self.unread(source))?;
        match magic == *b"\x7fELF" {
            true => self.load_elf(&mut file),
            false => self.load_bzimage(&mut file),
        }
    }

    fn load_bzimage(&self, file: &mut File) -> Result<Entry, LoadError> {
        // Almost all of the file is the kernel: before any of it is copied.
        self.fits(
            KERNEL.saturating_add(file.metadata().map_err(|source| self.unread(source))?.len()),
        )?;
        let loaded = BzImage::load(self.memory, BASE, file, BASE).map_err(|e| self.bad(e))?;
        let header = loaded.setup_header.ok_or_else(|| self.bad("it has no setup header"))?;
        if header.xloadflags & XLF_KERNEL_64 == 0 {
            return Err(self.bad("it has no 64-bit entry point"));
        }
        // The kernel unpacks itself at its preferred address and needs that much there.
        let unpacked = header.pref_address.saturating_add(header.init_size.into());
        self.fits(loaded.kernel_end.max(unpacked))?;

        let mut params = boot_params { hdr: header, ..Default::default() };
        params.hdr.type_of_loader = LOADER_UNDEFINED;
        params.hdr.cmd_line_ptr = COMMAND_LINE as u32;
        if let Some((at, len)) = self.initrd {
            params.hdr.ramdisk_image = at as u32;
            params.hdr.ramdisk_size = len as u32;
        }
        params.acpi_rsdp_addr = self.topology.acpi().0.0;
        let map = self.memory_map()?;
        for (slot, entry) in params.e820_table.iter_mut().zip(map) {
            let (addr, size) = (entry.base.0, entry.len);
            *slot = boot_e820_entry { addr, size, r#type: entry.kind.code() };
        }
        params.e820_entries = map.len() as u8;
        put(self.memory, "boot parameters", BOOT_PARAMS, params.as_slice())?;
        put_page_tables(self.memory)?;
        Ok(Entry::Linux64 {
            rip: loaded.kernel_load.0 + ENTRY_64,
            boot_params: BOOT_PARAMS,
            cr3: PAGE_TABLES,
            gdt: (GDT, 0x17),
        })
    }

    fn load_elf(&self, file: &mut File) -> Result<Entry, LoadError> {
        let loaded = Elf::load(self.memory, None, file, BASE).map_err(|e| self.bad(e))?;
        let PvhBootCapability::PvhEntryPresent(entry) = loaded.pvh_boot_cap else {
            return Err(self.bad("its ELF notes have no PVH entry (CONFIG_PVH)"));
        };
        self.fits(loaded.kernel_end)?;
        let map: Vec<_> = self
            .memory_map()?
            .iter()
            .map(|e| hvm_memmap_table_entry {
                addr: e.base.0,
                size: e.len,
                type_: e.kind.code(),
                ..Default::default()
            })
            .collect();
        for (i, entry) in map.iter().enumerate() {
            put(self.memory, "PVH memory map", MEMORY_MAP + 24 * i as u64, entry.as_slice())?;
        }
        let mut info = hvm_start_info {
            magic: PVH_MAGIC,
            version: PVH_VERSION,
            cmdline_paddr: COMMAND_LINE,
            rsdp_paddr: self.topology.acpi().0.0,
            memmap_paddr: MEMORY_MAP,
            memmap_entries: map.len() as u32,
            ..Default::default()
        };
        if let Some((paddr, size)) = self.initrd {
            let module = hvm_modlist_entry { paddr, size, ..Default::default() };
            put(self.memory, "PVH module list", MODULES, module.as_slice())?;
            (info.nr_modules, info.modlist_paddr) = (1, MODULES);
        }
        put(self.memory, "PVH start information", START_INFO, info.as_slice())?;
        Ok(Entry::Pvh { rip: entry.0, start_info: START_INFO, gdt: (GDT, 0x17) })
    }

    fn memory_map(&self) -> Result<&[E820Entry], LoadError> {
        let map = self.topology.e820();
        if map.len() > MEMORY_MAP_MAX {
            let reason =
                format!("the memory map has {} entries, it takes {MEMORY_MAP_MAX}", map.len());
            return Err(self.bad(reason));
        }
        Ok(map)
    }

    /// Does a kernel that ends there leave the initramfs and the ACPI tables alone?
    fn fits(&self, end: u64) -> Result<(), LoadError> {
        let limit = self.initrd.map_or(self.topology.acpi().0.0, |(at, _)| at);
        if end > limit {
            let len = end.saturating_sub(KERNEL);
            return Err(LoadError::Space { what: "kernel", len, at: KERNEL, limit });
        }
        Ok(())
    }

    fn unread(&self, source: std::io::Error) -> LoadError {
        LoadError::Read { path: self.path.to_owned(), source }
    }

    fn bad(&self, reason: impl ToString) -> LoadError {
        LoadError::Kernel { path: self.path.to_owned(), reason: reason.to_string() }
    }
}

/// The initramfs lies as high as it can, so that the kernel has room to unpack itself.
fn load_initrd(path: &Path, acpi: Gpa, memory: &GuestMemoryMmap) -> Result<(u64, u64), LoadError> {
    let read = |source| LoadError::Read { path: path.to_owned(), source };
    let room = acpi.0.saturating_sub(KERNEL);
    let fits = |len| match len > room {
        true => Err(LoadError::Space { what: "initramfs", len, at: KERNEL, limit: acpi.0 }),
        false => Ok(len),
    };
    // Before it is read, and as it was read.
    fits(std::fs::metadata(path).map_err(read)?.len())?;
    let bytes = std::fs::read(path).map_err(read)?;
    let len = fits(bytes.len() as u64)?;
    let at = (acpi.0 - len) & !(PAGE_SIZE - 1);
    put(memory, "initramfs", at, &bytes)?;
    Ok((at, len))
}

/// Null, code, data: selectors 8 and 16, flat. The code descriptor serves 64-bit mode; PVH starts with
/// its segments already loaded.
fn put_gdt(memory: &GuestMemoryMmap) -> Result<(), LoadError> {
    let table = [0u64, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
    let bytes: Vec<u8> = table.into_iter().flat_map(u64::to_le_bytes).collect();
    put(memory, "descriptor table", GDT, &bytes)
}

/// The low 4 GiB, one to one, in 2 MiB pages.
fn put_page_tables(memory: &GuestMemoryMmap) -> Result<(), LoadError> {
    const TABLE: u64 = 0x3; // present, writable
    const LARGE: u64 = 0x83; // and a 2 MiB page
    let page = |i: u64| PAGE_TABLES + i * PAGE_SIZE;
    let mut tables = vec![0u64; 6 * 512];
    tables[0] = page(1) | TABLE;
    for gib in 0..4u64 {
        tables[512 + gib as usize] = page(2 + gib) | TABLE;
    }
    for (i, entry) in tables[2 * 512..].iter_mut().enumerate() {
        *entry = (i as u64) << 21 | LARGE;
    }
    let bytes: Vec<u8> = tables.into_iter().flat_map(u64::to_le_bytes).collect();
    put(memory, "page tables", PAGE_TABLES, &bytes)
}

fn put(
    memory: &GuestMemoryMmap,
    what: &'static str,
    at: u64,
    bytes: &[u8],
) -> Result<(), LoadError> {
    memory.write_slice(bytes, GuestAddress(at)).map_err(|source| LoadError::Write {
        what,
        at,
        source,
    })
}

#[cfg(test)]
#[path = "loader_tests.rs"]
mod tests;
