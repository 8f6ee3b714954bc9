//! Tests of the lists of threads: in which list a thread is, in which order, and what is shown of it.

use super::messages::incoming;
use super::reactions::origin;
use super::*;
use crate::config::ChangeLimits;
use crate::content::{Markup, Mention, Quote, Text, TextRange};
use crate::error::Error;
use crate::id::MessageId;
use crate::store::{Arrived, Listed, NewIncoming, Settlement};

const OTHER: ThreadId = ThreadId::from_bytes([4; 16]);
const THIRD: ThreadId = ThreadId::from_bytes([5; 16]);

/// A fixture with three chats: `THREAD`, then `OTHER`, then `THIRD` at the top.
async fn three() -> Fixture {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        for (id, n) in [(OTHER, 2), (THIRD, 3)] {
            let peer = UserId::from_bytes([10_u8.saturating_add(n); 16]);
            tx.put_thread(Thread { id, peer: Some(peer), roster_version: 1 }, n.into())?;
        }
        Ok(())
    });
    work.await.unwrap();
    fixture
}

impl Fixture {
    async fn folder(&self, folder: Folder) -> Vec<ThreadId> {
        let page = self.store.read(move |rows| rows.thread_page(folder, None, 100)).await.unwrap();
        page.0.into_iter().map(|listed| listed.id).collect()
    }

    async fn listed(&self, thread: ThreadId) -> Listed {
        self.store.read(move |rows| rows.listed_thread(thread)).await.unwrap().unwrap()
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::store::Tx<'_>) -> crate::Result<T> + Send + 'static,
    ) -> crate::Result<T> {
        self.store.write(work).await
    }

    /// Receives a message in a thread at this time of the relay.
    async fn arrive(&self, thread: ThreadId, server_seq: u64, server_ms: u64) -> MessageId {
        let new = NewIncoming { thread, server_ms, ..incoming("hello", server_seq) };
        self.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap()
    }
}

#[tokio::test]
async fn a_message_takes_a_chat_out_of_the_archive_unless_it_is_muted() {
    let fixture = three().await;
    let work = fixture.write(|tx| {
        tx.set_archived(OTHER, true)?;
        tx.set_archived(THIRD, true)?;
        tx.set_muted_until(THIRD, 5_000)
    });
    work.await.unwrap();
    assert_eq!(fixture.folder(Folder::Archive).await, [THIRD, OTHER]);
    fixture.arrive(OTHER, 1, 4_000).await;
    fixture.arrive(THIRD, 1, 4_999).await;
    assert_eq!(fixture.folder(Folder::Chats).await, [OTHER, THREAD]);
    assert_eq!(fixture.folder(Folder::Archive).await, [THIRD]);
    // It is muted no longer.
    fixture.arrive(THIRD, 2, 5_000).await;
    assert_eq!(fixture.folder(Folder::Chats).await, [THIRD, OTHER, THREAD]);
}

#[tokio::test]
async fn a_message_of_ours_takes_a_chat_out_of_the_archive() {
    let fixture = three().await;
    fixture.write(|tx| tx.set_archived(THREAD, true)).await.unwrap();
    fixture.enqueue("here again").await;
    assert_eq!(fixture.folder(Folder::Archive).await, []);
    assert_eq!(fixture.folder(Folder::Chats).await[0], THREAD);
}

#[tokio::test]
async fn pinned_chats_stay_in_the_order_of_the_person() {
    let fixture = three().await;
    let mut events = fixture.events.subscribe();
    for thread in [THREAD, OTHER] {
        fixture.write(move |tx| tx.set_pinned(thread, true)).await.unwrap();
    }
    fixture.arrive(OTHER, 1, 9_000).await;
    assert_eq!(fixture.folder(Folder::Chats).await, [THREAD, OTHER, THIRD]);
    let changed = |events: &mut EventReceiver| {
        let told = drain(events).into_iter().filter_map(|event| match event {
            Event::ThreadChanged(thread) => Some(thread),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    assert!(changed(&mut events).contains(&OTHER));
    fixture.write(|tx| tx.set_pinned_order(&[THIRD, OTHER])).await.unwrap();
    assert_eq!(fixture.folder(Folder::Chats).await, [THIRD, OTHER, THREAD]);
    assert_eq!(changed(&mut events), [THREAD, THIRD]);
    // Nothing changes, so nothing is reported.
    fixture.write(|tx| tx.set_pinned_order(&[THIRD, OTHER])).await.unwrap();
    fixture.write(|tx| tx.set_pinned(OTHER, true)).await.unwrap();
    assert_eq!(changed(&mut events), []);
    // A chat in the archive is not pinned, and pinning takes it out.
    fixture.write(|tx| tx.set_archived(THIRD, true)).await.unwrap();
    assert!(!fixture.listed(THIRD).await.place.is_pinned());
    fixture.write(|tx| tx.set_pinned(THIRD, true)).await.unwrap();
    assert_eq!(fixture.folder(Folder::Chats).await, [OTHER, THIRD, THREAD]);
    let unknown = ThreadId::from_bytes([77; 16]);
    assert_eq!(fixture.write(move |tx| tx.set_pinned(unknown, true)).await, Err(Error::NotFound));
    assert_eq!(fixture.write(move |tx| tx.set_archived(unknown, true)).await, Err(Error::NotFound));
    assert_eq!(fixture.write(move |tx| tx.set_draft(unknown, None)).await, Err(Error::NotFound));
}

#[tokio::test]
async fn reading_a_chat_does_not_move_it() {
    let fixture = three().await;
    fixture.arrive(THREAD, 1, 100).await;
    fixture.arrive(OTHER, 1, 200).await;
    let receipt = receipt();
    let work = fixture.write(|tx| {
        tx.enqueue(outgoing(receipt))?;
        let sql = "SELECT max(id) FROM outgoing";
        Ok(OutgoingId(tx.rows.connection.query_row(sql, [], |row| row.get(0))?))
    });
    let entry = work.await.unwrap();
    let accepted = Settlement::Accepted { epoch: 1, server_seq: 9, server_ms: 9_000 };
    fixture.write(move |tx| tx.settle(entry, None, accepted)).await.unwrap();
    assert_eq!(fixture.folder(Folder::Chats).await, [OTHER, THREAD, THIRD]);
}

#[tokio::test]
async fn a_chat_marked_as_unread_is_read_again_when_it_is_read() {
    let fixture = three().await;
    let newest = fixture.arrive(THREAD, 1, 100).await;
    fixture.write(move |tx| tx.mark_read(THREAD, newest, AFTER_ALL, 10)).await.unwrap();
    fixture.write(|tx| tx.set_marked_unread(THREAD, true)).await.unwrap();
    assert!(fixture.listed(THREAD).await.is_marked_unread);
    let mut events = fixture.events.subscribe();
    fixture.write(move |tx| tx.mark_read(THREAD, newest, AFTER_ALL, 10)).await.unwrap();
    assert!(!fixture.listed(THREAD).await.is_marked_unread);
    assert_eq!(drain(&mut events), [Event::ThreadChanged(THREAD)]);
}

#[tokio::test]
async fn a_draft_is_kept_until_it_is_sent() {
    let fixture = three().await;
    fixture.write(|tx| tx.set_draft(THREAD, Some("see you "))).await.unwrap();
    let Fixture { dir, store, events } = fixture;
    drop(store);
    let store = open(&dir, events.clone()).unwrap();
    let fixture = Fixture { dir, store, events };
    // An answer from elsewhere leaves it alone.
    fixture.enqueue("on my way").await;
    assert_eq!(fixture.listed(THREAD).await.draft.as_deref(), Some("see you "));
    fixture.enqueue("see you").await;
    assert_eq!(fixture.listed(THREAD).await.draft, None);
    assert_eq!(fixture.store.read(|rows| rows.draft(THREAD)).await.unwrap(), None);
}

/// A reply to a message of ours.
fn reply_to_us(server_seq: u64) -> NewIncoming {
    let quote = Some(Box::new(Quote::new(US, fresh_id(), "ours")));
    let body =
        Body::Text(Text { text: "yes".to_owned(), markup: Markup::default(), quote, is_forwarded: false });
    NewIncoming { what: Arrived::Content(fresh_id(), body), ..incoming("", server_seq) }
}

#[tokio::test]
async fn unread_mentions_are_counted_and_read() {
    let fixture = Fixture::new().await;
    let work = fixture.write(|tx| {
        let first = tx.insert_incoming(&reply_to_us(10))?;
        tx.insert_incoming(&incoming("not to us", 11))?;
        let third = tx.insert_incoming(&reply_to_us(12))?;
        tx.insert_incoming(&reply_to_us(13))?;
        Ok((first, third))
    });
    let (first, third) = work.await.unwrap();
    let counts = async || {
        let listed = fixture.listed(THREAD).await;
        (listed.unread, listed.mentions)
    };
    assert_eq!(counts().await, (4, 3));
    fixture.write(move |tx| tx.mark_read(THREAD, first, AFTER_ALL, 10)).await.unwrap();
    assert_eq!(counts().await, (3, 2));
    // Hiding one counts as reading it.
    fixture.write(move |tx| tx.hide(THREAD, third, 1)).await.unwrap();
    assert_eq!(counts().await, (2, 1));
    // A late one is counted until it is read itself.
    fixture.write(|tx| tx.insert_incoming(&reply_to_us(5))).await.unwrap();
    assert_eq!(counts().await, (3, 2));
    let late = fixture.write(|tx| tx.insert_incoming(&reply_to_us(6))).await.unwrap();
    fixture.write(move |tx| tx.mark_read(THREAD, late, AFTER_ALL, 10)).await.unwrap();
    assert_eq!(counts().await, (2, 1));
    let newest = fixture.store.read(|rows| rows.page(THREAD, None, 1)).await.unwrap().messages[0].id;
    fixture.write(move |tx| tx.mark_read(THREAD, newest, AFTER_ALL, 10)).await.unwrap();
    assert_eq!(counts().await, (0, 0));
}

/// An edit of the peer at this position, which mentions us or not.
fn edit_of(mentions_us: bool) -> Markup {
    let mention = Mention { range: TextRange { start: 0, length: 3 }, user: US };
    Markup { mentions: Vec::from_iter(mentions_us.then_some(mention)), ..Markup::default() }
}

#[tokio::test]
async fn an_edit_changes_whether_a_message_mentions_us() {
    let fixture = Fixture::new().await;
    let work = fixture.write(|tx| {
        let first = tx.insert_incoming(&incoming("one", 10))?;
        let second = tx.insert_incoming(&incoming("two", 11))?;
        Ok((first, second, tx.insert_incoming(&reply_to_us(12))?))
    });
    let (first, second, reply) = work.await.unwrap();
    let edit = async |id, order, mentions_us| {
        let (origin, markup) = (origin(PEER, order), edit_of(mentions_us));
        let edited = fixture.write(move |tx| tx.edit(id, &origin, ("@us", &markup), ChangeLimits::default()));
        assert!(edited.await.unwrap());
        fixture.listed(THREAD).await.mentions
    };
    assert_eq!(edit(first, 20, true).await, 2);
    assert_eq!(edit(first, 19, false).await, 2, "an earlier edit is not shown");
    assert_eq!(edit(first, 21, false).await, 1);
    assert_eq!(edit(second, 22, true).await, 2);
    assert_eq!(edit(reply, 23, false).await, 2, "a reply to us still is one");
    // What was read is counted neither now nor later.
    fixture.write(move |tx| tx.mark_read(THREAD, first, AFTER_ALL, 10)).await.unwrap();
    assert_eq!(edit(first, 24, true).await, 2);
    fixture.write(move |tx| tx.mark_read(THREAD, second, AFTER_ALL, 10)).await.unwrap();
    assert_eq!(fixture.listed(THREAD).await.mentions, 1);
    assert_eq!(edit(second, 25, false).await, 1);
    // So is a late message.
    let late = fixture.write(|tx| tx.insert_incoming(&incoming("late", 5))).await.unwrap();
    assert_eq!(edit(late, 26, true).await, 2);
    fixture.write(move |tx| tx.mark_read(THREAD, late, AFTER_ALL, 10)).await.unwrap();
    assert_eq!(fixture.listed(THREAD).await.mentions, 1);
    fixture.write(move |tx| tx.mark_read(THREAD, reply, AFTER_ALL, 10)).await.unwrap();
    assert_eq!(fixture.listed(THREAD).await.mentions, 0);
}

#[tokio::test]
async fn the_badge_counts_muted_chats_only_if_they_mention_us() {
    let fixture = three().await;
    fixture.arrive(THREAD, 1, 100).await;
    fixture.arrive(THREAD, 2, 100).await;
    fixture.arrive(OTHER, 1, 100).await;
    let totals = async || fixture.store.read(|rows| rows.unread_totals(1_000)).await.unwrap();
    assert_eq!(totals().await, (2, 3));
    fixture.write(|tx| tx.set_muted_until(THREAD, u64::MAX)).await.unwrap();
    assert_eq!(totals().await, (1, 1));
    fixture.write(|tx| tx.set_marked_unread(THIRD, true)).await.unwrap();
    assert_eq!(totals().await, (2, 1));
    fixture.write(|tx| tx.insert_incoming(&reply_to_us(3))).await.unwrap();
    assert_eq!(totals().await, (3, 4));
}

#[tokio::test]
async fn the_divider_is_above_the_first_unread_message() {
    let fixture = Fixture::new().await;
    let divider = async || fixture.store.read(|rows| rows.unread_divider(THREAD)).await.unwrap();
    assert_eq!(divider().await, None);
    let work = fixture.write(|tx| {
        let first = tx.insert_incoming(&incoming("one", 10))?;
        let second = tx.insert_incoming(&incoming("two", 11))?;
        let third = tx.insert_incoming(&incoming("three", 12))?;
        Ok((first, second, third))
    });
    let (first, second, third) = work.await.unwrap();
    fixture.write(move |tx| tx.mark_read(THREAD, first, AFTER_ALL, 10)).await.unwrap();
    let at = divider().await.unwrap();
    assert_eq!((at.message, at.unread), (second, 2));
    fixture.write(move |tx| tx.hide(THREAD, second, 1)).await.unwrap();
    assert_eq!(divider().await.unwrap().message, third);
    fixture.write(move |tx| tx.mark_read(THREAD, third, AFTER_ALL, 10)).await.unwrap();
    assert_eq!(divider().await, None);
    // A late message is above others that have been read.
    let late = fixture.write(|tx| tx.insert_incoming(&incoming("late", 5))).await.unwrap();
    assert_eq!(divider().await.unwrap().message, late);
}

#[tokio::test]
async fn messages_with_links_have_pages_of_their_own() {
    let fixture = Fixture::new().await;
    let work = fixture.write(|tx| {
        for n in 1..=20 {
            let text = if n % 4 == 0 { format!("https://example.org/{n}") } else { n.to_string() };
            tx.insert_incoming(&incoming(&text, n))?;
        }
        tx.enqueue(outgoing(Body::text("http://ours.example"))).map(drop)
    });
    work.await.unwrap();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = fixture.store.read(move |rows| rows.links(THREAD, before, 2)).await.unwrap();
        seen.extend(page.messages.iter().filter_map(|message| message.text().map(str::to_owned)));
        before = page.older;
        if before.is_none() {
            break;
        }
    }
    let received = [20, 16, 12, 8, 4].map(|n| format!("https://example.org/{n}"));
    assert_eq!(seen, [&["http://ours.example".to_owned()][..], &received].concat());
}

#[tokio::test]
async fn a_deleted_chat_returns_with_the_next_message_and_without_its_history() {
    let fixture = three().await;
    let work = fixture.write(|tx| {
        for n in 1..=250 {
            tx.insert_incoming(&incoming(&format!("secret{n}"), n))?;
        }
        while tx.feed_index(100)? > 0 {}
        tx.set_draft(THREAD, Some("never sent"))?;
        tx.delete_thread(THREAD)
    });
    work.await.unwrap();
    assert_eq!(fixture.folder(Folder::Chats).await, [THIRD, OTHER]);
    // It ends here, and is continued later. A message that arrives meanwhile stays.
    assert!(fixture.write(|tx| tx.clear_some(THREAD, 100, 1)).await.unwrap());
    let new = fixture.arrive(THREAD, 300, 9_000).await;
    assert_eq!(fixture.store.read(|rows| rows.thread_to_clear()).await.unwrap(), Some(THREAD));
    while fixture.write(|tx| tx.clear_some(THREAD, 100, 1)).await.unwrap() {}
    assert_eq!(fixture.store.read(|rows| rows.thread_to_clear()).await.unwrap(), None);
    let page = fixture.store.read(|rows| rows.page(THREAD, None, 500)).await.unwrap();
    assert_eq!(page.messages.iter().map(|message| message.id).collect::<Vec<_>>(), [new]);
    let listed = fixture.listed(THREAD).await;
    assert_eq!((listed.folder, listed.unread, listed.draft), (Some(Folder::Chats), 1, None));
    assert_eq!(fixture.store.read(|rows| rows.search("secret7", 5)).await.unwrap(), []);
}

#[tokio::test]
async fn old_messages_are_deleted_and_what_is_to_be_sent_stays() {
    let fixture = Fixture::new().await;
    let work = fixture.write(|tx| {
        for n in 1..=2_500 {
            tx.insert_incoming(&NewIncoming { server_ms: n * 10, ..incoming("text", n) })?;
        }
        tx.enqueue(outgoing(Body::text("to be sent"))).map(drop)
    });
    work.await.unwrap();
    let (mut after, mut deleted, mut rounds) = (Some(crate::message::Position::FIRST), 0, 0);
    while let Some(from) = after {
        let work = fixture.write(move |tx| tx.delete_older(THREAD, from, 20_000, 1));
        let (next, count) = work.await.unwrap();
        (after, deleted, rounds) = (next, deleted + count, rounds + 1);
    }
    assert_eq!((deleted, rounds), (1_999, 6));
    assert_eq!(fixture.listed(THREAD).await.unread, 501);
    assert_eq!(fixture.store.read(|rows| rows.page(THREAD, None, 5_000)).await.unwrap().messages.len(), 502);
}

#[tokio::test]
async fn a_clean_up_of_all_threads_is_continued_where_it_was_interrupted() {
    let fixture = three().await;
    // More messages in one thread than are examined in one step, and more threads than are examined in one step.
    let work = fixture.write(|tx| {
        for n in 0..2_500 {
            let seq = n + 1;
            tx.insert_incoming(&NewIncoming { server_ms: 10 * n, ..incoming("old or new", seq) })?;
        }
        for n in 0..30_u8 {
            let (id, peer) = (ThreadId::from_bytes([100 + n; 16]), UserId::from_bytes([100 + n; 16]));
            tx.put_thread(Thread { id, peer: Some(peer), roster_version: 1 }, 1)?;
            for (server_ms, seq) in [(5, 1), (30_000, 2)] {
                let new = incoming("old or new", seq);
                tx.insert_incoming(&NewIncoming { thread: id, author: peer, server_ms, ..new })?;
            }
        }
        tx.enqueue(outgoing(Body::text("to be sent")))?;
        tx.begin_clean_up(10_000)
    });
    work.await.unwrap();
    let (mut from, mut deleted, mut steps, mut left) = (None, 0, 0, u64::MAX);
    while fixture.store.read(|rows| rows.is_clean_up_due()).await.unwrap() {
        let cleaned = fixture.write(move |tx| tx.clean_up(from, 1)).await.unwrap();
        assert!(cleaned.threads_left <= left);
        (deleted, left, steps) = (deleted + cleaned.deleted, cleaned.threads_left, steps + 1);
        assert!(cleaned.deleted <= 500, "a transaction is short");
        // Sometimes the process has ended in between and has forgotten where it was.
        from = cleaned.next.filter(|_| steps % 5 != 0);
        assert!(steps < 50);
    }
    assert_eq!((deleted, left), (1_000 + 30, 0));
    let count = fixture.store.read(|rows| {
        Ok(rows.connection.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(count.await.unwrap(), 1_500 + 30 + 1);
    // A second one begins with the first thread again.
    fixture.write(|tx| tx.begin_clean_up(u64::MAX)).await.unwrap();
    let mut deleted = 0;
    while fixture.store.read(|rows| rows.is_clean_up_due()).await.unwrap() {
        deleted += fixture.write(|tx| tx.clean_up(None, 1)).await.unwrap().deleted;
        assert!(deleted <= 1_530);
    }
    assert_eq!(deleted, 1_530, "what is to be sent stays");
}

#[tokio::test]
async fn a_clean_up_deletes_a_bounded_number_in_one_transaction_and_begins_again_for_a_later_time() {
    let fixture = Fixture::new().await;
    let work = fixture.write(|tx| {
        for n in 0..8_u8 {
            // The first of them is before all other threads.
            let (id, peer) = (
                ThreadId::from_bytes([if n == 0 { 0 } else { 100 + n }; 16]),
                UserId::from_bytes([100 + n; 16]),
            );
            tx.put_thread(Thread { id, peer: Some(peer), roster_version: 1 }, 1)?;
            for seq in 1..=if n == 0 { 600 } else { 100 } {
                let new = incoming("old or new", seq);
                let server_ms = if seq % 2 == 0 { 5 } else { 50 };
                tx.insert_incoming(&NewIncoming { thread: id, author: peer, server_ms, ..new })?;
            }
        }
        tx.begin_clean_up(10)
    });
    work.await.unwrap();
    let first = fixture.write(|tx| tx.clean_up(None, 1)).await.unwrap();
    assert_eq!(first.deleted, 250, "half of those that were examined in the first thread");
    // The next one has another time, but would be in the middle of the same thread.
    fixture.write(|tx| tx.begin_clean_up(100)).await.unwrap();
    let (mut from, mut deleted) = (first.next, first.deleted);
    while fixture.store.read(|rows| rows.is_clean_up_due()).await.unwrap() {
        let cleaned = fixture.write(move |tx| tx.clean_up(from, 1)).await.unwrap();
        assert!(cleaned.deleted <= 500);
        (from, deleted) = (cleaned.next, deleted + cleaned.deleted);
    }
    assert_eq!(deleted, 600 + 7 * 100);
}

#[tokio::test]
async fn the_storage_report_counts_the_contents_of_each_thread() {
    let fixture = three().await;
    fixture.arrive(OTHER, 1, 100).await;
    fixture.enqueue(&"a".repeat(5_000)).await;
    let report = fixture.store.read(|rows| rows.storage_report()).await.unwrap();
    let threads: Vec<_> = report.threads.iter().map(|thread| (thread.thread, thread.messages)).collect();
    assert_eq!(threads, [(THREAD, 1), (OTHER, 1)]);
    assert!(report.threads[0].bytes >= 5_000 && report.threads[1].bytes < 100);
    assert!(report.database_bytes > report.free_bytes);
}

#[tokio::test]
async fn details_say_when_a_message_was_stored_delivered_and_read() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("hello").await;
    let details = async || fixture.store.read(move |rows| rows.details(THREAD, id)).await.unwrap().unwrap();
    assert_eq!((details().await.sent_ms, details().await.stored_ms), (1_000, None));
    let entry = fixture.entry(id).await;
    let accepted = Settlement::Accepted { epoch: 1, server_seq: 1, server_ms: 1_500 };
    fixture.write(move |tx| tx.settle(entry, None, accepted)).await.unwrap();
    assert_eq!(details().await.stored_ms, Some(1_500));
    fixture.receipt(id, ReceiptKind::Delivered).await;
    assert_eq!((details().await.delivered_ms, details().await.read_ms), (Some(2_000), None));
    fixture.receipt(id, ReceiptKind::Read).await;
    assert_eq!(details().await.read_ms, Some(2_000));
    assert_eq!(fixture.store.read(move |rows| rows.details(OTHER, id)).await.unwrap(), None);
}

#[tokio::test]
async fn each_notification_is_told_once_and_taken_back_when_it_is_read_elsewhere() {
    use crate::message::NoticeAction;

    let fixture = Fixture::new().await;
    let due = async || fixture.store.read(|rows| rows.due_notices(10, 1_000)).await.unwrap();
    let actions = async || {
        let done = due().await;
        let found = done.notices.iter().map(|notice| match &notice.action {
            NoticeAction::Show(_) => (notice.message, "show"),
            NoticeAction::Request => (notice.message, "request"),
            NoticeAction::Update(_) => (notice.message, "update"),
            NoticeAction::Withdraw => (notice.message, "withdraw"),
        });
        let found: Vec<_> = found.collect();
        fixture.write(move |tx| tx.confirm_notices(&done)).await.unwrap();
        found
    };
    let one = fixture.arrive(THREAD, 1, 100).await;
    let two = fixture.arrive(THREAD, 2, 100).await;
    fixture.enqueue("ours").await;
    // It is told until it is confirmed.
    assert_eq!(due().await, due().await);
    assert_eq!(actions().await, [(one, "show"), (two, "show")]);
    assert_eq!(actions().await, []);
    fixture.write(move |tx| tx.mark_read(THREAD, one, AFTER_ALL, 10)).await.unwrap();
    assert_eq!(actions().await, [(one, "withdraw")]);
    // It changes between being told and being confirmed.
    let edit = move |tx: &mut crate::store::Tx<'_>| {
        tx.connection.execute("UPDATE message SET edits = 1 WHERE id = ?1", [two.0])?;
        Ok(())
    };
    fixture.write(edit).await.unwrap();
    let told = due().await;
    fixture.write(move |tx| tx.hide(THREAD, two, 1)).await.unwrap();
    fixture.write(move |tx| tx.confirm_notices(&told)).await.unwrap();
    assert_eq!(actions().await, [(two, "withdraw")]);
    // Muted chats are silent, unless somebody mentions us.
    fixture.write(|tx| tx.set_muted_until(THREAD, u64::MAX)).await.unwrap();
    fixture.arrive(THREAD, 3, 100).await;
    let mention = fixture.write(|tx| tx.insert_incoming(&reply_to_us(4))).await.unwrap();
    assert_eq!(actions().await, [(mention, "show")]);
    assert_eq!(actions().await, []);
}

#[tokio::test]
async fn the_oldest_notifications_are_taken_back_when_there_are_too_many() {
    let fixture = Fixture::new().await;
    let work =
        fixture.write(|tx| (1..=300).try_for_each(|n| tx.insert_incoming(&incoming("text", n)).map(drop)));
    work.await.unwrap();
    let (mut shown, mut rounds) = (std::collections::BTreeSet::new(), 0);
    loop {
        let done = fixture.store.read(|rows| rows.due_notices(50, 1_000)).await.unwrap();
        if done.notices.is_empty() {
            break;
        }
        for notice in &done.notices {
            match notice.action {
                crate::message::NoticeAction::Withdraw => assert!(shown.remove(&notice.message)),
                _ => assert!(shown.insert(notice.message)),
            }
        }
        assert!(shown.len() <= 200, "{}", shown.len());
        fixture.write(move |tx| tx.confirm_notices(&done)).await.unwrap();
        rounds += 1;
    }
    assert!(rounds < 300 && shown.len() == 200);
    assert_eq!(shown.last().copied(), Some(fixture.listed(THREAD).await.newest.unwrap().id));
}
