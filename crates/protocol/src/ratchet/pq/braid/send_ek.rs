//! The owner of the KEM key: sends header and key, receives the ciphertext.
//!
//! Of the key pair, the seed is stored: 64 bytes instead of 2,400. The key pair is computed again at most twice.

use std::sync::Arc;

use rand_core::CryptoRng;

use super::super::authenticator::{Authenticator, Mac};
use super::super::chunks::{Chunk, Decoder, Encoder, Progress};
use super::{Agreed, BraidError, State};
use crate::primitives::mlkem::{Ct1, Ct2, KeyPair};
use crate::primitives::secret::{Secret, Shared};

/// The key is not generated yet.
#[derive(Debug, Clone)]
pub(crate) struct KeysUnsampled;

/// Sends the header.
#[derive(Debug, Clone)]
pub(crate) struct KeysSampled {
    pub(in super::super) seed: Shared<64>,
    /// The header and its MAC.
    pub(in super::super) header: Encoder<3>,
}

/// Sends the key, receives the first half.
#[derive(Debug, Clone)]
pub(crate) struct HeaderSent {
    pub(in super::super) seed: Shared<64>,
    pub(in super::super) ek: Encoder<36>,
    pub(in super::super) ct1: Decoder<30>,
}

/// Sends the key and the acknowledgement of the first half.
#[derive(Debug, Clone)]
pub(crate) struct Ct1Received {
    pub(in super::super) seed: Shared<64>,
    pub(in super::super) ek: Encoder<36>,
    pub(in super::super) ct1: Arc<Ct1>,
}

/// Receives the second half.
#[derive(Debug, Clone)]
pub(crate) struct EkSentCt1Received {
    pub(in super::super) seed: Shared<64>,
    pub(in super::super) ct1: Arc<Ct1>,
    /// The second half and the MAC of both.
    pub(in super::super) ct2: Decoder<5>,
}

pub(super) enum Ct2Progress {
    Partial(EkSentCt1Received),
    Complete(Ciphertext),
}

/// A ciphertext that is not authenticated yet.
pub(super) struct Ciphertext {
    seed: Shared<64>,
    ct1: Arc<Ct1>,
    ct2: Ct2,
    mac: Mac,
}

impl KeysUnsampled {
    pub(super) fn send<R: CryptoRng + ?Sized>(
        self,
        epoch: u64,
        authenticator: &Authenticator,
        rng: &mut R,
    ) -> (KeysSampled, Chunk) {
        let seed = Shared::copied(Secret::random(rng).expose());
        let header @ [rho, hash] = KeyPair::from_seed(seed.expose()).header();
        let mac = authenticator.header_mac(epoch, &header);
        KeysSampled { seed, header: Encoder::new(Arc::new([rho, hash, mac])) }.send()
    }
}

impl KeysSampled {
    pub(super) fn send(self) -> (Self, Chunk) {
        let (header, chunk) = self.header.send();
        (Self { header, ..self }, chunk)
    }

    /// Their answer shows that they have the header.
    pub(super) fn receive_ct1(self, chunk: Chunk) -> HeaderSent {
        let ek = KeyPair::from_seed(self.seed.expose()).ek_vector();
        HeaderSent { seed: self.seed, ek: Encoder::new(Arc::new(ek)), ct1: Decoder::begin(chunk) }
    }
}

impl HeaderSent {
    pub(super) fn send(self) -> (Self, Chunk) {
        let (ek, chunk) = self.ek.send();
        (Self { ek, ..self }, chunk)
    }

    pub(super) fn receive_ct1(self, chunk: Chunk) -> State {
        let Self { seed, ek, ct1 } = self;
        match ct1.receive(chunk) {
            Progress::Partial(ct1) => State::HeaderSent(Self { seed, ek, ct1 }),
            Progress::Complete(ct1) => State::Ct1Received(Ct1Received { seed, ek, ct1: Arc::new(ct1) }),
        }
    }
}

impl Ct1Received {
    pub(super) fn send(self) -> (Self, Chunk) {
        let (ek, chunk) = self.ek.send();
        (Self { ek, ..self }, chunk)
    }

    /// Their sending the second half shows that they have the key.
    pub(super) fn receive_ct2(self, chunk: Chunk) -> EkSentCt1Received {
        EkSentCt1Received { seed: self.seed, ct1: self.ct1, ct2: Decoder::begin(chunk) }
    }
}

impl EkSentCt1Received {
    pub(super) fn receive_ct2(self, chunk: Chunk) -> Ct2Progress {
        let Self { seed, ct1, ct2 } = self;
        match ct2.receive(chunk) {
            Progress::Partial(ct2) => Ct2Progress::Partial(Self { seed, ct1, ct2 }),
            Progress::Complete(rows) => {
                let [ct2 @ .., mac] = rows;
                Ct2Progress::Complete(Ciphertext { seed, ct1, ct2, mac })
            }
        }
    }
}

impl Ciphertext {
    /// The secret inside, which the MAC authenticates.
    pub(super) fn open(self, epoch: u64, authenticator: &Authenticator) -> Result<Agreed, BraidError> {
        let shared = KeyPair::from_seed(self.seed.expose()).decapsulate(&self.ct1, &self.ct2);
        let agreed = Agreed::new(epoch, &shared, authenticator);
        if agreed.authenticator.verifies_ciphertext(epoch, &self.ct1, &self.ct2, &self.mac) {
            Ok(agreed)
        } else {
            Err(BraidError::BadMac)
        }
    }
}
