//! The relay program.

mod arguments;

use std::io::Write as _;
use std::process::ExitCode;

use sealpost_relay::Relay;
use sealpost_relay::store::sqlite::SqliteStore;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            tracing::error!("{problem}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(cause = error.source().map(tracing::field::display), "{error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Help => say(arguments::USAGE),
        Command::NewEpoch => {
            let epoch = SqliteStore::new_epoch(&arguments.config.data)?;
            tracing::info!(
                epoch,
                "a new epoch has begun; clients will check whether their messages are still stored"
            );
            Ok(())
        }
        Command::Serve => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(serve(arguments))
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let relay = Relay::start(arguments.config).await?;
    // This is all that is printed on standard output; a parent process that asked for port 0 reads it.
    say(&format!("listening on {}", relay.url()))?;
    if let Some(addr) = relay.metrics_addr() {
        say(&format!("metrics on http://{addr}/metrics"))?;
    }
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    tracing::info!("draining");
    relay.shutdown().await;
    Ok(())
}

fn say(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
