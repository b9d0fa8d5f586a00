//! Version numbers as programs, packages and kernels tell them: the major and the minor one.

/// A version's first two numbers; the second is 0 where there is one only.
pub(crate) type Version = (u32, u32);

/// Of a kernel's release: (6, 18) of "6.18.44-generic".
pub(crate) fn of_kernel(release: &str) -> Option<Version> {
    leading(release)
}

/// Of the line in which a program tells its version: (10, 0) of "QEMU emulator version 10.0.2 (...)".
pub(crate) fn of_program(line: &str) -> Option<Version> {
    leading(line.split("version ").nth(1)?)
}

/// Of a Debian package, without its epoch: (10, 0) of "1:10.0.2+ds-2".
pub(crate) fn of_package(version: &str) -> Option<Version> {
    leading(version.split_once(':').map_or(version, |(_, upstream)| upstream))
}

/// Is this version's major number at least `least`? One that can't be read may serve: somebody built it.
pub(crate) fn serves(version: Option<Version>, least: u32) -> bool {
    version.is_none_or(|(major, _)| major >= least)
}

fn leading(text: &str) -> Option<Version> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    Some((major, numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_where_it_tells() {
        assert_eq!(of_kernel("6.18.44-generic"), Some((6, 18)));
        assert_eq!(of_kernel("unknown"), None);
        assert_eq!(of_program("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)"), Some((7, 2)));
        assert_eq!(of_program("QEMU, built by hand"), None);
        assert_eq!(of_package("1:10.0.2+ds-2"), Some((10, 0)));
        assert_eq!(of_package("12-1"), Some((12, 1)));
        assert_eq!(of_package("1:x"), None);
    }

    #[test]
    fn a_program_is_as_old_as_it_says() {
        let qemu = |line| serves(of_program(line), 8);
        assert!(!qemu("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)"));
        assert!(qemu("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)"));
        assert!(qemu("QEMU, built by hand"));
    }
}
