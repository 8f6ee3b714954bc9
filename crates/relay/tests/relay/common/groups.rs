//! Groups over HTTP.

use sealpost_wire::id::UserId;
use sealpost_wire::roster::{Change, Entry};
use sealpost_wire::{Envelope, Group, RosterRequest, Send};

use super::{Answer, Party, World};
use crate::entries::{Chain, by};

impl World {
    /// A group of these people, the first of whom has created it, and everything that this has put into their mailboxes is still there.
    pub(crate) async fn group(&self, parties: &[&Party]) -> Chain {
        let (mut chain, _) = self.create_group(parties).await;
        for party in &parties[1..] {
            self.enter(&mut chain, party, Change::Accept).await;
        }
        chain
    }

    /// A group to which the first one has invited the others.
    pub(crate) async fn create_group(&self, parties: &[&Party]) -> (Chain, Group) {
        let invited: Vec<UserId> = parties[1..].iter().map(|party| party.user).collect();
        let (chain, entry) = Chain::create(by(parties[0].user), &invited, 1);
        let answer = self.post("/v1/groups", Some(parties[0]), &request(&entry)).await;
        assert_eq!(answer.status, 201);
        (chain, answer.body())
    }

    /// Adds an entry that is accepted.
    pub(crate) async fn enter(&self, chain: &mut Chain, author: &Party, change: Change) -> Group {
        let entry = chain.next(by(author.user), change);
        let answer = self.post_entry(chain, author, &entry).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.bytes));
        chain.take(&entry);
        answer.body()
    }

    pub(crate) async fn post_entry(&self, chain: &Chain, author: &Party, entry: &Entry) -> Answer {
        self.post(&format!("/v1/threads/{}/roster", chain.thread), Some(author), &request(entry)).await
    }

    /// A message for a group, with a new ID.
    pub(crate) fn group_message(&self, chain: &Chain, text: &[u8]) -> Send {
        let nobody = Party::new(UserId::from_bytes([0; 16]), sealpost_wire::TokenPair::default());
        let envelope = Envelope { kind: 3, ciphertext: text.to_vec().into(), ..Envelope::default() };
        Send {
            roster_version: chain.version,
            group: Some(envelope),
            copies: Vec::new(),
            ..self.message(chain.thread, &nobody, b"")
        }
    }
}

pub(crate) fn request(entry: &Entry) -> RosterRequest {
    RosterRequest { entry: entry.as_bytes().to_vec().into() }
}
