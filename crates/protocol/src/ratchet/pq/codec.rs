//! The stored form of SPQR, which sits inside that of its session.
//!
//! It holds what cannot be made again: seeds instead of the keys that they give. An SPQR that is off is stored as
//! nothing at all.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use super::authenticator::Authenticator;
use super::braid::{
    Begun, Braid, Ct1Acknowledged, Ct1Received, Ct1Sampled, Ct2Sampled, EkReceivedCt1Sampled,
    EkSentCt1Received, HeaderReceived, HeaderSent, KeysSampled, KeysUnsampled, NoHeaderReceived, State,
};
use super::chain::{Chains, Direction, Link, Receiving, Sending};
use super::chunks::{Chunk, Decoder, Encoder, Row};
use super::{Negotiation, Running, Spqr};
use crate::error::DecodeError;
use crate::guarded::{self, guarded};
use crate::primitives::mlkem::Header;
use crate::primitives::secret::Secret;

/// The version of the form that is written. Older ones are read for ever.
const FORM: u32 = 1;

impl Spqr {
    /// The stored form, in a buffer that is wiped.
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Off => Bytes::new(),
            Self::On(running) => guarded::wiped(form_of(running).encode_to_vec()),
        }
    }

    /// From [`to_bytes`](Self::to_bytes), in a buffer that is wiped.
    pub(crate) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Ok(Self::Off);
        }
        let form = Form::decode(bytes).map_err(|_| DecodeError::Malformed)?;
        match form.form {
            0 => Err(DecodeError::VersionTooOld),
            FORM => running_of(&form).map(Self::On),
            _ => Err(DecodeError::UnknownVersion),
        }
    }
}

fn form_of(running: &Running) -> Form {
    let Running { negotiation, chains, braid } = running;
    let Chains { direction, root, epoch, sending, receiving } = chains;
    let (auth_root, mac_key) = braid.authenticator.expose();
    let roots = [root.expose(), auth_root, mac_key];
    let links = sending.iter().map(|chain| &chain.link).chain(receiving.iter().map(|chain| &chain.link));
    let mut copies = guarded::copies(roots.into_iter().chain(links.map(|link| link.key.expose())));
    let mut next = || copies.next().unwrap_or_default();
    let [chain_root, auth_root, mac_key] = roots.map(|_| next());
    let mut link_form = |epoch, link: &Link, kept| LinkForm { epoch, index: link.index, key: next(), kept };
    let sending = sending.iter().map(|Sending { epoch, link }| link_form(*epoch, link, 0)).collect();
    let receiving =
        receiving.iter().map(|Receiving { epoch, link, kept }| link_form(*epoch, link, *kept)).collect();
    Form {
        form: FORM,
        negotiation: match negotiation {
            Negotiation::Offered => 1,
            Negotiation::Outpaced => 2,
            Negotiation::Required => 3,
            Negotiation::Agreed => 4,
        },
        responder: *direction == Direction::Responder,
        chain_epoch: *epoch,
        chain_root,
        sending,
        receiving,
        braid_epoch: braid.epoch,
        auth_root,
        mac_key,
        state: Some(state_form(&braid.state)),
    }
}

fn running_of(form: &Form) -> Result<Running, DecodeError> {
    let negotiation = match form.negotiation {
        1 => Negotiation::Offered,
        2 => Negotiation::Outpaced,
        3 => Negotiation::Required,
        4 => Negotiation::Agreed,
        _ => return Err(DecodeError::Malformed),
    };
    let direction = if form.responder { Direction::Responder } else { Direction::Initiator };
    let sending = form.sending.iter().map(|form| Ok(Sending { epoch: form.epoch, link: link_of(form)? }));
    let receiving = form
        .receiving
        .iter()
        .map(|form| Ok(Receiving { epoch: form.epoch, link: link_of(form)?, kept: form.kept }));
    let chains = Chains {
        direction,
        root: secret(&form.chain_root)?,
        epoch: form.chain_epoch,
        sending: sending.collect::<Result<_, DecodeError>>()?,
        receiving: receiving.collect::<Result<_, DecodeError>>()?,
    };
    let auth_root = Secret::from_slice(&form.auth_root).ok_or(DecodeError::Length)?;
    let mac_key = Secret::from_slice(&form.mac_key).ok_or(DecodeError::Length)?;
    let braid = Braid {
        epoch: form.braid_epoch,
        authenticator: Arc::new(Authenticator::from_parts(auth_root, mac_key)),
        state: state_of(form.state.as_ref().ok_or(DecodeError::MissingField)?)?,
    };
    Ok(Running { negotiation, chains, braid })
}

fn link_of(form: &LinkForm) -> Result<Arc<Link>, DecodeError> {
    let key = Secret::from_slice(&form.key).ok_or(DecodeError::Length)?;
    Ok(Arc::new(Link { index: form.index, key }))
}

/// In the order of the diagram, from 1: what the owner of the key goes through, then what the encapsulator does.
fn state_form(state: &State) -> StateForm {
    match state {
        State::KeysUnsampled(KeysUnsampled) => StateForm::of(1),
        State::KeysSampled(KeysSampled { seed, header }) => StateForm::of(2).secret(seed).sending(header),
        State::HeaderSent(HeaderSent { seed, ek, ct1 }) => {
            StateForm::of(3).secret(seed).sending(ek).partial(ct1)
        }
        State::Ct1Received(Ct1Received { seed, ek, ct1 }) => {
            StateForm::of(4).secret(seed).sending(ek).complete(&**ct1)
        }
        State::EkSentCt1Received(EkSentCt1Received { seed, ct1, ct2 }) => {
            StateForm::of(5).secret(seed).complete(&**ct1).partial(ct2)
        }
        State::NoHeaderReceived(NoHeaderReceived { header }) => StateForm::of(6).partial(header),
        State::HeaderReceived(HeaderReceived { header }) => StateForm::of(7).header(header),
        State::Ct1Sampled(Ct1Sampled { begun: Begun { header, m }, ct1, ek }) => {
            StateForm::of(8).secret(m).header(header).sending(ct1).partial(ek)
        }
        State::EkReceivedCt1Sampled(EkReceivedCt1Sampled { begun: Begun { header, m }, ct1, ek }) => {
            StateForm::of(9).secret(m).header(header).sending(ct1).complete(&**ek)
        }
        State::Ct1Acknowledged(Ct1Acknowledged { begun: Begun { header, m }, ek }) => {
            StateForm::of(10).secret(m).header(header).partial(ek)
        }
        State::Ct2Sampled(Ct2Sampled { ct2 }) => StateForm::of(11).sending(ct2),
    }
}

fn state_of(form: &StateForm) -> Result<State, DecodeError> {
    Ok(match form.kind {
        1 => State::KeysUnsampled(KeysUnsampled),
        2 => State::KeysSampled(KeysSampled { seed: secret(&form.secret)?, header: encoder(form)? }),
        3 => State::HeaderSent(HeaderSent {
            seed: secret(&form.secret)?,
            ek: encoder(form)?,
            ct1: unpack(&form.partial)?,
        }),
        4 => State::Ct1Received(Ct1Received {
            seed: secret(&form.secret)?,
            ek: encoder(form)?,
            ct1: rows(&form.complete)?,
        }),
        5 => State::EkSentCt1Received(EkSentCt1Received {
            seed: secret(&form.secret)?,
            ct1: rows(&form.complete)?,
            ct2: unpack(&form.partial)?,
        }),
        6 => State::NoHeaderReceived(NoHeaderReceived { header: unpack(&form.partial)? }),
        7 => State::HeaderReceived(HeaderReceived { header: rows(&form.header)? }),
        8 => State::Ct1Sampled(Ct1Sampled {
            begun: begun(form)?,
            ct1: encoder(form)?,
            ek: unpack(&form.partial)?,
        }),
        9 => State::EkReceivedCt1Sampled(EkReceivedCt1Sampled {
            begun: begun(form)?,
            ct1: encoder(form)?,
            ek: rows(&form.complete)?,
        }),
        10 => State::Ct1Acknowledged(Ct1Acknowledged { begun: begun(form)?, ek: unpack(&form.partial)? }),
        11 => State::Ct2Sampled(Ct2Sampled { ct2: encoder(form)? }),
        _ => return Err(DecodeError::Malformed),
    })
}

fn begun(form: &StateForm) -> Result<Begun, DecodeError> {
    Ok(Begun { header: rows(&form.header)?, m: secret(&form.secret)? })
}

fn encoder<const K: usize>(form: &StateForm) -> Result<Encoder<K>, DecodeError> {
    let next = form.next.try_into().map_err(|_| DecodeError::Malformed)?;
    Ok(Encoder::at(rows(&form.sending)?, next))
}

fn rows<const K: usize>(bytes: &[u8]) -> Result<Arc<[Row; K]>, DecodeError> {
    let (rows, rest) = bytes.as_chunks();
    let rows = rows.try_into().map_err(|_| DecodeError::Length)?;
    if rest.is_empty() { Ok(Arc::new(rows)) } else { Err(DecodeError::Length) }
}

fn secret<const N: usize>(bytes: &[u8]) -> Result<Arc<Secret<N>>, DecodeError> {
    Secret::from_slice(bytes).map(Arc::new).ok_or(DecodeError::Length)
}

fn unpack<const K: usize>(bytes: &[u8]) -> Result<Decoder<K>, DecodeError> {
    let (packed, rest) = bytes.as_chunks::<PACKED_LEN>();
    if !rest.is_empty() {
        return Err(DecodeError::Length);
    }
    let chunks = packed.iter().filter_map(|packed| {
        let (index, row) = packed.split_first_chunk()?;
        Some(Chunk { index: u16::from_be_bytes(*index), row: row.try_into().ok()? })
    });
    Decoder::holding(chunks.collect()).ok_or(DecodeError::Malformed)
}

/// A chunk behind its index in big-endian.
const PACKED_LEN: usize = size_of::<u16>() + size_of::<Row>();

/// Field numbers are never reused. Fields with secrets are shares of buffers that are wiped: when reading, of one copy of the
/// stored bytes.
#[derive(prost::Message)]
#[prost(skip_debug)]
struct Form {
    #[prost(uint32, tag = "1")]
    form: u32,
    #[prost(uint32, tag = "2")]
    negotiation: u32,
    #[prost(bool, tag = "3")]
    responder: bool,
    #[prost(uint64, tag = "4")]
    chain_epoch: u64,
    #[prost(bytes = "bytes", tag = "5")]
    chain_root: Bytes,
    #[prost(message, repeated, tag = "6")]
    sending: Vec<LinkForm>,
    #[prost(message, repeated, tag = "7")]
    receiving: Vec<LinkForm>,
    #[prost(uint64, tag = "8")]
    braid_epoch: u64,
    #[prost(bytes = "bytes", tag = "9")]
    auth_root: Bytes,
    #[prost(bytes = "bytes", tag = "10")]
    mac_key: Bytes,
    #[prost(message, optional, tag = "11")]
    state: Option<StateForm>,
}

#[derive(prost::Message)]
#[prost(skip_debug)]
struct LinkForm {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(uint32, tag = "2")]
    index: u32,
    #[prost(bytes = "bytes", tag = "3")]
    key: Bytes,
    #[prost(uint32, tag = "4")]
    kept: u32,
}

/// Every state is a choice of these.
#[derive(prost::Message)]
#[prost(skip_debug)]
struct StateForm {
    /// Which state.
    #[prost(uint32, tag = "1")]
    kind: u32,
    /// The seed of our key pair, or the message of our encapsulation.
    #[prost(bytes = "bytes", tag = "2")]
    secret: Bytes,
    /// Their header.
    #[prost(bytes = "bytes", tag = "3")]
    header: Bytes,
    /// What we send, and the number of its next chunk.
    #[prost(bytes = "bytes", tag = "4")]
    sending: Bytes,
    #[prost(uint32, tag = "5")]
    next: u32,
    /// What we have of what they send.
    #[prost(bytes = "bytes", tag = "6")]
    partial: Bytes,
    /// What they have sent.
    #[prost(bytes = "bytes", tag = "7")]
    complete: Bytes,
}

impl StateForm {
    fn of(kind: u32) -> Self {
        let (secret, header, sending, partial, complete) = Default::default();
        Self { kind, secret, header, sending, next: 0, partial, complete }
    }

    fn secret<const N: usize>(mut self, secret: &Secret<N>) -> Self {
        self.secret = guarded::wiped(secret.expose().to_vec());
        self
    }

    fn header(mut self, header: &Header) -> Self {
        self.header = header.as_flattened().to_vec().into();
        self
    }

    fn sending<const K: usize>(mut self, encoder: &Encoder<K>) -> Self {
        self.sending = encoder.rows().as_flattened().to_vec().into();
        self.next = encoder.next_index().into();
        self
    }

    fn partial<const K: usize>(mut self, decoder: &Decoder<K>) -> Self {
        let chunks = decoder.chunks().iter();
        let mut packed = Vec::with_capacity(chunks.len().saturating_mul(PACKED_LEN));
        for Chunk { index, row } in chunks {
            packed.extend_from_slice(&index.to_be_bytes());
            packed.extend_from_slice(row);
        }
        self.partial = packed.into();
        self
    }

    fn complete(mut self, rows: &[Row]) -> Self {
        self.complete = rows.as_flattened().to_vec().into();
        self
    }
}

guarded! {
    Form: ;
    LinkForm: ;
    StateForm: ;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guarded;

    #[test]
    fn a_form_of_another_version_is_not_read() {
        let auth_key = Secret::new([7; 32]);
        let Spqr::On(running) = Spqr::new(Direction::Initiator, Negotiation::Required, &auth_key) else {
            panic!("a new one is on")
        };
        let read = |version| {
            let mut form = form_of(&running);
            form.form = version;
            Spqr::from_bytes(guarded::shared(&form.encode_to_vec())).err()
        };
        assert_eq!(read(FORM), None);
        assert_eq!(read(0), Some(DecodeError::VersionTooOld));
        assert_eq!(read(FORM + 1), Some(DecodeError::UnknownVersion));
    }
}
