//! `--link`: two terminals with one account. The new terminal shows a code, and the first one reads it.

use std::io::{self, Write as _};

use sealpost_core::{Client, LinkCode, SharedHistory};

use crate::home::{Home, HomeError};

/// Links this terminal to the account of another one, unless it has an account.
pub(crate) async fn join(home: &Home, name: &str, relay: &str) -> Result<Client, HomeError> {
    let new = match home.open(name, relay).await? {
        sealpost_core::Opened::Ready(client) => return Ok(client),
        sealpost_core::Opened::Unregistered(new) => new,
    };
    let linking = new.link(name).await?;
    say("End the chat in the other terminal, and run this there, with the name of its account:\n")?;
    say(&format!("  ./dev chat --name NAME --link {}\n", *linking.code().to_text()))?;
    let digits = linking.digits().await?;
    say(&format!("The other terminal must show {digits}. Answer there."))?;
    let client = linking.finish().await?;
    say("This terminal is linked.")?;
    Ok(client)
}

/// Reads the code of a new terminal, and asks the person.
pub(crate) async fn read(client: &Client, code: &LinkCode) -> Result<(), HomeError> {
    let pending = client.link(code).await?;
    let name = pending.name();
    say(&format!(
        "{name} wants to be linked to this account. Does it show {}? (yes or no)",
        pending.digits()
    ))?;
    let asked = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = asked.await.map_err(io::Error::other)??;
    if matches!(answer.trim(), "yes" | "y") {
        let device = pending.confirm(&name, SharedHistory::Everything).await?;
        say(&format!("{name} is linked as device {device}."))?;
    } else {
        pending.cancel().await?;
        say("Nothing was linked.")?;
    }
    Ok(())
}

fn say(what: &str) -> Result<(), HomeError> {
    Ok(writeln!(io::stdout(), "{what}")?)
}
