//! A list that starts from a page and applies every change equals a page that is read again.

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::messages::incoming;
use super::*;
use crate::content::ReceiptKind;
use crate::id::MessageId;
use crate::message::{Delivery, Direction, FailReason, Message, MessageBody, Page, Position, Undecryptable};
use crate::store::{Arrived, CiphertextId, EnvelopeName, NewIncoming, Parcel, Settlement};
use crate::view::list::MessageList;
use crate::view::timeline::{Change, Timeline};

/// A change of a thread. `pick` selects one of the existing messages.
#[derive(Debug, Clone)]
enum Step {
    Queue,
    /// A message arrives, in the order of the sequence numbers or late.
    Receive {
        server_seq: u64,
    },
    ReceiveDamaged {
        server_seq: u64,
    },
    /// The intact message replaces a damaged one.
    ReplaceDamaged {
        pick: usize,
        server_seq: u64,
    },
    Accept {
        pick: usize,
        server_seq: u64,
    },
    Fail {
        pick: usize,
    },
    Retry {
        pick: usize,
    },
    Cancel {
        pick: usize,
    },
    ConfirmDelivery {
        pick: usize,
    },
    ConfirmRead {
        pick: usize,
    },
    /// The app starts to show another part of the history.
    StartList {
        pick: usize,
        limit: u32,
    },
    JoinPage {
        older: bool,
        limit: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (pick, server_seq, limit) = (0..64_usize, 1..40_u64, 1..9_u32);
    prop_oneof![
        4 => Just(Step::Queue),
        4 => server_seq.clone().prop_map(|server_seq| Step::Receive { server_seq }),
        1 => server_seq.clone().prop_map(|server_seq| Step::ReceiveDamaged { server_seq }),
        1 => (pick.clone(), server_seq.clone()).prop_map(|(pick, server_seq)| Step::ReplaceDamaged { pick, server_seq }),
        4 => (pick.clone(), server_seq).prop_map(|(pick, server_seq)| Step::Accept { pick, server_seq }),
        1 => pick.clone().prop_map(|pick| Step::Fail { pick }),
        1 => pick.clone().prop_map(|pick| Step::Retry { pick }),
        1 => pick.clone().prop_map(|pick| Step::Cancel { pick }),
        1 => pick.clone().prop_map(|pick| Step::ConfirmDelivery { pick }),
        1 => pick.clone().prop_map(|pick| Step::ConfirmRead { pick }),
        1 => (pick, limit.clone()).prop_map(|(pick, limit)| Step::StartList { pick, limit }),
        1 => (any::<bool>(), limit).prop_map(|(older, limit)| Step::JoinPage { older, limit }),
    ]
}

impl Fixture {
    async fn all(&self) -> Vec<Message> {
        self.store.read(|rows| rows.page(THREAD, None, 500)).await.unwrap().messages
    }

    /// Changes the thread. A step that is not possible now has no effect.
    async fn change(&self, step: Step, picked: impl Fn(usize) -> Option<Message>) {
        let is = |message: &Message, delivery| message.direction == Direction::Outgoing(delivery);
        match step {
            Step::Queue => drop(self.enqueue("written").await),
            Step::Receive { server_seq } => self.receive(incoming("came", server_seq)).await,
            Step::ReceiveDamaged { server_seq } => {
                let what = Arrived::Undecryptable(Undecryptable::NotDecryptable);
                let damaged = NewIncoming { what, ..incoming("", server_seq) };
                let name = EnvelopeName { thread: THREAD, sender: PEER, id: fresh_id() };
                let work = self.store.write(move |tx| tx.park(name, CiphertextId::of(b"x"), &damaged, 50));
                work.await.unwrap();
            }
            Step::ReplaceDamaged { pick, server_seq } => {
                let Some(message) = picked(pick) else { return };
                if matches!(message.body, MessageBody::Undecryptable(_)) {
                    let work =
                        self.store.write(move |tx| tx.fill_in(message.id, &incoming("whole", server_seq)));
                    work.await.unwrap();
                }
            }
            Step::Accept { pick, server_seq } => {
                let Some(message) = picked(pick).filter(|message| is(message, Delivery::Queued)) else {
                    return;
                };
                let (entry, client_msg_id) = (self.entry(message.id).await, fresh_id());
                let work = self.store.write(move |tx| {
                    let _ =
                        tx.set_sealed(entry, Parcel { client_msg_id, bytes: "sealed".into() }, None, 1000)?;
                    let accepted = Settlement::Accepted { epoch: 1, server_seq, server_ms: 2000 };
                    tx.settle(entry, Some(client_msg_id), accepted)
                });
                work.await.unwrap();
            }
            Step::Fail { pick } => {
                let Some(message) = picked(pick).filter(|message| is(message, Delivery::Queued)) else {
                    return;
                };
                let entry = self.entry(message.id).await;
                let failed = Settlement::Failed(FailReason::Refused);
                self.store.write(move |tx| tx.settle(entry, None, failed)).await.unwrap();
            }
            Step::Retry { pick } => {
                let Some(message) = picked(pick) else { return };
                if matches!(message.direction, Direction::Outgoing(Delivery::Failed(_))) {
                    self.store.write(move |tx| tx.retry(message.id, 1000)).await.unwrap();
                }
            }
            Step::Cancel { pick } => {
                let Some(message) = picked(pick) else { return };
                if matches!(message.direction, Direction::Outgoing(_)) {
                    self.store.write(move |tx| tx.cancel(message.id).map(drop)).await.unwrap();
                }
            }
            Step::ConfirmDelivery { pick } => {
                let Some(MessageId(id)) = picked(pick).map(|message| message.id) else { return };
                self.receipt(MessageId(id), ReceiptKind::Read).await;
            }
            Step::ConfirmRead { pick } => {
                let Some(message) = picked(pick) else { return };
                let work =
                    self.store.write(move |tx| tx.mark_read(THREAD, message.id, AFTER_ALL, 256).map(drop));
                work.await.unwrap();
            }
            Step::StartList { .. } | Step::JoinPage { .. } => {}
        }
    }

    /// What would be read now between the two ends of the list.
    async fn fresh(&self, list: &MessageList) -> Vec<Message> {
        let (from, to) = (list.older().unwrap_or(Position::FIRST), list.newer().unwrap_or(Position::LAST));
        let mut all = self.all().await;
        all.retain(|message| (from..=to).contains(&message.position));
        all
    }
}

async fn keep_up(list: &mut MessageList, view: &mut Timeline) {
    while let Some(Some(change)) = futures_util::FutureExt::now_or_never(view.next()) {
        let change = change.unwrap();
        // Whoever has applied all that was before finds each message where the change says that it was.
        if let Change::Changed { message: Message { id, .. }, was: at }
        | Change::Removed { id, position: at } = &change
        {
            let shown = list.messages().iter().find(|message| message.id == *id);
            assert!(shown.is_none_or(|shown| shown.position == *at), "{change:?}");
        }
        list.apply(change);
    }
}

async fn play(history: Vec<Step>) {
    let fixture = Fixture::new().await;
    let mut view = Timeline::over(&fixture.store, &fixture.events, THREAD, 5);
    let mut list = MessageList::new(view.snapshot().await.unwrap());
    // Of a second list, the changes are applied only at the end; it begins with the same page.
    let (mut late_view, mut late) =
        (Timeline::over(&fixture.store, &fixture.events, THREAD, 5), list.clone());
    late_view.snapshot().await.unwrap();
    for step in history {
        let all = fixture.all().await;
        let picked = |pick| all.iter().cycle().nth(pick).cloned();
        match step {
            Step::StartList { pick, limit } => {
                let Some(around) = picked(pick).map(|message| message.id) else { continue };
                let page = fixture.store.read(move |rows| rows.page_around(THREAD, around, limit)).await;
                let page: Page = page.unwrap().unwrap();
                assert!(page.messages.iter().any(|message| message.id == around));
                assert!(page.messages.len() <= limit as usize);
                // What the view tells from here on is old news or new.
                list = MessageList::new(page);
            }
            Step::JoinPage { older: true, limit } => {
                let Some(older) = list.older() else { continue };
                list.add_older(
                    fixture.store.read(move |rows| rows.page(THREAD, Some(older), limit)).await.unwrap(),
                );
            }
            Step::JoinPage { older: false, limit } => {
                let Some(newer) = list.newer() else { continue };
                list.add_newer(
                    fixture.store.read(move |rows| rows.page_after(THREAD, newer, limit)).await.unwrap(),
                );
            }
            step => fixture.change(step, picked).await,
        }
        keep_up(&mut list, &mut view).await;
        assert_eq!(list.messages(), fixture.fresh(&list).await);
        assert!(list.messages().is_sorted_by(|a, b| a.position > b.position));
    }
    while let Some(Some(change)) = futures_util::FutureExt::now_or_never(late_view.next()) {
        late.apply(change.unwrap());
    }
    assert_eq!(late.messages(), fixture.fresh(&late).await);
    assert_eq!(fixture.texts().await.len(), fixture.all().await.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_list_that_applies_changes_equals_a_fresh_page(history in prop::collection::vec(step(), 1..40)) {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(play(history));
    }
}

#[tokio::test]
async fn a_change_of_position_contains_the_previous_position() {
    let fixture = Fixture::new().await;
    fixture.receive(incoming("theirs", 5)).await;
    let ours = fixture.enqueue("ours").await;
    let mut view = Timeline::over(&fixture.store, &fixture.events, THREAD, 5);
    let mut list = MessageList::new(view.snapshot().await.unwrap());
    let waits = list.messages()[0].clone();
    assert_eq!((waits.id, list.older()), (ours, None));
    let accepted = Step::Accept { pick: 0, server_seq: 4 };
    fixture.change(accepted, |_| Some(waits.clone())).await;
    let change = view.next().await.unwrap().unwrap();
    let Change::Changed { message, was } = &change else { panic!("{change:?}") };
    assert_eq!(*was, waits.position);
    assert!(message.position < *was);
    list.apply(change);
    assert_eq!(list.messages()[1].id, ours, "above theirs, which has a later number");
}
