//! The sides and their relay, and what happens to them.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sealpost_core::{Message, MessageBody, Thread, ThreadId, UserId};
use sealpost_testkit::RelayProcess;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::act::Kind;
use crate::cut::Wire;
use crate::model::{Body, Entry, Model};
use crate::run::{Failure, Result};
use crate::side::{Settled, Side, until};
use crate::talk::{Line, Talk};

/// The title of a group. Nobody but its members may be able to read it.
const TITLE: &str = "Those who go to Olten by the early train";
/// Messages that are searched for one of the newest. Some of them may have disappeared from the model.
const NEWEST: u32 = 100;

/// A further device of one of the people.
pub(crate) struct Companion {
    /// Whose.
    pub(crate) of: usize,
    pub(crate) side: Side,
    /// How many lines were said there.
    pub(crate) lines: usize,
}

pub(crate) struct Stage {
    pub(crate) dir: TempDir,
    relay_binary: PathBuf,
    pub(crate) relay: Option<RelayProcess>,
    relay_addr: SocketAddr,
    pub(crate) sides: Vec<Side>,
    /// The group, if there are more than two and it exists already.
    pub(crate) group: Option<ThreadId>,
    pub(crate) companion: Option<Companion>,
    offline: Option<usize>,
    pub(crate) model: Model,
    /// For each line, when it was said, by whom, and its position in the thread.
    pub(crate) said: Vec<(Instant, usize, u64)>,
}

impl Stage {
    pub(crate) async fn set(talk: &Talk, relay_binary: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let relay = start_relay(relay_binary, dir.path(), any_port).await?;
        println!("a relay runs at {}", relay.url());
        let mut sides = Vec::new();
        for (number, name) in (1..).zip(&talk.names) {
            sides.push(Side::register(dir.path(), name, number, &relay.url()).await?);
        }
        let title = (sides.len() > 2).then(|| TITLE.to_owned());
        let mut stage = Self {
            dir,
            relay_binary: relay_binary.to_owned(),
            relay_addr: relay.addr(),
            relay: Some(relay),
            model: Model::of(sides.len(), title),
            sides,
            group: None,
            companion: None,
            offline: None,
            said: Vec::new(),
        };
        if !stage.model.is_group() {
            // The relay stores only a few messages for somebody who has not accepted the thread yet.
            for side in 0..2 {
                stage.thread(side).await?;
            }
        }
        Ok(stage)
    }

    pub(crate) fn side(&mut self, side: usize) -> Result<&mut Side> {
        self.sides.get_mut(side).ok_or(Failure::TimedOut("a side"))
    }

    /// The other side, of two.
    pub(crate) fn other(&mut self, side: usize) -> Result<&mut Side> {
        self.side(1_usize.saturating_sub(side))
    }

    /// The thread of the talk.
    pub(crate) async fn thread(&mut self, side: usize) -> Result<Thread> {
        let talk = self.talk_of(side)?;
        self.side(side)?.thread_of(talk).await
    }

    /// Where a side talks: in the group, or with the other one.
    fn talk_of(&mut self, side: usize) -> Result<Where> {
        Ok(match self.group {
            Some(group) => Where::Group(group),
            None => Where::With(self.other(side)?.client.user_id()),
        })
    }

    /// The thread of the talk at the companion, if there is one.
    pub(crate) async fn thread_at_companion(&mut self) -> Result<Option<Thread>> {
        let Some(of) = self.companion.as_ref().map(|companion| companion.of) else { return Ok(None) };
        let talk = self.talk_of(of)?;
        let Some(companion) = &mut self.companion else { return Ok(None) };
        Ok(Some(companion.side.thread_of(talk).await?))
    }

    /// The message with this number, as a side has it. Waits until it has arrived.
    pub(crate) async fn message(&mut self, side: usize, at: usize) -> Result<Message> {
        let place = self.model.entry(side, at).map(|entry| entry.place);
        self.message_at(side, place.ok_or(Failure::TimedOut("a message"))?).await
    }

    /// The message that has this place in the thread, as a side has it. Waits until it has arrived.
    pub(crate) async fn message_at(&mut self, side: usize, place: u64) -> Result<Message> {
        let thread = self.thread(side).await?;
        until("the arrival of a message", async || {
            let newest = thread.history_of(None, NEWEST).await?.messages;
            // In a group, its key may come after it.
            let is_opened = |message: &Message| !matches!(message.body, MessageBody::Undecryptable(_));
            Ok(newest.into_iter().find(|message| message.server_seq == Some(place) && is_opened(message)))
        })
        .await
    }

    /// Links a companion to this side.
    pub(crate) async fn link(&mut self, of: usize) -> Result<()> {
        let (dir, relay) = (self.dir.path().to_owned(), format!("http://{}", self.relay_addr));
        let number = u8::try_from(self.sides.len().saturating_add(1)).unwrap_or(u8::MAX);
        let side = self.side(of)?.link(&dir, number, &relay).await?;
        self.companion = Some(Companion { of, side, lines: 0 });
        Ok(())
    }

    /// Where the speaker says the next line: every other one at the companion, if there is one.
    async fn speaking(&mut self, speaker: usize) -> Result<(Thread, Settled)> {
        let (talk, timer_s) = (self.talk_of(speaker)?, self.model.timer_s);
        let is_turn = self.said.len().is_multiple_of(2);
        match self.companion.as_mut().filter(|companion| companion.of == speaker && is_turn) {
            Some(companion) => {
                let thread = companion.side.thread_of(talk).await?;
                // What is said there has the timer that it knows.
                until("the timer at the companion", async || {
                    Ok((thread.timer().await? == timer_s).then_some(()))
                })
                .await?;
                companion.lines = companion.lines.saturating_add(1);
                Ok((thread, Settled::listen(&companion.side.client)))
            }
            None => {
                let thread = self.thread(speaker).await?;
                Ok((thread, Settled::listen(&self.side(speaker)?.client)))
            }
        }
    }

    /// Sends a line.
    pub(crate) async fn say(&mut self, line: &Line) -> Result<()> {
        let (thread, settled) = self.speaking(line.speaker).await?;
        let said = Instant::now();
        let sent = thread.send_text(&line.text).await?;
        let place = settled.place(&thread, sent.id).await?;
        self.was_said(line, said, place);
        Ok(())
    }

    /// Kills the relay while the line is on its way, and starts it again.
    pub(crate) async fn say_and_kill(&mut self, line: &Line) -> Result<()> {
        let thread = self.thread(line.speaker).await?;
        let settled = Settled::listen(&self.side(line.speaker)?.client);
        let said = Instant::now();
        let sent = thread.send_text(&line.text).await?;
        if let Some(relay) = self.relay.take() {
            relay.kill().await?;
        }
        self.relay = Some(start_relay(&self.relay_binary, self.dir.path(), self.relay_addr).await?);
        let place = settled.place(&thread, sent.id).await?;
        self.was_said(line, said, place);
        Ok(())
    }

    /// Sends the line over a connection that is cut when the relay answers: the client cannot know that the relay has
    /// it, and submits it again.
    pub(crate) async fn say_twice(&mut self, line: &Line) -> Result<()> {
        let wire = Wire::to(self.relay_addr).await?;
        let direct = format!("http://{}", self.relay_addr);
        let side = self.side(line.speaker)?;
        side.reopen(&wire.url()).await?;
        side.wait_until_live().await?;
        // Other data that may be in transit now, such as a receipt, is waited for first.
        sleep(Duration::from_millis(300)).await;
        let thread = self.thread(line.speaker).await?;
        let settled = Settled::listen(&self.side(line.speaker)?.client);
        wire.cut_at_next_answer();
        let said = Instant::now();
        let sent = thread.send_text(&line.text).await?;
        let place = settled.place(&thread, sent.id).await?;
        if !wire.was_cut() {
            return Err(Failure::TimedOut("the cut"));
        }
        self.was_said(line, said, place);
        self.side(line.speaker)?.reopen(&direct).await
    }

    fn was_said(&mut self, line: &Line, said: Instant, place: u64) {
        self.said.push((said, line.speaker, place));
        self.model.push(Kind::Text, Entry::new(line.speaker, place, Body::Text(line.text.clone())));
    }

    pub(crate) fn offline(&self) -> Option<usize> {
        self.offline
    }

    pub(crate) async fn go_offline(&mut self, side: usize) -> Result<()> {
        self.offline = Some(side);
        Ok(self.side(side)?.client.suspend().await?)
    }

    pub(crate) async fn come_back(&mut self) -> Result<()> {
        if let Some(side) = self.offline.take() {
            self.side(side)?.client.resume().await?;
        }
        Ok(())
    }

    /// How often the relay received a message that it already had.
    pub(crate) async fn duplicates_at_relay(&self) -> Result<u64> {
        let relay = self.relay.as_ref().ok_or_else(|| io::Error::other("there is no relay"))?;
        let metrics = async { reqwest::get(relay.metrics_url()).await?.text().await };
        let metrics = metrics.await.map_err(io::Error::other)?;
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix("relay_dedupe_hits_total ")?.trim().parse().ok());
        value.ok_or_else(|| io::Error::other("the relay does not count duplicates").into())
    }

    /// Closes everything.
    pub(crate) async fn close(&mut self) -> Result<()> {
        for side in self.sides.iter().chain(self.companion.as_ref().map(|companion| &companion.side)) {
            side.client.suspend().await?;
        }
        if let Some(relay) = self.relay.take() {
            relay.kill().await?;
        }
        Ok(())
    }
}

/// Where a side talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    With(UserId),
    Group(ThreadId),
}

async fn start_relay(binary: &Path, dir: &Path, listen: SocketAddr) -> io::Result<RelayProcess> {
    let data = dir.join("relay");
    std::fs::create_dir_all(&data)?;
    RelayProcess::start(binary, &data, listen, &data.join("relay.log"), None).await
}
