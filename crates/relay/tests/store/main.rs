//! The contract of storage engines, applied to SQLite.
#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

mod contract;
#[path = "../entries/mod.rs"]
mod entries;
mod model;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sealpost_relay::clock::{Clock as _, SystemClock};
use sealpost_relay::limits::{Limiter, Limits, Name, Rate};
use sealpost_relay::store::sqlite::SqliteStore;
use sealpost_relay::store::{Append, Appended, Lanes as _, Store};

fn open(folder: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(folder, Arc::new(SystemClock::new()), Arc::default(), Arc::default()).unwrap())
}

/// Each function of the contract, as a test of one engine.
macro_rules! hold_to_contract {
    ($engine:ident, $open:expr, [$($noun:ident: [$($promise:ident),+ $(,)?],)+]) => {
        mod $engine {
            $($(
                #[tokio::test]
                async fn $promise() {
                    let folder = tempfile::tempdir().unwrap();
                    crate::contract::$noun::$promise($open(folder.path()).as_ref()).await;
                }
            )+)+
        }
    };
}

hold_to_contract!(
    sqlite,
    crate::open,
    [
        accounts: [a_device_list_is_replaced_by_newer_ones_only, revoking_a_device_removes_its_data, deleting_an_account_keeps_only_the_fact_that_it_existed, a_repeated_registration_finds_the_account],
        linking: [a_link_token_registers_one_device_once, numbers_of_devices_are_never_used_again, an_account_has_five_devices, a_device_that_is_not_connected_for_long_is_unlinked, an_account_is_moved_to_another_device_in_one_step],
        tokens: [a_refresh_token_is_exchanged_once],
        pre_keys: [one_time_keys_are_taken_once, a_repeated_take_gets_the_same_bundles, key_ids_are_used_once],
        threads: [a_pair_has_one_thread, a_note_to_self_belongs_to_one_account, an_unaccepted_thread_delivers_few_messages, who_writes_in_a_thread_has_accepted_it, an_unaccepted_thread_delivers_few_bytes, strangers_together_fill_an_eighth_of_a_mailbox, nothing_of_a_blocked_sender_is_stored, the_number_of_blocks_is_bounded],
        lane: [appended_messages_get_consecutive_positions, a_message_is_stored_once, a_refused_append_changes_nothing, copies_must_name_exactly_the_live_devices, operations_take_effect_in_the_order_of_the_calls],
        mailbox: [pages_are_available_in_both_orders, pages_end_at_their_limits, an_acknowledgement_removes_own_rows_only, an_overfull_mailbox_is_trimmed_from_the_oldest, trimmed_rows_count_as_reported_once_the_device_acknowledges, a_full_mailbox_loses_rows_of_the_thread_that_fills_it, a_mailbox_of_many_threads_loses_rows_of_one_of_them_at_a_time],
        mail: [each_device_numbers_its_mail_which_takes_no_place_in_the_thread, mail_is_stored_once_for_a_sending_device, refused_mail_changes_nothing, mail_is_read_by_class_in_pages_and_removed_when_acknowledged, a_full_mailbox_loses_the_mail_of_a_thread_before_its_messages, mail_expires_and_ends_with_its_device],
        groups: [an_entry_takes_a_place_and_reaches_those_whom_it_concerns, of_two_entries_for_one_version_one_is_stored, a_refused_entry_changes_nothing, whoever_has_the_link_reads_the_roster_and_joins, a_message_of_a_group_is_stored_once_for_all_members, a_message_of_a_group_needs_a_roster_from_which_nothing_was_taken_since, members_get_what_was_posted_while_they_were_members, mail_in_a_group_goes_to_any_members_and_little_to_the_invited, an_invitation_is_delivered_like_a_request, a_post_for_many_devices_is_a_job_that_goes_on_where_it_was, each_group_with_jobs_has_its_turn, a_thread_with_one_user_is_not_taken_for_a_group],
        upkeep: [rows_expire_and_are_swept, ids_are_forgotten_an_hour_after_they_are_refused],
    ]
);

#[tokio::test]
async fn a_reopened_store_has_the_same_contents() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let pair = world::pair(store.as_ref()).await;
    let first = store.append(world::append(&pair, 1)).await.unwrap();
    drop(store);
    let store = open(folder.path());
    let again = store.append(world::append(&pair, 1)).await.unwrap();
    assert_eq!(world::duplicate_of(&first), again);
    assert_eq!(store.epoch(), 1);
}

#[test]
fn a_folder_can_be_opened_by_one_store_only() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path());
    let second =
        SqliteStore::open(folder.path(), Arc::new(SystemClock::new()), Arc::default(), Arc::default());
    assert!(matches!(second, Err(sealpost_relay::store::sqlite::OpenError::InUse)));
}

#[tokio::test]
async fn stored_bytes_are_charged_to_the_recipient_even_if_the_caller_is_gone() {
    let mut limits = Limits::none();
    limits.set(Name::PairBytes, Some(Rate::new(1, 1, Duration::from_secs(3_600))));
    let (folder, limiter, clock) =
        (tempfile::tempdir().unwrap(), Arc::new(Limiter::new(limits)), Arc::new(SystemClock::new()));
    let (now, to) = (clock.monotonic(), Arc::clone(&limiter));
    let store = SqliteStore::open(folder.path(), clock, Arc::default(), to).unwrap();
    let pair = world::pair(&store).await;
    let refused = || limiter.inbound(pair.a.user, pair.b.user, now).is_err();
    let not_for_them = Append { roster_version: 9, ..world::append(&pair, 1) };
    assert!(matches!(store.append(not_for_them).await, Ok(Appended::StaleRoster { .. })));
    assert!(!refused());
    drop(store.append(world::append(&pair, 1)));
    assert!(matches!(store.append(world::append(&pair, 1)).await, Ok(Appended::Duplicate(_))));
    assert!(refused());
}
