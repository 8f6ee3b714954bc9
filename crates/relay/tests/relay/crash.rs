//! The relay is killed at every station in turn, and its guarantees must hold after a restart.

use sealpost_relay::fault::Station;
use sealpost_wire::frame::Body;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{
    Ack, AckOk, Bundles, DeviceList, InboxPage, KeyCounts, LinkDeviceRequest, LinkToken, LinkTokenRequest,
    MoveAccountRequest, RefreshRequest, SendAck, SignedDeviceList, reason,
};

use crate::common::{keys, public};
use crate::process::Process;

#[tokio::test]
async fn a_send_is_stored_once_if_the_relay_dies_at_any_station() {
    // The station, and whether the message was durable by then.
    let cases =
        [(Station::SendDecoded, false), (Station::SendBeforeCommit, false), (Station::SendAfterCommit, true)];
    for (station, durable) in cases {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path(), Some(station.name()));
        let (alice, bob, path, send) = process.cast().await;
        assert!(process.post(&path, Some(&alice), &send).await.is_none(), "{station:?} was not passed");
        assert_eq!(process.ended().0, None, "ended by a signal");

        let process = Process::start(folder.path(), None);
        let ack: SendAck = process.post(&path, Some(&alice), &send).await.unwrap().body();
        let expected = if durable { Status::Duplicate } else { Status::Stored };
        assert_eq!((ack.status(), ack.server_seq), (expected, 1), "{station:?}");
        let page: InboxPage = process.get("/v1/inbox", &bob).await.unwrap().body();
        assert_eq!(page.rows.len(), 1, "{station:?}");
        process.kill();
    }
}

#[tokio::test]
async fn a_message_that_was_acknowledged_or_pushed_is_still_there() {
    for station in [Station::SendAcked, Station::Delivered] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path(), Some(station.name()));
        let (alice, bob, _, send) = process.cast().await;
        let mut alices = process.connect(&alice).await;
        let mut bobs = process.connect(&bob).await;
        let Body::SendAck(ack) = alices.ask(Body::Send(send.clone())).await else { panic!() };
        if station == Station::Delivered {
            assert_eq!(bobs.deliver().await.client_msg_id, send.client_msg_id);
        }
        process.ended();

        let process = Process::start(folder.path(), None);
        let mut bobs = process.connect(&bob).await;
        let deliver = bobs.deliver().await;
        assert_eq!((deliver.client_msg_id, deliver.hlc), (send.client_msg_id, ack.hlc), "{station:?}");
        process.kill();
    }
}

#[tokio::test]
async fn acknowledged_rows_are_deleted_completely_or_not_at_all() {
    for (station, left) in [(Station::AckBeforeCommit, 1), (Station::AckAfterCommit, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path(), Some(station.name()));
        let (alice, bob, path, send) = process.cast().await;
        process.post(&path, Some(&alice), &send).await.unwrap();
        let page: InboxPage = process.get("/v1/inbox", &bob).await.unwrap().body();
        let ack = Ack { keys: page.rows.into_iter().map(|row| row.key.unwrap()).collect(), trimmed: 0 };
        assert!(process.post("/v1/inbox:ack", Some(&bob), &ack).await.is_none());
        process.ended();

        let process = Process::start(folder.path(), None);
        let page: InboxPage = process.get("/v1/inbox", &bob).await.unwrap().body();
        assert_eq!(page.rows.len(), left, "{station:?}");
        let ok: AckOk = process.post("/v1/inbox:ack", Some(&bob), &ack).await.unwrap().body();
        assert_eq!(ok.removed as usize, left);
        process.kill();
    }
}

#[tokio::test]
async fn a_one_time_key_taken_before_a_crash_is_not_given_out_again() {
    for (station, left) in [(Station::PreKeyBeforeCommit, 10), (Station::PreKeyAfterCommit, 9)] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path(), Some(station.name()));
        let (alice, bob, ..) = process.cast().await;
        let path = format!("/v1/users/{}/devices/1/prekeys", bob.user);
        assert!(process.get(&path, &alice).await.is_none());
        process.ended();

        let process = Process::start(folder.path(), None);
        let counts: KeyCounts = process.get("/v1/keys", &bob).await.unwrap().body();
        assert_eq!((counts.ec, counts.kem), (left, left), "{station:?}");
        let Bundles { bundles, .. } = process.get(&path, &alice).await.unwrap().body();
        assert_eq!(bundles[0].one_time.as_ref().unwrap().id, 10 - left);
        process.kill();
    }
}

#[tokio::test]
async fn an_account_is_deleted_atomically_and_a_repeated_request_reports_it() {
    for (station, deleted) in [(Station::DeleteBeforeCommit, false), (Station::DeleteAfterCommit, true)] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path(), Some(station.name()));
        let (alice, bob, path, send) = process.cast().await;
        assert!(process.delete("/v1/account", &bob).await.is_none());
        process.ended();

        let process = Process::start(folder.path(), None);
        let again = process.delete("/v1/account", &bob).await.unwrap();
        if deleted {
            again.refused(401, reason::ACCOUNT_DELETED);
        } else {
            assert_eq!(again.status, 204);
        }
        let refresh =
            RefreshRequest { refresh_token: bob.tokens.refresh_token.clone(), ..RefreshRequest::default() };
        let refreshed = process.post("/v1/auth/refresh", None, &refresh).await.unwrap();
        refreshed.refused(401, reason::ACCOUNT_DELETED);
        let sent = process.post(&path, Some(&alice), &send).await.unwrap();
        sent.refused(410, reason::RECIPIENT_DELETED);
        let bundles = format!("/v1/users/{}/devices/1/prekeys", bob.user);
        process.get(&bundles, &alice).await.unwrap().refused(410, reason::RECIPIENT_DELETED);
        process.kill();
    }
}

#[tokio::test]
async fn a_crash_during_registration_leaves_a_working_relay() {
    for station in [Station::RegisterBeforeCommit, Station::RegisterAfterCommit] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path(), Some(&format!("{}:2", station.name())));
        let first = process.register().await.unwrap();
        assert!(process.register().await.is_none());
        process.ended();
        let process = Process::start(folder.path(), None);
        assert!(process.get("/v1/keys", &first).await.unwrap().status == 200);
        assert!(process.register().await.is_some());
        process.kill();
    }
}

#[tokio::test]
async fn a_device_is_linked_completely_or_not_at_all() {
    for (station, linked) in [(Station::LinkBeforeCommit, false), (Station::LinkAfterCommit, true)] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path(), Some(station.name()));
        let alice = process.register().await.unwrap();
        let answer =
            process.post("/v1/link-tokens", Some(&alice), &LinkTokenRequest::default()).await.unwrap();
        let LinkToken { token, device_id, .. } = answer.body();
        assert_eq!(device_id, 2);
        let request = LinkDeviceRequest {
            link_token: token,
            registration_id: 78,
            identity_key: public(0x05, 33, 9),
            keys: Some(keys(0, 3)),
            login_key: vec![4; 32].into(),
            push_token: vec![5; 1_024].into(),
        };
        assert!(
            process.post("/v1/devices:link", None, &request).await.is_none(),
            "{station:?} was not passed"
        );
        process.ended();

        let process = Process::start(folder.path(), None);
        let devices: DeviceList = process.get("/v1/devices", &alice).await.unwrap().body();
        assert_eq!(devices.devices.len(), if linked { 2 } else { 1 }, "{station:?}");
        let again = process.post("/v1/devices:link", None, &request).await.unwrap();
        if linked {
            again.refused(409, reason::LINK_TOKEN_USED);
        } else {
            assert_eq!(again.status, 201);
        }
        process.kill();
    }
}

#[tokio::test]
async fn an_account_is_moved_completely_or_not_at_all() {
    for (station, moved) in [(Station::MoveBeforeCommit, false), (Station::MoveAfterCommit, true)] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(folder.path(), Some(station.name()));
        let alice = process.register().await.unwrap();
        let answer =
            process.post("/v1/link-tokens", Some(&alice), &LinkTokenRequest::default()).await.unwrap();
        let LinkToken { token, .. } = answer.body();
        let linked = LinkDeviceRequest {
            link_token: token,
            registration_id: 78,
            identity_key: public(0x05, 33, 9),
            keys: Some(keys(0, 3)),
            login_key: vec![4; 32].into(),
            ..LinkDeviceRequest::default()
        };
        assert_eq!(process.post("/v1/devices:link", None, &linked).await.unwrap().status, 201);
        let list = |version, byte: u8| SignedDeviceList { version, list: vec![byte; 9].into() };
        let request = MoveAccountRequest { list: Some(list(2, 7)), device_id: 2 };
        assert!(process.put("/v1/primary", &alice, &request).await.is_none(), "{station:?} was not passed");
        process.ended();

        let process = Process::start(folder.path(), None);
        let shown = process.get(&format!("/v1/users/{}/device-list", alice.user), &alice).await.unwrap();
        // The list and the primary device have changed together.
        let next = process.put("/v1/device-list", &alice, &list(1, 8)).await.unwrap();
        if moved {
            assert_eq!(shown.body::<SignedDeviceList>(), list(2, 7));
            next.refused(403, reason::FORBIDDEN);
        } else {
            assert_eq!((shown.status, next.status), (404, 204));
        }
        assert_eq!(process.put("/v1/primary", &alice, &request).await.unwrap().status, 204, "repeated");
        process.put("/v1/device-list", &alice, &list(3, 8)).await.unwrap().refused(403, reason::FORBIDDEN);
        process.kill();
    }
}
