//! What is known for a few seconds only: who is writing, and who is there. Nothing of it is stored, except when a person was last
//! seen.
//!
//! Each map is bounded. When one is full, what is new is dropped until something has ended.

mod calls;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::event::{Event, EventBus};
use crate::id::{ThreadId, UserId};

pub(crate) use calls::{Calls, Offer};

/// For how long somebody is shown as writing after they said so.
pub(crate) const TYPING: Duration = Duration::from_secs(5);
/// How often this device repeats that the person is writing.
const REPEAT_TYPING: Duration = Duration::from_secs(3);
/// For how long somebody is shown as there after they said so. It is repeated every 45 seconds.
const PRESENT: Duration = Duration::from_secs(60);
/// How long it is remembered that a message has arrived: what says that its author is writing may arrive later.
const WRITTEN: Duration = Duration::from_secs(10);
/// The maximum number of people who are shown as writing.
const MAX_TYPING: usize = 1024;
/// The maximum number of people who are shown as there.
const MAX_PRESENT: usize = 4096;

/// The state of other people, and what was told to them.
#[derive(Debug)]
pub(crate) struct Ephemeral {
    events: EventBus,
    state: Mutex<State>,
    /// Notified when something will end earlier than before.
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Who is writing, and until when.
    typing: HashMap<(ThreadId, UserId), Instant>,
    /// Who has written a message, until when that is remembered, and when it was written by server time.
    written: HashMap<(ThreadId, UserId), (Instant, u64)>,
    /// Who is there, and until when.
    present: HashMap<UserId, Instant>,
    /// In which threads others were told that the person is writing, and when.
    told: HashMap<ThreadId, Instant>,
}

impl Ephemeral {
    pub(crate) fn new(events: EventBus) -> Self {
        Self { events, state: Mutex::default(), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody says that they are writing, or have stopped. `sent_ms` is when they said so, by server time.
    pub(crate) fn set_typing(&self, (thread, user): (ThreadId, UserId), is_typing: bool, sent_ms: u64) {
        let now = Instant::now();
        let mut state = self.lock();
        let is_outdated = |(_, written_ms): &(Instant, u64)| *written_ms >= sent_ms;
        let is_typing = is_typing && !state.written.get(&(thread, user)).is_some_and(is_outdated);
        let changed = if is_typing {
            match state.typing.get_mut(&(thread, user)) {
                Some(until) => {
                    *until = after(now, TYPING);
                    false
                }
                None => add(&mut state.typing, MAX_TYPING, (thread, user), after(now, TYPING)),
            }
        } else {
            state.typing.remove(&(thread, user)).is_some()
        };
        drop(state);
        if changed {
            self.changed.notify_one();
            self.events.publish(Event::TypingChanged { thread, user, is_typing });
        }
    }

    /// Who among these people is there: they say so, or have just written or typed in this thread.
    pub(crate) fn who_is_there(&self, thread: ThreadId, users: &mut Vec<UserId>) {
        let (now, state) = (Instant::now(), self.lock());
        users.retain(|user| {
            let at = (thread, *user);
            let until = [
                state.present.get(user),
                state.typing.get(&at),
                state.written.get(&at).map(|(until, _)| until),
            ];
            until.into_iter().flatten().any(|until| *until > now)
        });
    }

    /// A message of somebody has arrived, who therefore is not writing any more. `sent_ms` is when it was written, by server time.
    pub(crate) fn has_written(&self, thread: ThreadId, user: UserId, sent_ms: u64) {
        let mut state = self.lock();
        let until = after(Instant::now(), WRITTEN);
        let known = state.written.get(&(thread, user)).map_or(0, |(_, written_ms)| *written_ms);
        if known != 0 || state.written.len() < MAX_TYPING {
            state.written.insert((thread, user), (until, sent_ms.max(known)));
        }
        let has_ended = state.typing.remove(&(thread, user)).is_some();
        drop(state);
        self.changed.notify_one();
        if has_ended {
            self.events.publish(Event::TypingChanged { thread, user, is_typing: false });
        }
    }

    /// Somebody says that they are there, or have gone.
    pub(crate) fn set_present(&self, user: UserId, is_present: bool) {
        let until = after(Instant::now(), PRESENT);
        let mut state = self.lock();
        let changed = match (is_present, state.present.get_mut(&user)) {
            (true, Some(known)) => {
                *known = until;
                false
            }
            (true, None) => add(&mut state.present, MAX_PRESENT, user, until),
            (false, _) => state.present.remove(&user).is_some(),
        };
        drop(state);
        if changed {
            self.changed.notify_one();
            self.events.publish(Event::PresenceChanged { user, is_present });
        }
    }

    /// Who is writing in a thread.
    pub(crate) fn typing(&self, thread: ThreadId) -> Vec<UserId> {
        let now = Instant::now();
        let state = self.lock();
        let in_thread = state.typing.iter().filter(|((other, _), until)| *other == thread && **until > now);
        let mut users: Vec<_> = in_thread.map(|((_, user), _)| *user).collect();
        users.sort_unstable();
        users
    }

    pub(crate) fn is_present(&self, user: UserId) -> bool {
        self.lock().present.get(&user).is_some_and(|until| *until > Instant::now())
    }

    /// Whether the others in a thread are to be told now that the person is writing, or has stopped.
    pub(crate) fn is_to_be_told(&self, thread: ThreadId, is_typing: bool) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let told = state.told.get(&thread).map(|told| now.saturating_duration_since(*told));
        if !is_typing {
            state.told.remove(&thread);
            return told.is_some_and(|passed| passed < TYPING);
        }
        if told.is_some_and(|passed| passed < REPEAT_TYPING) {
            return false;
        }
        state.told.retain(|_, told| now.saturating_duration_since(*told) < TYPING);
        state.told.insert(thread, now);
        true
    }

    /// Our own message ends that the person is writing. The others see that without being told.
    pub(crate) fn we_have_written(&self, thread: ThreadId) {
        self.lock().told.remove(&thread);
    }

    /// Ends what has lasted long enough. Returns when the next thing ends.
    pub(crate) fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.lock();
        state.written.retain(|_, (until, _)| *until > now);
        let typing: Vec<_> = state.typing.extract_if(|_, until| *until <= now).map(|(key, _)| key).collect();
        let gone: Vec<_> = state.present.extract_if(|_, until| *until <= now).map(|(user, _)| user).collect();
        let ends = state.typing.values().chain(state.present.values());
        let next = ends.chain(state.written.values().map(|(until, _)| until)).min().copied();
        drop(state);
        for (thread, user) in typing {
            self.events.publish(Event::TypingChanged { thread, user, is_typing: false });
        }
        for user in gone {
            self.events.publish(Event::PresenceChanged { user, is_present: false });
        }
        next
    }
}

/// Adds an entry if there is room for it.
fn add<K: Eq + Hash>(map: &mut HashMap<K, Instant>, max: usize, key: K, until: Instant) -> bool {
    let has_room = map.len() < max;
    if has_room {
        map.insert(key, until);
    }
    has_room
}

fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::event::EventReceiver;

    const THREAD: ThreadId = ThreadId::from_bytes([1; 16]);
    const BEN: UserId = UserId::from_bytes([2; 16]);

    fn numbered(n: usize) -> UserId {
        UserId::from_bytes((n as u128).to_be_bytes())
    }

    fn new() -> (Ephemeral, EventReceiver) {
        let events = EventBus::new();
        let receiver = events.subscribe();
        (Ephemeral::new(events), receiver)
    }

    fn told(events: &mut EventReceiver) -> Vec<bool> {
        let mut all = Vec::new();
        while let Some(Ok(event)) = events.try_next() {
            all.push(match event {
                Event::TypingChanged { is_typing, .. } => is_typing,
                Event::PresenceChanged { is_present, .. } => is_present,
                other => panic!("{other:?}"),
            });
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn writing_ends_after_five_seconds_unless_it_is_repeated() {
        let (live, mut events) = new();
        live.set_typing((THREAD, BEN), true, 1);
        advance(Duration::from_secs(4)).await;
        live.set_typing((THREAD, BEN), true, 2);
        advance(Duration::from_secs(4)).await;
        live.expire();
        assert_eq!(live.typing(THREAD), [BEN]);
        advance(Duration::from_secs(1)).await;
        assert_eq!((live.expire(), live.typing(THREAD)), (None, vec![]));
        live.set_typing((THREAD, BEN), true, 3);
        live.set_typing((THREAD, BEN), false, 4);
        assert!(live.typing(THREAD).is_empty());
        assert_eq!(told(&mut events), [true, false, true, false], "a repetition is no change");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_ends_writing_even_if_it_arrives_before_what_was_said_earlier() {
        let (live, mut events) = new();
        live.set_typing((THREAD, BEN), true, 1);
        live.has_written(THREAD, BEN, 10);
        live.set_typing((THREAD, BEN), true, 9);
        assert!(live.typing(THREAD).is_empty());
        live.set_typing((THREAD, BEN), true, 11);
        assert_eq!((live.typing(THREAD), told(&mut events)), (vec![BEN], vec![true, false, true]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded_and_a_flood_changes_nothing() {
        let (live, mut events) = new();
        for n in 0..3 * MAX_PRESENT {
            live.set_typing((THREAD, numbered(n)), true, 1);
            live.has_written(THREAD, numbered(3 * MAX_PRESENT + n), 1);
            live.set_present(numbered(n), true);
            live.is_to_be_told(ThreadId::from_bytes((n as u128).to_be_bytes()), true);
            if n % 100 == 0 {
                advance(Duration::from_secs(1)).await;
            }
        }
        assert_eq!(live.typing(THREAD).len(), 0, "the first ones have ended");
        {
            let state = live.lock();
            assert!(state.typing.len() <= MAX_TYPING && state.written.len() <= MAX_TYPING);
            assert_eq!(state.present.len(), MAX_PRESENT);
            assert!(state.told.len() <= 600, "{}", state.told.len());
        }
        drop(events);
        advance(PRESENT).await;
        assert_eq!(live.expire(), None);
        events = live.events.subscribe();
        for sent_ms in 0..10_000 {
            live.set_typing((THREAD, BEN), true, sent_ms);
        }
        assert_eq!(told(&mut events), [true]);
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_told_of_writing_every_three_seconds_and_of_its_end() {
        let (live, _) = new();
        let keys: Vec<_> = {
            let mut told = Vec::new();
            for _ in 0..8 {
                told.push(live.is_to_be_told(THREAD, true));
                advance(Duration::from_secs(1)).await;
            }
            told
        };
        assert_eq!(keys, [true, false, false, true, false, false, true, false]);
        assert!(live.is_to_be_told(THREAD, false) && !live.is_to_be_told(THREAD, false));
        assert!(live.is_to_be_told(THREAD, true));
        live.we_have_written(THREAD);
        assert!(!live.is_to_be_told(THREAD, false) && live.is_to_be_told(THREAD, true));
    }

    #[tokio::test(start_paused = true)]
    async fn those_are_there_who_say_so_or_have_just_written_in_the_thread() {
        let (live, _events) = new();
        let other = ThreadId::from_bytes([99; 16]);
        live.set_present(numbered(1), true);
        live.set_typing((THREAD, numbered(2)), true, 1);
        live.set_typing((other, numbered(3)), true, 1);
        live.has_written(THREAD, numbered(4), 1);
        let there = || {
            let mut users: Vec<_> = (1..6).map(numbered).collect();
            live.who_is_there(THREAD, &mut users);
            users
        };
        assert_eq!(there(), [1, 2, 4].map(numbered));
        advance(TYPING).await;
        assert_eq!(there(), [1, 4].map(numbered));
        advance(PRESENT).await;
        assert_eq!(there(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_does_not_repeat_that_they_are_there_has_gone() {
        let (live, mut events) = new();
        live.set_present(BEN, true);
        advance(Duration::from_secs(45)).await;
        live.set_present(BEN, true);
        advance(Duration::from_secs(59)).await;
        assert!(live.is_present(BEN));
        advance(Duration::from_secs(1)).await;
        live.expire();
        assert!(!live.is_present(BEN));
        assert_eq!(told(&mut events), [true, false]);
    }
}
