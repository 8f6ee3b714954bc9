//! The encapsulator: receives header and key, sends the ciphertext.
//!
//! Of an encapsulation, the header and the message are stored: 96 bytes instead of 2,080, whose encoding is an
//! internal detail of a library. The encapsulation is computed again once.

use std::sync::Arc;

use rand_core::CryptoRng;

use super::super::authenticator::Authenticator;
use super::super::chunks::{Chunk, Decoder, Encoder, Progress};
use super::{Agreed, BraidError, State};
use crate::primitives::mlkem::{EkVector, Encapsulation, Header, VerifiedEk, WrongKey};
use crate::primitives::secret::{Secret, Shared};

/// Receives the header.
#[derive(Debug, Clone)]
pub(crate) struct NoHeaderReceived {
    /// The header and its MAC.
    pub(in super::super) header: Decoder<3>,
}

/// Has the header, and has not sent anything since.
#[derive(Debug, Clone)]
pub(crate) struct HeaderReceived {
    pub(in super::super) header: Arc<Header>,
}

/// Sends the first half, receives the key.
#[derive(Debug, Clone)]
pub(crate) struct Ct1Sampled {
    pub(in super::super) begun: Begun,
    pub(in super::super) ct1: Encoder<30>,
    pub(in super::super) ek: Decoder<36>,
}

/// Sends the first half, and has the key.
#[derive(Debug, Clone)]
pub(crate) struct EkReceivedCt1Sampled {
    pub(in super::super) begun: Begun,
    pub(in super::super) ct1: Encoder<30>,
    pub(in super::super) ek: Arc<EkVector>,
}

/// Receives the key. The peer has the first half.
#[derive(Debug, Clone)]
pub(crate) struct Ct1Acknowledged {
    pub(in super::super) begun: Begun,
    pub(in super::super) ek: Decoder<36>,
}

/// Sends the second half.
#[derive(Debug, Clone)]
pub(crate) struct Ct2Sampled {
    /// The second half and the MAC of both.
    pub(in super::super) ct2: Encoder<5>,
}

/// An encapsulation whose second half is still to be computed.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(in super::super) header: Arc<Header>,
    /// The message that is encapsulated.
    pub(in super::super) m: Shared<32>,
}

impl NoHeaderReceived {
    pub(super) fn new() -> Self {
        Self { header: Decoder::empty() }
    }

    pub(super) fn receive_header(
        self,
        epoch: u64,
        authenticator: &Authenticator,
        chunk: Chunk,
    ) -> Result<State, BraidError> {
        match self.header.receive(chunk) {
            Progress::Partial(header) => Ok(State::NoHeaderReceived(Self { header })),
            Progress::Complete(rows) => {
                let [rho, hash, mac] = rows;
                let header = [rho, hash];
                if !authenticator.verifies_header(epoch, &header, &mac) {
                    return Err(BraidError::BadMac);
                }
                Ok(State::HeaderReceived(HeaderReceived { header: Arc::new(header) }))
            }
        }
    }
}

impl HeaderReceived {
    /// Encapsulates: the secret is known here before the first byte is sent.
    pub(super) fn send<R: CryptoRng + ?Sized>(
        self,
        epoch: u64,
        authenticator: &Authenticator,
        rng: &mut R,
    ) -> (Ct1Sampled, Chunk, Agreed) {
        let begun = Begun { header: self.header, m: Shared::copied(Secret::random(rng).expose()) };
        let (_, ct1, shared) = Encapsulation::begin(&begun.header, begun.m.expose());
        let agreed = Agreed::new(epoch, &shared, authenticator);
        let state = Ct1Sampled { begun, ct1: Encoder::new(Arc::new(ct1)), ek: Decoder::empty() };
        let (state, chunk) = state.send();
        (state, chunk, agreed)
    }
}

impl Ct1Sampled {
    pub(super) fn send(self) -> (Self, Chunk) {
        let (ct1, chunk) = self.ct1.send();
        (Self { ct1, ..self }, chunk)
    }

    pub(super) fn receive_ek(self, chunk: Chunk) -> Result<State, BraidError> {
        let Self { begun, ct1, ek } = self;
        Ok(match ek.receive(chunk) {
            Progress::Partial(ek) => State::Ct1Sampled(Self { begun, ct1, ek }),
            Progress::Complete(ek) => {
                VerifiedEk::check(&begun.header, &ek)?;
                State::EkReceivedCt1Sampled(EkReceivedCt1Sampled { begun, ct1, ek: Arc::new(ek) })
            }
        })
    }

    /// A chunk of the key, with the acknowledgement that the peer has the first half.
    pub(super) fn receive_ek_and_ack(
        self,
        epoch: u64,
        authenticator: &Authenticator,
        chunk: Chunk,
    ) -> Result<State, BraidError> {
        Ct1Acknowledged { begun: self.begun, ek: self.ek }.receive_ek(epoch, authenticator, chunk)
    }
}

impl EkReceivedCt1Sampled {
    pub(super) fn send(self) -> (Self, Chunk) {
        let (ct1, chunk) = self.ct1.send();
        (Self { ct1, ..self }, chunk)
    }

    /// The peer has the first half.
    pub(super) fn receive_ack(
        self,
        epoch: u64,
        authenticator: &Authenticator,
    ) -> Result<Ct2Sampled, BraidError> {
        self.begun.finish(&self.ek, epoch, authenticator)
    }
}

impl Ct1Acknowledged {
    pub(super) fn receive_ek(
        self,
        epoch: u64,
        authenticator: &Authenticator,
        chunk: Chunk,
    ) -> Result<State, BraidError> {
        let Self { begun, ek } = self;
        Ok(match ek.receive(chunk) {
            Progress::Partial(ek) => State::Ct1Acknowledged(Self { begun, ek }),
            Progress::Complete(ek) => State::Ct2Sampled(begun.finish(&ek, epoch, authenticator)?),
        })
    }
}

impl Ct2Sampled {
    pub(super) fn send(self) -> (Self, Chunk) {
        let (ct2, chunk) = self.ct2.send();
        (Self { ct2 }, chunk)
    }
}

impl Begun {
    /// Computes the second half, for the key that the header announced. `authenticator` is the one after this epoch's
    /// secret.
    fn finish(
        self,
        ek: &EkVector,
        epoch: u64,
        authenticator: &Authenticator,
    ) -> Result<Ct2Sampled, BraidError> {
        let ek = VerifiedEk::check(&self.header, ek)?;
        let (encapsulation, ct1, _) = Encapsulation::begin(&self.header, self.m.expose());
        let ct2 = encapsulation.finish(&ek);
        let mac = authenticator.ciphertext_mac(epoch, &ct1, &ct2);
        let [a, b, c, d] = ct2;
        Ok(Ct2Sampled { ct2: Encoder::new(Arc::new([a, b, c, d, mac])) })
    }
}

impl From<WrongKey> for BraidError {
    fn from(WrongKey: WrongKey) -> Self {
        Self::BadKey
    }
}
