//! One function for each case of the table, which makes the request.

use bytes::Bytes;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{DeviceId, ThreadId, UserId};
use sealpost_wire::note::note_to_self;
use sealpost_wire::roster::{Author, Change};
use sealpost_wire::{
    Ack, AckMail, AckOk, ChallengeRequest, CompanionBlobs, CreateThread, Credit, Hello, InboxKey, InboxPage,
    Link, LinkBlobs, LinkDeviceRequest, LinkTokenRequest, LoginRequest, Mail, MoveAccountRequest, Ping,
    RefreshRequest, RegisterRequest, RestoreRequest, Send, SignedDeviceList, Sync, ThreadCursor,
};

use super::cast::{Actor, Cast, Outcome};
use crate::common::groups::request;
use crate::common::{Answer, Party, World, keys, public};
use crate::entries::{Chain, by};

const NO_THREAD: ThreadId = ThreadId::from_bytes([9; 16]);
const UNKNOWN_USER: &str = "00000000-0000-4000-8000-000000000000";

pub(super) async fn register(cast: &mut Cast) -> Outcome {
    let request = RegisterRequest {
        registration_id: 77,
        identity_key: public(0x05, 33, 1),
        keys: Some(keys(0, 1)),
        ..RegisterRequest::default()
    };
    cast.post("/v1/accounts", &request).await
}

pub(super) async fn delete_own_account(cast: &mut Cast) -> Outcome {
    cast.delete("/v1/account").await
}

pub(super) async fn refresh(cast: &mut Cast) -> Outcome {
    let refresh_token = cast.by().map(|party| party.tokens.refresh_token.clone()).unwrap_or_default();
    cast.post("/v1/auth/refresh", &RefreshRequest { refresh_token, ..RefreshRequest::default() }).await
}

pub(super) async fn request_a_challenge(cast: &mut Cast) -> Outcome {
    let user_id = cast.member.user.to_wire();
    cast.post("/v1/auth/challenge", &ChallengeRequest { user_id, device_id: 1 }).await
}

pub(super) async fn request_a_challenge_for_an_unknown_user(cast: &mut Cast) -> Outcome {
    let user_id = UNKNOWN_USER.parse::<UserId>().unwrap().to_wire();
    cast.post("/v1/auth/challenge", &ChallengeRequest { user_id, device_id: 1 }).await
}

pub(super) async fn log_in(cast: &mut Cast) -> Outcome {
    let own = cast.by().map_or(cast.member.user, |party| party.user);
    log_in_as(cast, (own, if cast.actor == Actor::Companion { 2 } else { 1 })).await
}

pub(super) async fn log_in_as_the_member(cast: &mut Cast) -> Outcome {
    log_in_as(cast, (cast.member.user, 1)).await
}

pub(super) async fn log_in_as_an_unknown_user(cast: &mut Cast) -> Outcome {
    log_in_as(cast, (UNKNOWN_USER.parse().unwrap(), 1)).await
}

/// Signs with the login key of the requester, if there is one.
async fn log_in_as(cast: &mut Cast, device: (UserId, u32)) -> Outcome {
    match cast.by() {
        Some(party) => Outcome::of(cast.world.log_in(party.login, device).await),
        None => cast.post("/v1/auth/login", &LoginRequest::default()).await,
    }
}

pub(super) async fn restore_own_device(cast: &mut Cast) -> Outcome {
    let own = cast.by().map_or(cast.member.user, |party| party.user);
    restore_device(cast, (own, if cast.actor == Actor::Companion { 2 } else { 1 })).await
}

pub(super) async fn restore_the_device_of_the_member(cast: &mut Cast) -> Outcome {
    restore_device(cast, (cast.member.user, 1)).await
}

/// Presents the keys and the tag of the requester, if there are any.
async fn restore_device(cast: &mut Cast, device: (UserId, u32)) -> Outcome {
    match cast.by() {
        Some(party) => Outcome::of(cast.world.restore(party, device).await),
        None => cast.post("/v1/accounts/restore", &RestoreRequest::default()).await,
    }
}

pub(super) async fn log_out(cast: &mut Cast) -> Outcome {
    Outcome::of(log_out_by(&cast.world, cast.by()).await)
}

pub(super) async fn log_out_by(world: &World, by: Option<&Party>) -> Answer {
    world.request(world.http.post(world.url("/v1/auth/logout")), by).await
}

pub(super) async fn list_devices(cast: &mut Cast) -> Outcome {
    cast.get("/v1/devices").await
}

pub(super) async fn revoke_own_first_device(cast: &mut Cast) -> Outcome {
    cast.delete("/v1/devices/1").await
}

pub(super) async fn revoke_own_second_device(cast: &mut Cast) -> Outcome {
    cast.delete("/v1/devices/2").await
}

pub(super) async fn revoke_an_unknown_device(cast: &mut Cast) -> Outcome {
    cast.delete("/v1/devices/3").await
}

pub(super) async fn upload_own_device_list(cast: &mut Cast) -> Outcome {
    let list = SignedDeviceList { version: 2, list: Bytes::from_static(&[7; 99]) };
    cast.put("/v1/device-list", &list).await
}

pub(super) async fn move_the_account_to_own_second_device(cast: &mut Cast) -> Outcome {
    let list = SignedDeviceList { version: 2, list: Bytes::from_static(&[7; 99]) };
    cast.put("/v1/primary", &MoveAccountRequest { list: Some(list), device_id: 2 }).await
}

pub(super) async fn get_the_device_list_of_the_member(cast: &mut Cast) -> Outcome {
    let list = SignedDeviceList { version: 1, list: Bytes::from_static(&[6; 99]) };
    // It is refused where the member's token has ended, and then nobody gets a list.
    cast.world.put("/v1/device-list", Some(&cast.member), &list).await;
    cast.get(&format!("/v1/users/{}/device-list", cast.member.user)).await
}

pub(super) async fn get_the_device_list_of_an_unknown_user(cast: &mut Cast) -> Outcome {
    cast.get(&format!("/v1/users/{UNKNOWN_USER}/device-list")).await
}

pub(super) async fn begin_a_link(cast: &mut Cast) -> Outcome {
    cast.post("/v1/links", &()).await
}

/// A link of somebody without an account: its path, and the secret of the companion.
async fn link(cast: &Cast) -> (String, Bytes) {
    let answer = cast.world.post("/v1/links", None, &()).await;
    assert_eq!(answer.status, 201);
    let Link { link_id, secret } = answer.body();
    let id: String = link_id.iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("/v1/links/{id}"), secret)
}

fn blobs() -> LinkBlobs {
    LinkBlobs { blobs: vec![vec![7; 40].into()] }
}

pub(super) async fn use_a_link_of_the_member(cast: &mut Cast) -> Outcome {
    let (path, _) = link(cast).await;
    // It is refused where the member's token has ended, and then nobody is admitted.
    cast.world.put(&format!("{path}/primary"), Some(&cast.member), &blobs()).await;
    cast.put(&format!("{path}/primary"), &LinkBlobs::default()).await
}

pub(super) async fn use_an_unknown_link(cast: &mut Cast) -> Outcome {
    cast.put("/v1/links/00000000000000000000000000000000/primary", &blobs()).await
}

pub(super) async fn use_a_link_as_its_companion(cast: &mut Cast) -> Outcome {
    let (path, secret) = link(cast).await;
    cast.put(&format!("{path}/companion"), &CompanionBlobs { secret, blobs: blobs().blobs }).await
}

pub(super) async fn use_a_link_with_another_secret(cast: &mut Cast) -> Outcome {
    let (path, _) = link(cast).await;
    let other = CompanionBlobs { secret: vec![9; 32].into(), ..CompanionBlobs::default() };
    cast.put(&format!("{path}/companion"), &other).await
}

pub(super) async fn use_an_unknown_link_as_companion(cast: &mut Cast) -> Outcome {
    let other = CompanionBlobs { secret: vec![9; 32].into(), ..CompanionBlobs::default() };
    cast.put("/v1/links/00000000000000000000000000000000/companion", &other).await
}

pub(super) async fn take_a_link_token(cast: &mut Cast) -> Outcome {
    cast.post("/v1/link-tokens", &LinkTokenRequest::default()).await
}

pub(super) async fn link_a_device_of_the_member(cast: &mut Cast) -> Outcome {
    // Taken before the token of the member ended.
    let db = rusqlite::Connection::open(cast.world.folder.path().join("relay.db")).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let hash = <sha2::Sha256 as sha2::Digest>::digest([5; 32]);
    db.execute(
        "INSERT INTO link_token (token_hash, user_id, device_id, until_ms) VALUES (?1, ?2, 3, 1 << 50)",
        (hash.as_slice(), cast.member.user.as_bytes()),
    )
    .unwrap();
    cast.post("/v1/devices:link", &link_request([5; 32])).await
}

pub(super) async fn link_a_device_with_a_forged_token(cast: &mut Cast) -> Outcome {
    cast.post("/v1/devices:link", &link_request([6; 32])).await
}

fn link_request(token: [u8; 32]) -> LinkDeviceRequest {
    LinkDeviceRequest {
        link_token: token.to_vec().into(),
        registration_id: 77,
        identity_key: public(0x05, 33, 3),
        keys: Some(keys(0, 1)),
        login_key: vec![3; 32].into(),
        push_token: Bytes::new(),
    }
}

pub(super) async fn count_own_keys(cast: &mut Cast) -> Outcome {
    cast.get("/v1/keys").await
}

pub(super) async fn upload_own_keys(cast: &mut Cast) -> Outcome {
    cast.put("/v1/keys", &keys(100, 1)).await
}

pub(super) async fn fetch_a_bundle_of_the_member(cast: &mut Cast) -> Outcome {
    cast.get(&format!("/v1/users/{}/devices/1/prekeys", cast.member.user)).await
}

pub(super) async fn fetch_a_bundle_of_an_unknown_user(cast: &mut Cast) -> Outcome {
    cast.get(&format!("/v1/users/{UNKNOWN_USER}/devices/1/prekeys")).await
}

pub(super) async fn open_a_thread_with_the_members_peer(cast: &mut Cast) -> Outcome {
    let peer_user_id = cast.peer.user.to_wire();
    cast.post("/v1/threads", &CreateThread { peer_user_id, ..CreateThread::default() }).await
}

pub(super) async fn open_a_thread_with_an_unknown_user(cast: &mut Cast) -> Outcome {
    let peer_user_id = Bytes::from_static(&[9; 16]);
    cast.post("/v1/threads", &CreateThread { peer_user_id, ..CreateThread::default() }).await
}

pub(super) async fn open_own_note_to_self(cast: &mut Cast) -> Outcome {
    let peer_user_id = own_id(cast).to_wire();
    let outcome = cast.post("/v1/threads", &CreateThread { peer_user_id, ..CreateThread::default() }).await;
    if outcome.status == 201 {
        let thread: sealpost_wire::Thread = sealpost_wire::decode(outcome.bytes.clone().into()).unwrap();
        assert_eq!(thread.thread_id, note_to_self(own_id(cast)).to_wire());
        assert_eq!(thread.member_user_ids, [own_id(cast).to_wire()]);
    }
    outcome
}

pub(super) async fn open_own_note_to_self_under_another_id(cast: &mut Cast) -> Outcome {
    let request = CreateThread { peer_user_id: own_id(cast).to_wire(), thread_id: NO_THREAD.to_wire() };
    cast.post("/v1/threads", &request).await
}

/// Names the note to self of the member for a thread with them. For the member, this is a thread with the peer.
pub(super) async fn open_a_thread_with_the_member_as_their_note(cast: &mut Cast) -> Outcome {
    let peer = if own_id(cast) == cast.member.user { cast.peer.user } else { cast.member.user };
    let thread_id = note_to_self(cast.member.user).to_wire();
    cast.post("/v1/threads", &CreateThread { peer_user_id: peer.to_wire(), thread_id }).await
}

fn own_id(cast: &Cast) -> UserId {
    cast.by().map_or(cast.member.user, |party| party.user)
}

pub(super) async fn get_the_thread(cast: &mut Cast) -> Outcome {
    cast.get(&format!("/v1/threads/{}", cast.thread)).await
}

pub(super) async fn get_an_unknown_thread(cast: &mut Cast) -> Outcome {
    cast.get(&format!("/v1/threads/{NO_THREAD}")).await
}

pub(super) async fn accept_the_thread(cast: &mut Cast) -> Outcome {
    cast.post(&format!("/v1/threads/{}/accept", cast.thread), &()).await
}

pub(super) async fn accept_an_unknown_thread(cast: &mut Cast) -> Outcome {
    cast.post(&format!("/v1/threads/{NO_THREAD}/accept"), &()).await
}

pub(super) async fn block_the_member(cast: &mut Cast) -> Outcome {
    put_block(cast, &cast.member.user.to_string()).await
}

pub(super) async fn block_an_unknown_user(cast: &mut Cast) -> Outcome {
    put_block(cast, UNKNOWN_USER).await
}

async fn put_block(cast: &Cast, user: &str) -> Outcome {
    cast.put(&format!("/v1/blocks/{user}"), &()).await
}

pub(super) async fn unblock_the_member(cast: &mut Cast) -> Outcome {
    cast.delete(&format!("/v1/blocks/{}", cast.member.user)).await
}

pub(super) async fn unblock_an_unknown_user(cast: &mut Cast) -> Outcome {
    cast.delete(&format!("/v1/blocks/{UNKNOWN_USER}")).await
}

pub(super) async fn append_to_the_thread(cast: &mut Cast) -> Outcome {
    let thread = cast.thread;
    cast.post(&format!("/v1/threads/{thread}/messages"), &cast.message(thread)).await
}

pub(super) async fn append_to_an_unknown_thread(cast: &mut Cast) -> Outcome {
    cast.post(&format!("/v1/threads/{NO_THREAD}/messages"), &cast.message(NO_THREAD)).await
}

pub(super) async fn read_own_mailbox(cast: &mut Cast) -> Outcome {
    let outcome = cast.get("/v1/inbox").await;
    if outcome.status == 200 {
        let page: InboxPage = sealpost_wire::decode(outcome.bytes.clone().into()).unwrap();
        // The companion also has the first entry of the group.
        let expected = match cast.actor {
            Actor::Stranger => 0,
            Actor::Companion => 2,
            _ => 1,
        };
        assert_eq!(page.rows.len(), expected);
    }
    outcome
}

pub(super) async fn acknowledge_a_row(cast: &mut Cast) -> Outcome {
    let outcome = cast.post("/v1/inbox:ack", &the_row(cast)).await;
    check_the_row(cast).await;
    outcome
}

pub(super) async fn acknowledge_an_unknown_row(cast: &mut Cast) -> Outcome {
    cast.post("/v1/inbox:ack", &no_row()).await
}

pub(super) async fn open_a_socket(cast: &mut Cast) -> Outcome {
    let request = cast.world.http.get(cast.world.url("/v1/ws"));
    let request = request.header("connection", "upgrade").header("upgrade", "websocket");
    let request = request.header("sec-websocket-version", "13");
    let request = request.header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==");
    let request = request.header("sec-websocket-protocol", sealpost_wire::SUBPROTOCOL);
    let request = match cast.by() {
        Some(party) => request.bearer_auth(&party.tokens.access_token),
        None => request,
    };
    Outcome::closed(request.send().await.unwrap().status().as_u16())
}

pub(super) async fn request_liveness(cast: &mut Cast) -> Outcome {
    cast.get("/healthz").await
}

pub(super) async fn request_readiness(cast: &mut Cast) -> Outcome {
    cast.get("/readyz").await
}

pub(super) async fn request_metrics_on_the_public_listener(cast: &mut Cast) -> Outcome {
    cast.get("/metrics").await
}

pub(super) async fn request_metrics_on_the_operators_listener(cast: &mut Cast) -> Outcome {
    let addr = cast.world.relay.metrics_addr().unwrap();
    let request = cast.world.http.get(format!("http://{addr}/metrics"));
    Outcome::of(cast.world.request(request, cast.by()).await)
}

pub(super) async fn say_hello(cast: &mut Cast) -> Outcome {
    begin_with(cast, cast.hello()).await
}

pub(super) async fn say_hello_as_another_device(cast: &mut Cast) -> Outcome {
    let hello = cast.hello();
    let device_id = if hello.device_id == 1 { 2 } else { 1 };
    begin_with(cast, Hello { device_id, ..hello }).await
}

/// A requester who is refused is also disconnected.
async fn begin_with(cast: &Cast, hello: Hello) -> Outcome {
    use crate::common::socket::{Read, Socket};
    let mut socket = Socket::open(&cast.world).await;
    let id = socket.send(Body::Hello(hello)).await;
    let Read::Frame(reply, body) = socket.read().await else { panic!("closed without a frame") };
    assert_eq!(reply, id);
    let outcome = Outcome::of_frame(body);
    if outcome.status != 200 {
        assert_eq!(socket.closed().await, 4401);
    }
    outcome
}

pub(super) async fn send_to_the_thread(cast: &mut Cast) -> Outcome {
    let send = cast.message(cast.thread);
    cast.say(Body::Send(send)).await
}

pub(super) async fn send_to_an_unknown_thread(cast: &mut Cast) -> Outcome {
    let send = cast.message(NO_THREAD);
    cast.say(Body::Send(send)).await
}

pub(super) async fn mail_a_device_of_the_thread(cast: &mut Cast) -> Outcome {
    let mail = mail(cast, cast.thread);
    cast.say(Body::Mail(mail)).await
}

pub(super) async fn mail_a_device_of_an_unknown_thread(cast: &mut Cast) -> Outcome {
    let mail = mail(cast, NO_THREAD);
    cast.say(Body::Mail(mail)).await
}

pub(super) async fn post_mail(cast: &mut Cast) -> Outcome {
    cast.post(&format!("/v1/threads/{}/mail", cast.thread), &mail(cast, cast.thread)).await
}

pub(super) async fn post_mail_in_an_unknown_thread(cast: &mut Cast) -> Outcome {
    cast.post(&format!("/v1/threads/{NO_THREAD}/mail"), &mail(cast, NO_THREAD)).await
}

/// For one of the devices of the thread.
fn mail(cast: &Cast, thread: ThreadId) -> Mail {
    let Send { client_msg_id, thread_id, mut copies, .. } = cast.message(thread);
    copies.truncate(1);
    Mail { client_msg_id, thread_id, copies, ..Mail::default() }
}

pub(super) async fn acknowledge_mail(cast: &mut Cast) -> Outcome {
    let (world, member) = (&cast.world, &cast.member);
    let send = world.message(cast.thread, member, b"mail");
    let mail = Mail {
        client_msg_id: send.client_msg_id,
        thread_id: send.thread_id,
        copies: send.copies,
        ..Mail::default()
    };
    let stored = world.post(&format!("/v1/threads/{}/mail", cast.thread), Some(&cast.peer), &mail).await;
    let (status, rows) = match cast.actor {
        // The device has no mailbox any more, or the token of the peer has expired too.
        Actor::Revoked => (409, 0),
        Actor::Expired => (401, 0),
        _ => (201, 1),
    };
    assert_eq!(stored.status, status);
    let outcome = cast.say(Body::AckMail(AckMail { mail_seqs: vec![1] })).await;
    let db = rusqlite::Connection::open(cast.world.folder.path().join("relay.db")).unwrap();
    let left: u32 =
        db.query_row("SELECT count(*) FROM mail WHERE device_id = 1", [], |row| row.get(0)).unwrap();
    assert_eq!(left, if cast.actor == Actor::Member { 0 } else { rows });
    outcome
}

pub(super) async fn acknowledge_unknown_mail(cast: &mut Cast) -> Outcome {
    cast.say(Body::AckMail(AckMail { mail_seqs: vec![1] })).await
}

pub(super) async fn pass_on_ephemeral_mail(cast: &mut Cast) -> Outcome {
    let mail = ephemeral_mail(cast, cast.thread);
    cast.say(Body::Mail(mail)).await
}

pub(super) async fn pass_on_ephemeral_mail_in_an_unknown_thread(cast: &mut Cast) -> Outcome {
    let mail = ephemeral_mail(cast, NO_THREAD);
    cast.say(Body::Mail(mail)).await
}

pub(super) async fn post_ephemeral_mail(cast: &mut Cast) -> Outcome {
    cast.post(&format!("/v1/threads/{}/mail", cast.thread), &ephemeral_mail(cast, cast.thread)).await
}

pub(super) async fn post_ephemeral_mail_in_an_unknown_thread(cast: &mut Cast) -> Outcome {
    cast.post(&format!("/v1/threads/{NO_THREAD}/mail"), &ephemeral_mail(cast, NO_THREAD)).await
}

/// For one of the devices of the thread.
fn ephemeral_mail(cast: &Cast, thread: ThreadId) -> Mail {
    let mut mail = mail(cast, thread);
    mail.copies[0].envelope.as_mut().unwrap().ephemeral = true;
    mail
}

/// The requester as the author of an entry.
fn author(cast: &Cast) -> Author {
    let user = cast.by().map_or(cast.member.user, |party| party.user);
    let device = if cast.actor == Actor::Companion { 2 } else { 1 };
    Author { user, device: DeviceId::new(device).unwrap() }
}

pub(super) async fn create_a_group(cast: &mut Cast) -> Outcome {
    let (_, entry) = Chain::create_with(author(cast), &[], 9, &[1, 2]);
    cast.post("/v1/groups", &request(&entry)).await
}

pub(super) async fn create_a_group_as_the_member(cast: &mut Cast) -> Outcome {
    let (_, entry) = Chain::create(by(cast.member.user), &[], 9);
    cast.post("/v1/groups", &request(&entry)).await
}

pub(super) async fn change_the_timer_of_the_group(cast: &mut Cast) -> Outcome {
    let entry = cast.group.next(author(cast), Change::Timer(60));
    cast.post(&format!("/v1/threads/{}/roster", cast.group.thread), &request(&entry)).await
}

pub(super) async fn change_the_timer_of_an_unknown_group(cast: &mut Cast) -> Outcome {
    let (unknown, _) = Chain::create(by(cast.member.user), &[], 8);
    let entry = unknown.next(author(cast), Change::Timer(60));
    cast.post(&format!("/v1/threads/{}/roster", unknown.thread), &request(&entry)).await
}

pub(super) async fn get_the_roster(cast: &mut Cast) -> Outcome {
    cast.get(&format!("/v1/threads/{}/roster", cast.group.thread)).await
}

pub(super) async fn get_the_roster_of_an_unknown_group(cast: &mut Cast) -> Outcome {
    cast.get(&format!("/v1/threads/{NO_THREAD}/roster")).await
}

pub(super) async fn post_in_the_group(cast: &mut Cast) -> Outcome {
    let send = cast.world.group_message(&cast.group, b"sealed");
    cast.post(&format!("/v1/threads/{}/messages", cast.group.thread), &send).await
}

pub(super) async fn post_in_an_unknown_group(cast: &mut Cast) -> Outcome {
    let (unknown, _) = Chain::create(by(cast.member.user), &[], 8);
    let send = cast.world.group_message(&unknown, b"sealed");
    cast.post(&format!("/v1/threads/{}/messages", unknown.thread), &send).await
}

pub(super) async fn send_to_the_group(cast: &mut Cast) -> Outcome {
    let send = cast.world.group_message(&cast.group, b"sealed");
    cast.say(Body::Send(send)).await
}

pub(super) async fn send_to_an_unknown_group(cast: &mut Cast) -> Outcome {
    let (unknown, _) = Chain::create(by(cast.member.user), &[], 8);
    let send = cast.world.group_message(&unknown, b"sealed");
    cast.say(Body::Send(send)).await
}

pub(super) async fn acknowledge_a_row_by_frame(cast: &mut Cast) -> Outcome {
    let ack = the_row(cast);
    let outcome = cast.say(Body::Ack(ack)).await;
    check_the_row(cast).await;
    outcome
}

pub(super) async fn acknowledge_an_unknown_row_by_frame(cast: &mut Cast) -> Outcome {
    cast.say(Body::Ack(no_row())).await
}

pub(super) async fn drain_own_mailbox(cast: &mut Cast) -> Outcome {
    cast.say(Body::Sync(Sync { inbox: true, threads: Vec::new() })).await
}

/// Only rows of the requester's own mailbox are returned, whatever thread the request names.
pub(super) async fn request_rows_of_the_thread(cast: &mut Cast) -> Outcome {
    let cursor = ThreadCursor { thread_id: cast.thread.to_wire(), after_seq: 0, limit: 100 };
    let sync = Sync { inbox: false, threads: vec![cursor] };
    let (outcome, delivered) = cast.send_and_count_rows(Body::Sync(sync)).await;
    if outcome.status == 200 {
        assert_eq!(delivered > 0, cast.actor != Actor::Stranger);
    }
    outcome
}

pub(super) async fn ping(cast: &mut Cast) -> Outcome {
    cast.say(Body::Ping(Ping { t: 1 })).await
}

/// This frame has no answer, so it is followed by a ping.
pub(super) async fn grant_credit(cast: &mut Cast) -> Outcome {
    let outcome = cast.say_both(Body::Credit(Credit { more: 1 }), Body::Ping(Ping { t: 1 })).await;
    if outcome.status == 200 { Outcome { status: 204, ..outcome } } else { outcome }
}

/// The row of the peer's message in the member's mailbox.
fn the_row(cast: &Cast) -> Ack {
    Ack { keys: vec![InboxKey { thread_id: cast.thread.to_wire(), server_seq: 1 }], trimmed: 0 }
}

fn no_row() -> Ack {
    Ack { keys: vec![InboxKey { thread_id: NO_THREAD.to_wire(), server_seq: 1 }], trimmed: 0 }
}

/// Only the device itself can remove a row from its mailbox.
async fn check_the_row(cast: &Cast) {
    let member = &cast.member;
    let expected = match cast.actor {
        Actor::Member => 0,
        Actor::Anonymous | Actor::Forged | Actor::Stranger | Actor::Companion => 1,
        // There is no valid token left with which to look.
        Actor::Expired | Actor::Ended | Actor::Revoked => return,
    };
    let page: InboxPage = cast.world.get("/v1/inbox", Some(member)).await.body();
    assert_eq!(page.rows.len(), expected);
    let again = cast.world.post("/v1/inbox:ack", Some(member), &the_row(cast)).await;
    assert_eq!(again.body::<AckOk>().removed as usize, expected);
}
