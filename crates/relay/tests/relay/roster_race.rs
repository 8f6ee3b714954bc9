//! Somebody is removed by two admins at once while messages of theirs and of others are in flight, and comes back.
//!
//! With more rounds: `./dev soak rosters [ROUNDS]`.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use sealpost_wire::roster::{Change, Role};
use sealpost_wire::{Ack, Deliver, Group, InboxPage, Send, SendAck, reason};

use crate::common::{Answer, Party, World};
use crate::entries::{Chain, by, invitation, remove};

/// Messages of each sender in flight.
const IN_FLIGHT: usize = 16;

#[tokio::test]
async fn nobody_posts_or_gets_anything_after_their_removal() {
    let rounds =
        std::env::var("SEALPOST_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12);
    let world = World::start().await;
    let mut parties = Vec::new();
    for _ in 0..4 {
        parties.push(world.register().await);
    }
    let [ada, ben, cleo, eve] = &parties[..] else { panic!() };
    let mut chain = world.group(&[ada, ben, cleo, eve]).await;
    world.enter(&mut chain, ada, Change::Role { user: ben.user, role: Role::Admin }).await;
    for party in &parties {
        drain(&world, party).await;
    }
    let (mut accepted_in_all, mut refused_in_all) = (0, 0);
    for round in 0..rounds {
        let before = chain.version;
        let entries = [ada, ben].map(|admin| chain.next(by(admin.user), remove(&[eve.user])));
        let removals =
            join(world.post_entry(&chain, ada, &entries[0]), world.post_entry(&chain, ben, &entries[1]));
        let sends = [eve, cleo, ben].map(|sender| (0..IN_FLIGHT).map(move |_| sender)).into_iter().flatten();
        // Some are sent before the removals, and some with them.
        let sends: Vec<(&Party, Send)> =
            sends.map(|sender| (sender, world.group_message(&chain, b"x"))).collect();
        let sending = sends.iter().enumerate().map(async |(at, (sender, send))| {
            if at % 2 == 1 {
                tokio::time::sleep(std::time::Duration::from_micros(200 * at as u64)).await;
            }
            world.send(sender, send).await
        });
        let (answers, removed) = join(join_all(sending), removals).await;

        let removal = won(&mut chain, &entries, [&removed.0, &removed.1], round);
        let mut posts = BTreeSet::from([removal]);
        for ((sender, _), answer) in sends.iter().zip(&answers) {
            if answer.status == 201 {
                let ack: SendAck = answer.body();
                assert!(ack.server_seq < removal, "round {round}: made for a roster with who was removed");
                assert!(posts.insert(ack.server_seq), "round {round}: two posts in one place");
                accepted_in_all += 1;
                continue;
            }
            match answer.status {
                404 => assert_eq!(sender.user, eve.user, "round {round}"),
                _ => answer.refused(409, reason::STALE_ROSTER),
            }
            refused_in_all += 1;
        }
        // A late copy of what was refused, and another removal, are refused too.
        world.send(eve, &world.group_message(&chain, b"late")).await.refused(404, reason::NOT_FOUND);
        let again = chain.next(by(ada.user), remove(&[eve.user]));
        world.post_entry(&chain, ada, &again).await.refused(403, reason::NOT_ALLOWED);
        let stale = Send { roster_version: before, ..world.group_message(&chain, b"late") };
        world.send(cleo, &stale).await.refused(409, reason::STALE_ROSTER);

        // Everybody has what was posted by others while they were members.
        let first = *posts.first().unwrap();
        assert_eq!(posts.last().unwrap() - first + 1, posts.len() as u64, "round {round}: a gap");
        for party in [cleo, eve] {
            let rows = drain(&world, party).await;
            let own = sends.iter().zip(&answers).filter(|((sender, _), _)| sender.user == party.user);
            let own: BTreeSet<u64> = own
                .filter(|(_, answer)| answer.status == 201)
                .map(|(_, answer)| answer.body::<SendAck>().server_seq)
                .collect();
            let got: Vec<u64> = rows.iter().map(|row| row.key.as_ref().unwrap().server_seq).collect();
            let expected: Vec<u64> = posts.difference(&own).copied().collect();
            assert_eq!(got, expected, "round {round}");
        }
        // Eve comes back, and has nothing of what was posted in between.
        assert_eq!(world.send(cleo, &world.group_message(&chain, b"without eve")).await.status, 201);
        world.enter(&mut chain, ada, Change::Invite(vec![invitation(eve.user)])).await;
        let joined: Group = world.enter(&mut chain, eve, Change::Accept).await;
        let ack: SendAck = world.send(cleo, &world.group_message(&chain, b"with eve")).await.body();
        assert_eq!(ack.server_seq, joined.server_seq + 1);
        let got: Vec<u64> =
            drain(&world, eve).await.iter().map(|row| row.key.as_ref().unwrap().server_seq).collect();
        assert_eq!(got, [joined.server_seq - 1, ack.server_seq], "round {round}");
        for party in [ada, ben, cleo] {
            drain(&world, party).await;
        }
    }
    assert!(
        accepted_in_all > 0 && refused_in_all > 0,
        "{accepted_in_all} accepted, {refused_in_all} refused"
    );
    world.end(()).await;
}

/// Exactly one of the two entries was stored. Returns its place.
fn won(
    chain: &mut Chain,
    entries: &[sealpost_wire::roster::Entry; 2],
    answers: [&Answer; 2],
    round: u32,
) -> u64 {
    let stored: Vec<usize> = (0..2).filter(|at| answers[*at].status == 201).collect();
    let [winner] = stored[..] else { panic!("round {round}: {} entries for one version", stored.len()) };
    let loser = answers[1 - winner];
    loser.refused(409, reason::STALE_ROSTER);
    assert_eq!(loser.error().current_roster_version, chain.version + 1);
    chain.take(&entries[winner]);
    answers[winner].body::<Group>().server_seq
}

/// Reads the mailbox, and acknowledges it.
async fn drain(world: &World, party: &Party) -> Vec<Deliver> {
    let page: InboxPage = world.get("/v1/inbox?limit=256", Some(party)).await.body();
    assert!(!page.more);
    let keys = page.rows.iter().map(|row| row.key.clone().unwrap()).collect();
    assert_eq!(world.post("/v1/inbox:ack", Some(party), &Ack { keys, trimmed: 0 }).await.status, 200);
    page.rows
}
