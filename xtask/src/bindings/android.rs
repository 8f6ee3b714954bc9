//! The package for Android, which is built by a developer with the NDK.

use std::process::Command;

use super::{build, kotlin};
use crate::error::Error;
use crate::workspace::{Workspace, run};

/// The script that builds it, or says what is missing.
const SCRIPT: &str = "bindings/kotlin/android/aar.sh";

/// Builds the package for apps: the library for four kinds of processors, the classes, and the rules for the
/// shrinker.
pub(crate) fn package(workspace: &Workspace) -> Result<(), Error> {
    let script = |step: &str| {
        let mut command = Command::new(workspace.path(SCRIPT));
        command.arg(step).arg(workspace.target(""));
        command
    };
    run(script("check"))?;
    build(workspace)?;
    kotlin::generate(workspace)?;
    run(script("build"))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::process::{Output, Stdio};

    use super::*;

    const RUST: &str =
        "aarch64-linux-android armv7-linux-androideabi x86_64-linux-android i686-linux-android";

    /// A folder with the real script, and programs that only record how they are called.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("sealpost-android-{name}-{}", std::process::id()));
            let machine = Self(folder);
            machine.write(SCRIPT, &fs::read_to_string(Workspace::locate().unwrap().path(SCRIPT)).unwrap());
            machine
        }

        /// A machine with all required tools; the libraries are aligned for pages of `page` bytes.
        fn complete(name: &str, page: &str) -> Self {
            let machine = Self::new(name);
            let ndk = "sdk/ndk/28.2.13676358";
            machine.write("sdk/ndk/9.0.1/source.properties", "Pkg.Revision = 9.0.1\n");
            machine
                .write(&format!("{ndk}/source.properties"), "Pkg.Desc = NDK\nPkg.Revision = 28.2.13676358\n");
            let tools = format!("{ndk}/toolchains/llvm/prebuilt/linux-x86_64/bin");
            machine.write(&format!("{tools}/llvm-strip"), "#!/bin/sh\ncp \"$4\" \"$3\"\n");
            let segments = format!("#!/bin/sh\necho '  LOAD 0x0 0x0 0x0 0x1 0x1 R E {page}'\n");
            machine.write(&format!("{tools}/llvm-readelf"), &segments);
            let rust = RUST.replace(' ', "\\n");
            machine.write("bin/rustup", &format!("#!/bin/sh\nprintf '{rust}\\n'\n"));
            machine.write("bin/javac", "#!/bin/sh\necho javac 21.0.1\n");
            machine.write(
                "bin/gradle",
                "#!/bin/sh\necho gradle \"$@\" >>\"$CALLS\"\nmkdir -p ../target/android/maven\n",
            );
            machine.write(
                "bin/cargo",
                "#!/bin/sh\n[ \"$2\" = --version ] && exit\necho cargo \"$@\" >>\"$CALLS\"\n\
                 while [ \"$1\" != --output-dir ]; do shift; done\n\
                 for abi in arm64-v8a armeabi-v7a x86_64 x86; do mkdir \"$2/$abi\"; echo $abi >\"$2/$abi/libsealpost.so\"; done\n",
            );
            machine
        }

        /// Writes an executable file. A process that another test starts in the meantime would keep the file open for writing for a moment, and it
        /// could not be executed (`ETXTBSY`); so only a child opens it, which has ended afterwards.
        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut copy = Command::new("sh");
            copy.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(&path).stdin(Stdio::piped());
            let mut copy = copy.spawn().unwrap();
            copy.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            assert!(copy.wait().unwrap().success());
        }

        fn run(&self, step: &str) -> Output {
            let mut script = Command::new(self.0.join(SCRIPT));
            script.arg(step).arg(self.0.join("rust"));
            script.env_clear().env("CALLS", self.0.join("calls")).env("ANDROID_HOME", self.0.join("sdk"));
            script.env("PATH", format!("{}:/usr/bin:/bin", self.0.join("bin").display()));
            script.output().unwrap()
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.0.join(path)).unwrap_or_default()
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn said(output: &Output) -> String {
        String::from_utf8(output.stderr.clone()).unwrap()
    }

    #[test]
    fn missing_tools_are_named_with_instructions() {
        let machine = Machine::new("bare");
        for program in ["cargo", "rustup", "javac"] {
            machine.write(&format!("bin/{program}"), "#!/bin/sh\nexit 1\n");
        }
        let refused = machine.run("check");
        assert_eq!(refused.status.code(), Some(1));
        for hint in [
            "ANDROID_HOME",
            "sdkmanager 'ndk;",
            "cargo install cargo-ndk",
            &format!("rustup target add {RUST}"),
        ] {
            assert!(said(&refused).contains(hint), "{hint} in {}", said(&refused));
        }
        assert!(said(&refused).contains("a JDK from 17 on"), "{}", said(&refused));
    }

    #[test]
    fn an_old_ndk_is_refused() {
        let machine = Machine::complete("old", "0x4000");
        machine.write("sdk/ndk/28.2.13676358/source.properties", "Pkg.Revision = 26.1.10909125\n");
        let refused = machine.run("build");
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).contains("this is r26"), "{}", said(&refused));
        assert_eq!(machine.read("calls"), "", "nothing is built");
    }

    #[test]
    fn four_libraries_are_built_stripped_and_packed() {
        let machine = Machine::complete("whole", "0x4000");
        assert!(machine.run("check").status.success());
        assert_eq!(machine.read("calls"), "", "checking the tools builds nothing");
        let built = machine.run("build");
        assert!(built.status.success(), "{}", said(&built));
        let calls = machine.read("calls");
        let (cargo, gradle) = calls.split_once('\n').unwrap();
        assert!(
            cargo.contains(
                "--target arm64-v8a --target armeabi-v7a --target x86_64 --target x86 --platform 26"
            )
        );
        assert!(
            cargo.contains("rustc --locked --profile release-size -p sealpost-ffi --lib --crate-type cdylib")
        );
        assert!(cargo.contains("--features vendored-crypto"));
        assert!(cargo.ends_with("-- -C link-arg=-Wl,-z,max-page-size=16384,-z,defs"), "{cargo}");
        assert!(gradle.contains("publish"), "{gradle}");
        for abi in ["arm64-v8a", "armeabi-v7a", "x86_64", "x86"] {
            let library = format!("bindings/kotlin/target/android/libraries/{abi}/libsealpost.so");
            assert_eq!(machine.read(&library).trim(), abi);
            assert_eq!(machine.read(&format!("rust/android/symbols/{abi}/libsealpost.so")).trim(), abi);
        }
    }

    #[test]
    fn a_library_for_small_pages_is_refused() {
        let machine = Machine::complete("small", "0x1000");
        let refused = machine.run("build");
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).contains("pages of 16 KB"), "{}", said(&refused));
        assert!(!machine.read("calls").contains("gradle"));
    }

    #[test]
    fn the_script_and_the_package_agree() {
        let workspace = Workspace::locate().unwrap();
        let folder = workspace.path(Path::new(SCRIPT).parent().unwrap().to_str().unwrap());
        let [script, gradle, pom] =
            [folder.join("aar.sh"), folder.join("build.gradle.kts"), folder.join("../pom.xml")]
                .map(|path| fs::read_to_string(path).unwrap());
        assert!(script.contains("platform=26") && gradle.contains("minSdk = 26"));
        for part in ["coroutines", "jna"] {
            let of_gradle = gradle.lines().find(|line| line.contains(part)).unwrap();
            let version =
                of_gradle.rsplit(':').next().unwrap().trim_end_matches(['"', ')']).trim_end_matches("@aar");
            assert!(pom.contains(&format!("<version>{version}</version>")), "{part} {version}");
        }
    }
}
