//! The talks of `crates/protocol/tests/interaction`, written by the fuzzer.

#[path = "../../crates/protocol/tests/interaction/event.rs"]
pub(crate) mod event;
#[path = "../../crates/protocol/tests/interaction/party.rs"]
pub(crate) mod party;
#[path = "../../crates/protocol/tests/interaction/world.rs"]
pub(crate) mod world;

use event::Event::{Archive, Begin, Damage, Drop, Receive, Repeat, Restore, Send, Shuffle, Snapshot};
use event::{Event, Script};
use sealpost_protocol::SessionPolicy::{self, Pqxdh, TripleRatchet};
use world::World;

/// So few that a talk is soon over, and that no message comes two epochs of SPQR late, when its key is gone by right.
const MAX_EVENTS: usize = 64;

pub(crate) fn run(input: &[u8]) {
    let mut script = Script::from_bytes(input);
    script.events.truncate(MAX_EVENTS);
    World::talk(&script);
}

/// One talk for each thing that can happen.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let turn = [Send(0), Receive(1), Send(1), Receive(0)];
    let both = [Send(0), Send(1), Receive(0), Receive(1)];
    let late = [Send(0), Send(0), Send(0), Shuffle(1, 2), Receive(1), Receive(1)];
    let lossy = [Send(0), Drop(1, 0), Send(0), Damage(1, 0), Repeat(1, 0), Receive(1)];
    let again = [Begin(0), Send(0), Begin(1), Send(1), Receive(0), Receive(1)];
    let rolled_back = [Snapshot(1), Send(0), Receive(1), Restore(1), Send(1), Receive(0)];
    let archived = [Archive(0), Send(1), Receive(0), Send(0), Receive(1), Archive(1)];
    let talks: [&[Event]; 7] = [&turn, &both, &late, &lossy, &again, &rolled_back, &archived];
    let policies: [[SessionPolicy; 2]; 4] =
        [[TripleRatchet; 2], [Pqxdh; 2], [TripleRatchet, Pqxdh], [Pqxdh, TripleRatchet]];
    let mut seeds = Vec::new();
    for policies in policies {
        seeds.extend(talks.map(|talk| Script { policies, events: [&turn, talk, &turn].concat() }.to_bytes()));
        seeds.push(Script { policies, events: turn.repeat(16) }.to_bytes());
        seeds.push(Script { policies, events: talks.concat() }.to_bytes());
    }
    seeds
}
