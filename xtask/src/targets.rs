//! `targets` type-checks and lints, on any machine, the code that is compiled only for phones.
//!
//! Nothing is linked, so the C libraries are not needed: a program that writes empty files replaces their compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::workspace::{Workspace, run};

/// The four kinds of Android devices and emulators, and the iPhone. Our code does not distinguish other Apple
/// platforms from it.
const TARGETS: [&str; 5] = [
    "aarch64-linux-android",
    "armv7-linux-androideabi",
    "x86_64-linux-android",
    "i686-linux-android",
    "aarch64-apple-ios",
];

/// Replaces both the compiler and the archiver. It identifies itself as clang, which both systems use, and not as a
/// Microsoft compiler.
const STAND_IN: &str = "\
#!/bin/sh
for word; do
    case $word in
    -E) echo clang && exit ;;
    '-?') exit 1 ;;
    *.o | *.a) : >\"$word\" ;;
    esac
done
";

/// Checks these targets, or all of them. A warning is a failure.
pub(crate) fn check(workspace: &Workspace, wanted: &[String]) -> Result<(), Error> {
    let targets = if wanted.is_empty() { TARGETS.map(str::to_owned).to_vec() } else { wanted.to_vec() };
    let mut install = Command::new("rustup");
    install.args(["-q", "target", "add"]).args(&targets).current_dir(workspace.path(""));
    run(install)?;
    let tools = workspace.target("stand-in");
    let compiler = write_stand_in(&tools)?;
    for target in &targets {
        eprintln!("\n== {target}");
        // Without the features of a release, which only change C code.
        let mut clippy = workspace.cargo(&["clippy", "-p", "sealpost-ffi", "--lib", "--target", target]);
        for tool in ["CC", "AR"] {
            clippy.env(format!("{tool}_{}", target.replace('-', "_")), &compiler);
        }
        // The location of Apple's headers. A Mac knows it, and needs it to link build scripts.
        if cfg!(not(target_os = "macos")) {
            clippy.env("SDKROOT", &tools);
        }
        clippy.args(["--", "-D", "warnings"]);
        run(clippy)?;
    }
    Ok(())
}

fn write_stand_in(folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join("cc");
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, STAND_IN))
        .and_then(|()| make_executable(&path));
    written.map_err(|source| Error::Io { subject: path.clone(), source })?;
    Ok(path)
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_writes_the_requested_file() {
        let folder = std::env::temp_dir().join(format!("sealpost-stand-in-{}", std::process::id()));
        let compiler = write_stand_in(&folder).unwrap();
        let call = |arguments: &[&str]| {
            let output = Command::new(&compiler).args(arguments).current_dir(&folder).output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(call(&["-E", "family.c"]), "clang\n");
        assert_eq!(call(&["-O2", "-o", "a.o", "-c", "a.c"]), "");
        assert_eq!(call(&["cq", "b.a", "a.o"]), "");
        let mut written: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        written.sort();
        assert_eq!(written, ["a.o", "b.a", "cc"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_kind_of_phone_that_gets_a_library_is_checked() {
        let workspace = Workspace::locate().unwrap();
        let script = fs::read_to_string(workspace.path("bindings/kotlin/android/aar.sh")).unwrap();
        let android = TARGETS.into_iter().filter(|target| target.contains("android"));
        let triples = android.collect::<Vec<_>>().join(" ");
        assert!(script.contains(&format!("triples=\"{triples}\"")), "{triples}");
    }
}
