//! The shared libraries that a dynamic program needs, found as the loader would find them, so
//! that the program can be put into an image.
//!
//! Followed: DT_NEEDED of the program and of each library, DT_RPATH and DT_RUNPATH with
//! `$ORIGIN`, then the directories of `/etc/ld.so.conf`, then the loader's own. In the image all
//! libraries go into one directory that Debian's and Ubuntu's loaders search without any cache.
//!
//! Spec: System V ABI, AMD64, "Program Loading and Dynamic Linking"; ld.so(8).

use crate::{ImageError, Result};
use goblin::elf::Elf;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where libraries lie in the image.
const GUEST_DIR: &str = "/lib/x86_64-linux-gnu";
/// The most libraries that one program's closure may have.
const MAX_LIBRARIES: usize = 256;
/// The deepest chain of `include` in ld.so.conf that is followed.
const MAX_INCLUDES: usize = 8;

/// The loader and all libraries of a program: (path on this host, path in the image), sorted.
/// A static program has none.
pub fn closure(program: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let system = system_directories();
    let mut found = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut todo = vec![program.to_owned()];
    while let Some(object) = todo.pop() {
        let bytes = fs::read(&object).map_err(ImageError::io("read", &object))?;
        let bad = |e| ImageError::content(&object, format!("isn't an ELF file: {e}"));
        let elf = Elf::parse(&bytes).map_err(bad)?;
        if let Some(loader) = elf.interpreter {
            found.insert(PathBuf::from(loader), PathBuf::from(loader));
        }
        let origin = object.parent().unwrap_or(Path::new("/"));
        let own = elf.runpaths.iter().chain(&elf.rpaths).flat_map(|paths| paths.split(':'));
        let own = own.map(|path| PathBuf::from(with_origin(path, origin)));
        let search: Vec<PathBuf> = own.chain(system.iter().cloned()).collect();
        for name in &elf.libraries {
            if !seen.insert((*name).to_owned()) || is_loader(name) {
                continue;
            }
            if seen.len() > MAX_LIBRARIES {
                let problem = format!("needs over {MAX_LIBRARIES} libraries");
                return Err(ImageError::content(program, problem));
            }
            let path = search.iter().map(|dir| dir.join(name)).find(|path| fits(path));
            let path = path.ok_or_else(|| {
                let problem = format!("needs {name}, which is in none of {search:?}; install it");
                ImageError::content(&object, problem)
            })?;
            found.insert(path.clone(), Path::new(GUEST_DIR).join(name));
            todo.push(path);
        }
    }
    Ok(found.into_iter().collect())
}

/// The loader is needed by name by libc, and found by the program's interpreter field.
fn is_loader(name: &str) -> bool {
    name.starts_with("ld-linux")
}

fn with_origin(path: &str, origin: &Path) -> String {
    let origin = origin.to_string_lossy();
    path.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin)
}

/// Is it a library for x86-64? (A 32-bit one of the same name may come first in the search.)
fn fits(path: &Path) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    goblin::elf::Elf::parse_header(&bytes).is_ok_and(|header| {
        header.e_machine == goblin::elf::header::EM_X86_64
            && header.e_ident.get(goblin::elf::header::EI_CLASS)
                == Some(&goblin::elf::header::ELFCLASS64)
    })
}

fn system_directories() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    configured(Path::new("/etc/ld.so.conf"), 0, &mut dirs);
    let own = [GUEST_DIR, "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
    dirs.extend(own.map(PathBuf::from));
    dirs
}

/// Reads a file of directories, one a line, with `include DIRECTORY/*.conf` lines. A missing file
/// or an odd line adds nothing: the loader does without as well.
fn configured(file: &Path, depth: usize, dirs: &mut Vec<PathBuf>) {
    let Ok(text) = fs::read_to_string(file) else { return };
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        let Some(pattern) = line.strip_prefix("include").map(str::trim) else {
            if line.starts_with('/') {
                dirs.push(line.into());
            }
            continue;
        };
        let Some(dir) = Path::new(pattern).parent().filter(|_| depth < MAX_INCLUDES) else {
            continue;
        };
        let dir = Path::new("/etc").join(dir);
        let listing = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut files: Vec<_> = listing.map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "conf"));
        files.sort();
        files.iter().for_each(|path| configured(path, depth + 1, dirs));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn this_test_program_has_the_libraries_that_it_runs_with() {
        let program = std::env::current_exe().unwrap();
        let closure = closure(&program).unwrap();
        let guest: Vec<_> = closure.iter().map(|(_, guest)| guest.to_str().unwrap()).collect();
        assert!(guest.contains(&"/lib/x86_64-linux-gnu/libc.so.6"), "{guest:?}");
        assert!(guest.contains(&"/lib64/ld-linux-x86-64.so.2"), "{guest:?}");
        assert!(closure.iter().all(|(host, _)| host.is_file()), "{closure:?}");
        // The kernel's own list of what this process has mapped agrees.
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mapped = maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| path);
        for path in mapped.filter(|path| path.contains(".so")) {
            let name = Path::new(path).file_name().unwrap().to_str().unwrap();
            assert!(guest.iter().any(|path| path.ends_with(name)), "{name} not in {guest:?}");
        }
    }

    #[test]
    fn what_is_no_program_is_said_to_be_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "#!/bin/sh\n").unwrap();
        let error = closure(file.path()).unwrap_err().to_string();
        assert!(error.contains("isn't an ELF file"), "{error}");
    }

    #[test]
    fn origin_is_the_objects_own_directory() {
        let lib = with_origin("$ORIGIN/../lib:${ORIGIN}", Path::new("/opt/a/bin"));
        assert_eq!(lib, "/opt/a/bin/../lib:/opt/a/bin");
    }
}
