//! `soak outage` takes the relay away from many clients at once, and prints when they return.

use crate::error::Error;
use crate::workspace::{self, Workspace};

/// The default number of clients. Each takes about 2 MB of memory and ten open files.
const CLIENTS: u32 = 1_000;

/// `[CLIENTS]`
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Error> {
    let clients = super::number(arguments, CLIENTS)?;
    eprintln!("dev: {clients} clients lose their relay");
    workspace::run(workspace.cargo(&["build", "-p", "sealpost-relay"]))?;
    let test = ["test", "-p", "sealpost-e2e", "--test", "return_after_outage", "--", "--nocapture"];
    let mut command = workspace.cargo(&test);
    command.env("SEALPOST_CLIENTS", clients.to_string());
    workspace::run(command)
}
