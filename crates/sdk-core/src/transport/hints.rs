//! What the app knows and the library cannot find out: that the network may be back, and whether the app is in the
//! foreground.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The shortest time between two hints that are acted on. It doubles while hints keep coming.
const LEAST_PAUSE: Duration = Duration::from_millis(500);
/// The longest such time. Each connection attempt thus gets at least this long, however often the app gives hints.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After this long without a hint, the next one is acted on at once.
const QUIET: Duration = Duration::from_secs(30);

/// Passes the app's hints on. Clones share the same state.
#[derive(Clone)]
pub(crate) struct Hints {
    given: watch::Sender<u64>,
    foreground: watch::Sender<bool>,
}

impl Hints {
    pub(super) fn new() -> Self {
        Self { given: watch::Sender::new(0), foreground: watch::Sender::new(true) }
    }

    /// Gives a hint: it is worth trying the network now.
    pub(super) fn give(&self) {
        self.given.send_modify(|given| *given = given.wrapping_add(1));
    }

    /// Sets whether the app is in the foreground. Returns whether this is a change.
    pub(super) fn set_foreground(&self, foreground: bool) -> bool {
        self.foreground.send_if_modified(|current| std::mem::replace(current, foreground) != foreground)
    }

    pub(crate) fn foreground(&self) -> bool {
        *self.foreground.borrow()
    }

    /// Whether the app is in the foreground, and changes of it.
    pub(crate) fn foreground_changes(&self) -> watch::Receiver<bool> {
        self.foreground.subscribe()
    }

    /// Subscribes to hints from now on.
    pub(crate) fn listen(&self) -> Listener {
        let given = self.given.subscribe();
        let heard = *given.borrow();
        Listener { given, heard, pause: LEAST_PAUSE, last: None }
    }
}

/// A subscriber that acts on hints. No hint is lost: one that is given while another is acted on is received
/// afterwards.
pub(crate) struct Listener {
    given: watch::Receiver<u64>,
    heard: u64,
    pause: Duration,
    /// When a hint was last acted on.
    last: Option<Instant>,
}

impl Listener {
    /// Waits for a hint that should be acted on now. Dropping the future loses nothing.
    pub(crate) async fn hint(&mut self) {
        let heard = self.heard;
        if self.given.wait_for(|given| *given != heard).await.is_err() {
            // The app has dropped its end and will give no more hints.
            return std::future::pending().await;
        }
        if let Some(last) = self.last.filter(|last| last.elapsed() <= QUIET) {
            sleep_until(last.checked_add(self.pause).unwrap_or(last)).await;
            self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        } else {
            self.pause = LEAST_PAUSE;
        }
        self.last = Some(Instant::now());
        self.heard = *self.given.borrow();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::Transport;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hint_is_kept_until_it_is_received() {
        let hints = Hints::new();
        hints.give();
        let mut listener = hints.listen();
        assert!(listener.hint().now_or_never().is_none(), "the hint was given before");
        hints.give();
        hints.give();
        listener.hint().await;
        assert!(listener.hint().now_or_never().is_none(), "both were heard");
        // A listener that stops waiting half-way does not lose the hint.
        hints.give();
        assert!(listener.hint().now_or_never().is_none(), "it is too soon");
        listener.hint().await;
    }

    #[tokio::test(start_paused = true)]
    async fn frequent_hints_are_acted_on_less_and_less_often() {
        let hints = Hints::new();
        let mut listener = hints.listen();
        // In tenths of a second, because a timer may be some milliseconds late.
        let mut pauses = Vec::new();
        let mut last = Instant::now();
        for _ in 0..7 {
            hints.give();
            listener.hint().await;
            pauses.push(last.elapsed().as_millis() / 100);
            last = Instant::now();
        }
        assert_eq!(pauses, [0, 5, 10, 20, 40, 50, 50]);
        tokio::time::advance(QUIET * 2).await;
        for pause in [0, 5] {
            let begin = Instant::now();
            hints.give();
            listener.hint().await;
            assert_eq!(begin.elapsed().as_millis() / 100, pause);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn entering_the_foreground_is_a_hint_and_leaving_it_is_not() {
        let transport = Transport::new(
            "http://127.0.0.1:1",
            &crate::config::Trust::default(),
            &crate::config::ProxyChoice::default(),
        );
        let transport = transport.unwrap();
        let mut listener = transport.hints.listen();
        assert!(transport.hints.foreground(), "the default");
        for foreground in [true, false, false] {
            transport.set_foreground(foreground);
            assert!(listener.hint().now_or_never().is_none());
        }
        assert!(!transport.hints.foreground());
        transport.set_foreground(true);
        listener.hint().await;
        assert!(transport.hints.foreground());
    }
}
