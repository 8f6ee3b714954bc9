//! Who may do what: one test for each cell of the relay's table, which generates the tests.

mod cast;
mod requests;

use prost::Message as _;
use sealpost_relay::authorisation_table;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::note::note_to_self;
use sealpost_wire::{CreateThread, InboxPage, Mail, RefreshRequest, Send, reason};

use crate::common::socket::{Socket, hello};
use crate::common::{World, with_body};
use cast::{Actor, Cast, Outcome, to_device};

macro_rules! make_tests {
    (
        routes { $($route:ident ($($row:tt)*) { $($cases:tt)+ })+ }
        frames { $($frame:ident { $($frame_cases:tt)+ })+ }
    ) => {
        $(make_cases! { $($cases)+ })+
        $(make_cases! { $($frame_cases)+ })+
    };
}

/// A module for each case, with one test for each requester, and one that compares the answers that a stranger gets.
macro_rules! make_cases {
    ($(
        $case:ident [
            $anonymous:literal $forged:literal $expired:literal $ended:literal
            $revoked:literal $stranger:literal $member:literal $companion:literal
        ] $(looks_like $other:ident)?;
    )+) => { $(
        mod $case {
            use super::{Actor, cell, requests};

            #[tokio::test]
            async fn anonymous() {
                cell(Actor::Anonymous, requests::$case, $anonymous).await;
            }
            #[tokio::test]
            async fn forged() {
                cell(Actor::Forged, requests::$case, $forged).await;
            }
            #[tokio::test]
            async fn expired() {
                cell(Actor::Expired, requests::$case, $expired).await;
            }
            #[tokio::test]
            async fn ended() {
                cell(Actor::Ended, requests::$case, $ended).await;
            }
            #[tokio::test]
            async fn revoked() {
                cell(Actor::Revoked, requests::$case, $revoked).await;
            }
            #[tokio::test]
            async fn stranger() {
                cell(Actor::Stranger, requests::$case, $stranger).await;
            }
            #[tokio::test]
            async fn member() {
                cell(Actor::Member, requests::$case, $member).await;
            }
            #[tokio::test]
            async fn companion() {
                cell(Actor::Companion, requests::$case, $companion).await;
            }
            $(
                #[tokio::test]
                async fn a_resource_of_another_user_looks_like_one_that_does_not_exist() {
                    super::alike(requests::$case, requests::$other).await;
                }
            )?
        }
    )+ };
}

authorisation_table!(make_tests);

/// One cell: this requester makes the request, and this must be the outcome.
async fn cell(actor: Actor, ask: impl AsyncFnOnce(&mut Cast) -> Outcome, expected: u16) {
    let mut cast = Cast::assemble(actor).await;
    let outcome = ask(&mut cast).await;
    assert_eq!(outcome.status, expected, "as {actor:?}");
    outcome.check_form();
    cast.end().await;
}

/// A stranger gets the same bytes and headers for both.
async fn alike(
    theirs: impl AsyncFnOnce(&mut Cast) -> Outcome,
    nobodys: impl AsyncFnOnce(&mut Cast) -> Outcome,
) {
    let mut cast = Cast::assemble(Actor::Stranger).await;
    assert_eq!(theirs(&mut cast).await, nobodys(&mut cast).await);
    cast.end().await;
}

#[tokio::test]
async fn an_invalid_id_is_answered_like_an_unknown_one() {
    let world = World::start().await;
    let mallory = world.register().await;
    let nothing = "00000000-0000-4000-8000-000000000000";
    let get = async |path: &str| Outcome::of(world.get(path, Some(&mallory)).await);
    let not_there = get(&format!("/v1/users/{nothing}/devices/*/prekeys")).await;
    assert_eq!(not_there.status, 404);
    for path in [
        "/v1/users/not-an-id/devices/*/prekeys",
        "/v1/threads/not-an-id",
        &format!("/v1/users/{}/devices/2/prekeys", mallory.user),
        "/admin",
    ] {
        assert_eq!(get(path).await, not_there, "{path}");
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_revoked_device_is_refused_everywhere_immediately() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect(&world, &alice).await;
    world.send(&bob, &world.message(thread, &alice, b"sealed")).await;

    assert_eq!(world.delete("/v1/devices/1", Some(&alice)).await.status, 204);
    assert_eq!(alices.closed().await, 4401);
    let refresh =
        RefreshRequest { refresh_token: alice.tokens.refresh_token.clone(), ..RefreshRequest::default() };
    world.post("/v1/auth/refresh", None, &refresh).await.refused(401, reason::INVALID_TOKEN);
    let mut again = Socket::open(&world).await;
    again.send(Body::Hello(hello(&alice))).await;
    assert_eq!(again.closed().await, 4401);
    world.take(&bob, &alice, "1").await.refused(404, reason::NOT_FOUND);

    // A sender with an outdated device list gets the exact differences.
    let answer = world.send(&bob, &world.message(thread, &alice, b"sealed")).await;
    answer.refused(409, reason::MISMATCHED_DEVICES);
    let mismatches = answer.error().mismatches;
    assert_eq!(mismatches.len(), 1);
    assert_eq!((&mismatches[0].user_id, &mismatches[0].extra[..]), (&alice.user.to_wire(), &[1][..]));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn registration_can_be_closed() {
    let world = World::start_with(|config| config.registration = sealpost_relay::Registration::Closed).await;
    let request = sealpost_wire::RegisterRequest::default();
    world.post("/v1/accounts", None, &request).await.refused(403, reason::PROOF_REFUSED);
    let request = world.http.post(world.url("/v1/accounts"));
    let answer = world.request(with_body(request, &sealpost_wire::Error::default()), None).await;
    assert_eq!(answer.error().encoded_len(), answer.bytes.len());
    world.relay.shutdown().await;
}

#[tokio::test]
async fn own_devices_reach_each_other_in_the_note_to_self() {
    let cast = Cast::assemble(Actor::Companion).await;
    let (world, member, companion) = (&cast.world, &cast.member, cast.by());
    let request = CreateThread { peer_user_id: member.user.to_wire(), ..CreateThread::default() };
    assert_eq!(world.post("/v1/threads", Some(member), &request).await.status, 201);
    let again = world.post("/v1/threads", companion, &request).await;
    again.refused(409, reason::EXISTING_THREAD);
    let note = note_to_self(member.user);
    assert_eq!(again.error().thread_id, note.to_wire());
    let own = Send { copies: vec![to_device(1, member)], ..world.message(note, member, b"sealed") };
    let path = |what| format!("/v1/threads/{note}/{what}");
    assert_eq!(world.post(&path("messages"), companion, &own).await.status, 201);
    let Send { client_msg_id, thread_id, copies, .. } = world.message(note, member, b"sealed");
    let mail = Mail { client_msg_id, thread_id, copies, ..Mail::default() };
    assert_eq!(world.post(&path("mail"), companion, &mail).await.status, 201);
    let page: InboxPage = world.get("/v1/inbox", Some(member)).await.body();
    let of_note = page.rows.iter().filter(|row| row.key.as_ref().unwrap().thread_id == note.to_wire());
    assert_eq!(of_note.count(), 1);
    // A message for the other person is not for this thread, and a stranger has no access.
    let to_peer = world.message(note, &cast.peer, b"sealed");
    world.post(&path("messages"), companion, &to_peer).await.refused(409, reason::MISMATCHED_DEVICES);
    world.post(&path("messages"), Some(&cast.peer), &own).await.refused(404, reason::NOT_FOUND);
    cast.end().await;
}
