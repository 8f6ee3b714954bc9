//! The messenger on the screen: passes keys, news and time to the state, and draws it.

use std::io;
use std::time::Duration;

use crossterm::event::EventStream;
use futures_util::StreamExt as _;
use sealpost_core::UserId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::{Clock, system_ms};
use crate::keys;
use crate::news::{News, Request};
use crate::signals::Signals;
use crate::state::State;
use crate::terminal::Screen;
use crate::view;

/// How often the time is looked at, and an open search is repeated.
const TICK: Duration = Duration::from_secs(1);

/// How the screen was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The person has ended the program, or the terminal is gone.
    Ended,
    /// The client is gone, which should not happen.
    WithoutClient,
}

/// Runs until the person ends it. An error of the terminal means that it is gone.
pub(crate) async fn run(
    (us, user): (&str, UserId),
    relay: &str,
    requests: UnboundedSender<Request>,
    mut news: UnboundedReceiver<News>,
) -> io::Result<Left> {
    let mut signals = Signals::new()?;
    let mut screen = Screen::open()?;
    let size = screen.terminal.size()?;
    let mut state = State::new(us, user, relay, Clock::system(), (size.width, size.height));
    let left = talk(&mut state, &mut screen, &mut signals, &requests, &mut news).await;
    // However it has ended, what was being written is kept, and nobody waits in a call.
    for last in state.keep_draft().into_iter().chain(state.end_calls()) {
        let _ = requests.send(last);
    }
    left
}

async fn talk(
    state: &mut State,
    screen: &mut Screen,
    signals: &mut Signals,
    requests: &UnboundedSender<Request>,
    news: &mut UnboundedReceiver<News>,
) -> io::Result<Left> {
    let mut events = EventStream::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        screen.terminal.draw(|frame| view::draw(frame, state))?;
        let wanted = tokio::select! {
            event = events.next() => match event {
                Some(event) => keys::read(event?).map(|input| state.input(input)).unwrap_or_default(),
                None => return Ok(Left::Ended),
            },
            came = news.recv() => {
                let Some(first) = came else { return Ok(Left::WithoutClient) };
                let mut wanted = state.news(first);
                // What has come meanwhile is drawn at once.
                while let Ok(next) = news.try_recv() {
                    wanted.extend(state.news(next));
                }
                wanted
            }
            _ = ticks.tick() => state.tick(system_ms()),
            () = signals.ended() => return Ok(Left::Ended),
        };
        for request in wanted {
            if requests.send(request).is_err() {
                return Ok(Left::WithoutClient);
            }
        }
        if state.is_over() {
            return Ok(Left::Ended);
        }
    }
}
