//! Two parties, alone with SPQR: what others have recorded, and what chance brings.

#![allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

mod chance;
mod peers;
mod replay;

use bytes::Bytes;

use super::*;
use crate::form::written;
use crate::ratchet::skipped::{SkippedKey, SkippedKeyName, SkippedKeys};
use crate::ratchet::walk::Jump;
use crate::time::UnixSeconds;

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);

fn session() -> SessionId {
    SessionId::from_bytes(&[&[4][..], &[5; 33]].concat()).unwrap()
}

fn stored(spqr: &Spqr) -> Vec<u8> {
    match spqr {
        Spqr::Off => Vec::new(),
        Spqr::On(running) => written(|out| running.write(out)).to_vec(),
    }
}

/// One side with its state, and the skipped keys that it would store.
struct Side {
    spqr: Spqr,
    limits: Limits,
    skipped: SkippedKeys,
    must_be_keyed: bool,
}

impl Side {
    fn new(direction: Direction, negotiation: Negotiation) -> Self {
        Self {
            spqr: Spqr::new(direction, negotiation, &Secret::new([7; 32])),
            limits: limits(Limits::new(Jump::Limited)),
            skipped: SkippedKeys::default(),
            must_be_keyed: false,
        }
    }

    /// Continues with the state as it is read back, after checking that it is the same.
    fn store(&mut self, next: Spqr, skipped: Vec<SkippedChange>) {
        let bytes = stored(&next);
        self.spqr = Spqr::read(&bytes).unwrap();
        assert_eq!(stored(&self.spqr), bytes);
        for change in skipped {
            let (before, said) = (self.skipped.len(), format!("{change:?}"));
            self.skipped.apply(vec![change]);
            assert_ne!(self.skipped.len(), before, "{said} is work for nothing");
        }
        let kept: u32 = match &self.spqr {
            Spqr::Off => 0,
            Spqr::On(running) => running.chains.links.heads().map(|head| head.kept).sum(),
        };
        assert_eq!(self.skipped.len(), kept as usize, "the chains count the rows");
    }

    fn send(&mut self, rng: &mut impl CryptoRng) -> (Bytes, Option<[u8; 32]>) {
        let sent = self.spqr.send(session(), rng).unwrap();
        self.store(sent.next, sent.skipped);
        (sent.message.into(), sent.key.map(|key| *key.expose()))
    }

    fn receive(&mut self, message: &[u8]) -> Result<Option<[u8; 32]>, ReceiveError> {
        let received = self.try_receive(message)?;
        self.store(received.next, received.skipped.into_changes());
        Ok(received.key.map(|key| *key.expose()))
    }

    fn try_receive(&self, message: &[u8]) -> Result<Received, ReceiveError> {
        let name = SkippedKeyName::of_pq(message);
        let skipped: Vec<_> = name.into_iter().flat_map(|name| self.skipped.named(name)).collect();
        self.spqr.receive(message, &self.terms(&skipped), &mut Work::new(Jump::Limited))
    }

    fn terms<'a>(&self, skipped: &'a [SkippedKey]) -> Terms<'a> {
        let Self { limits, must_be_keyed, .. } = *self;
        Terms { session: session(), limits, skipped, now: NOW, must_be_keyed }
    }

    fn everything(&self) -> (Vec<u8>, Vec<u8>) {
        (stored(&self.spqr), self.skipped.to_bytes().to_vec())
    }

    fn state(&self) -> String {
        let Spqr::On(Running { braid, .. }) = &self.spqr else { return "V0".into() };
        let state = format!("{:?}", braid.state);
        state.split('(').next().unwrap().into()
    }
}
