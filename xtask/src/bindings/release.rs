//! The library as apps ship it: optimised for size, and stripped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::workspace::{Workspace, run};

/// The profile in Cargo.toml.
const PROFILE: &str = "release-size";

/// The source of SQLCipher's cryptography.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crypto {
    /// Linked into the library, as in apps for phones.
    Linked,
    /// The system's libcrypto.
    #[cfg(target_os = "linux")]
    System,
}

/// A library with its symbols and, if the linker supports it, the linker's map and a copy of all its inputs in a tar
/// archive.
pub(crate) struct Library {
    pub(crate) path: PathBuf,
    pub(crate) map: PathBuf,
    pub(crate) inputs: PathBuf,
}

/// Builds it. No other crate type is built, because a library that is also linked for Rust would not be optimised as
/// a whole.
pub(crate) fn library(workspace: &Workspace, crypto: Crypto) -> Result<Library, Error> {
    // Each variant has its own folder, because both libraries have the same name.
    let mut command = workspace.cargo(&["rustc", "--profile", PROFILE, "-p", "sealpost-ffi", "--lib"]);
    command.args(["--crate-type", "cdylib"]);
    let folder = match crypto {
        Crypto::Linked => {
            command.args(["--features", "vendored-crypto"]);
            workspace.target(PROFILE)
        }
        #[cfg(target_os = "linux")]
        Crypto::System => {
            let target = workspace.target("system-crypto");
            command.arg("--target-dir").arg(&target);
            target.join(PROFILE)
        }
    };
    let (map, inputs) = (folder.join("sealpost.map"), folder.join("sealpost.tar"));
    // Build scripts and macros are linked into it first; the library comes last and remains.
    command.env("LLD_REPRODUCE", &inputs);
    if cfg!(target_os = "linux") {
        command.args(["--", "-C"]).arg(format!("link-arg=-Wl,-Map={}", map.display()));
    }
    run(command)?;
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    Ok(Library { path: folder.join(format!("{DLL_PREFIX}sealpost{DLL_SUFFIX}")), map, inputs })
}

impl Library {
    /// A copy without symbols, in its own folder.
    pub(crate) fn stripped(&self) -> Result<PathBuf, Error> {
        let folder = self.path.parent().unwrap_or(Path::new(".")).join("stripped");
        fs::create_dir_all(&folder).map_err(|source| Error::Io { subject: folder.clone(), source })?;
        let stripped = folder.join(self.path.file_name().unwrap_or_default());
        let mut strip = Command::new("strip");
        strip.arg(if cfg!(target_os = "macos") { "-x" } else { "--strip-unneeded" });
        strip.arg("-o").arg(&stripped).arg(&self.path);
        run(strip)?;
        Ok(stripped)
    }
}
