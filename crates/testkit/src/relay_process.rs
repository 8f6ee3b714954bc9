//! A relay in a process of its own, which tests can kill.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The relay program: `SEALPOST_RELAY_BIN`, or the one next to the running program (tests run in the subfolder
/// `deps`).
pub fn relay_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SEALPOST_RELAY_BIN") {
        return path.into();
    }
    let program = std::env::current_exe().expect("the path of this program");
    let folders = program.ancestors().skip(1).take(2);
    let candidates =
        folders.map(|folder| folder.join(format!("sealpost-relay{}", std::env::consts::EXE_SUFFIX)));
    candidates
        .into_iter()
        .find(|path| path.exists())
        .expect("the relay is built: run the tests with ./dev test, or cargo build -p sealpost-relay first")
}

/// A running relay process. Dropping it kills it.
#[derive(Debug)]
pub struct RelayProcess {
    child: Child,
    addr: SocketAddr,
    metrics_url: String,
}

impl RelayProcess {
    /// Starts `binary` on `listen` (port 0 selects a free one), with its data in `data` and its log in `log`, and
    /// waits until it listens. `fault` names a station at which it aborts.
    pub async fn start(
        binary: &Path,
        data: &Path,
        listen: SocketAddr,
        log: &Path,
        fault: Option<&str>,
    ) -> std::io::Result<Self> {
        let log = std::fs::File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(binary);
        command
            .arg("--data")
            .arg(data)
            .args(["--listen", &listen.to_string(), "--registration", "dev", "--metrics", "0"])
            .env_remove("SEALPOST_RELAY_FAULT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        if let Some(fault) = fault {
            command.env("SEALPOST_RELAY_FAULT", fault);
        }
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        let mut lines = BufReader::new(stdout).lines();
        let silent = || std::io::Error::other("the relay did not print its address");
        let line = lines.next_line().await?.ok_or_else(silent)?;
        let addr = line.rsplit("//").next().and_then(|addr| addr.parse().ok()).ok_or_else(silent)?;
        let line = lines.next_line().await?.ok_or_else(silent)?;
        let metrics_url = line.strip_prefix("metrics on ").ok_or_else(silent)?.to_owned();
        Ok(Self { child, addr, metrics_url })
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The URL of its metrics.
    pub fn metrics_url(&self) -> &str {
        &self.metrics_url
    }

    /// Kills it with SIGKILL, without a drain.
    pub async fn kill(mut self) -> std::io::Result<()> {
        self.child.kill().await
    }

    /// Waits until it aborts at a fault.
    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }
}
