//! The stored form of SPQR, which is nested in that of its session.
//!
//! It contains only what cannot be derived: seeds instead of the keys that are generated from them. If SPQR is off,
//! the form is empty.
//!
//! ```text
//! SPQR     1 form   2 negotiation   3 responder   4 epoch of the chains   5 their root   6 sending   7 receiving
//!          8 epoch of the braid   9 root of the authenticator   10 its MAC key   11 state of the braid
//! chain    1 epoch   2 index   3 key   4 kept, for a receiving chain
//! state    1 which state   then some of the fields below
//! ```
//!
//! The number of a removed field is never reused. Fields are read in the order of their numbers; any other order is
//! malformed.

use std::sync::Arc;

use super::authenticator::Authenticator;
use super::braid::{
    Begun, Braid, Ct1Acknowledged, Ct1Received, Ct1Sampled, Ct2Sampled, EkReceivedCt1Sampled,
    EkSentCt1Received, HeaderReceived, HeaderSent, KeysSampled, KeysUnsampled, NoHeaderReceived, State,
};
use super::chain::{Chains, Direction, LinkHead, Links, MAX_EPOCHS, Side};
use super::chunks::{Chunk, Decoder, Encoder, Row};
use super::{Negotiation, Running, Spqr};
use crate::error::DecodeError;
use crate::form::{Ordered, Output, bytes_len, uint_len};
use crate::primitives::mlkem::Header;
use crate::primitives::secret::Shared;

/// The version of the form that is written. Older versions can always be read.
const FORM: u32 = 1;

/// Which state.
const KIND: u32 = 1;
/// The seed of our key pair, or the message of our encapsulation.
const SECRET: u32 = 2;
/// The header of the peer's key.
const HEADER: u32 = 3;
/// The object that we are sending, and the number of its next chunk.
const SENDING: u32 = 4;
const NEXT: u32 = 5;
/// The chunks that have arrived of the object that the peer is sending, each after its index in big-endian.
const PARTIAL: u32 = 6;
/// The object that the peer has sent completely.
const COMPLETE: u32 = 7;

/// The maximum size of SPQR without its chains and the state of its braid: three numbers of one byte, two epochs, three
/// keys, and the key and length of the state.
const ROOM: usize = 3 * 2 + 2 * 11 + 3 * 34 + 4;
/// The maximum size of a chain.
const LINK_ROOM: usize = 2 + 11 + 6 + 34 + 6;

impl Spqr {
    /// Reads what [`Running::write`] wrote. The empty form is [`Off`](Self::Off).
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() { Ok(Self::Off) } else { Running::read(bytes).map(Self::On) }
    }
}

impl Running {
    /// At least as many bytes as [`write`](Self::write) writes.
    pub(crate) fn room(&self) -> usize {
        let chains = self.chains.links.len().saturating_mul(LINK_ROOM);
        let state = StateForm::of(&self.braid.state).len();
        ROOM.saturating_add(chains).saturating_add(state)
    }

    pub(crate) fn write(&self, out: &mut Output) {
        let Self { negotiation, chains, braid: Braid { epoch: braid_epoch, authenticator, state } } = self;
        let Chains { direction, epoch, links } = chains;
        let (auth_root, mac_key) = authenticator.expose();
        let negotiation = match negotiation {
            Negotiation::Offered => 1_u32,
            Negotiation::Outpaced => 2,
            Negotiation::Required => 3,
            Negotiation::Agreed => 4,
            Negotiation::Keyed => 5,
        };
        out.uint(1, FORM);
        out.uint(2, negotiation);
        out.uint(3, *direction == Direction::Responder);
        out.uint(4, *epoch);
        out.bytes(5, chains.root());
        for link in links.iter() {
            let number = match link.0.side {
                Side::Ours => 6,
                Side::Theirs => 7,
            };
            out.message(number, |out| write_link(link, out));
        }
        out.uint(8, *braid_epoch);
        out.bytes(9, auth_root);
        out.bytes(10, mac_key);
        let state = StateForm::of(state);
        out.sized(11, state.len(), |out| state.write(out));
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut form = Ordered::new(bytes);
        match form.uint32(1)? {
            0 => return Err(DecodeError::VersionTooOld),
            FORM => {}
            _ => return Err(DecodeError::UnknownVersion),
        }
        let negotiation = match form.uint32(2)? {
            1 => Negotiation::Offered,
            2 => Negotiation::Outpaced,
            3 => Negotiation::Required,
            4 => Negotiation::Agreed,
            5 => Negotiation::Keyed,
            _ => return Err(DecodeError::Malformed),
        };
        let direction = if form.bool(3)? { Direction::Responder } else { Direction::Initiator };
        let chains = Chains {
            direction,
            epoch: form.uint64(4)?,
            links: {
                let root = key(form.bytes(5)?)?;
                Links::read([root], form.two_lists([6, 7], MAX_EPOCHS), LinkHead::BLANK, read_link)?
            },
        };
        let epoch = form.uint64(8)?;
        let (auth_root, mac_key) = (key(form.bytes(9)?)?, key(form.bytes(10)?)?);
        let authenticator = Authenticator::from_parts(auth_root, mac_key);
        let state = read_state(form.optional_bytes(11)?.ok_or(DecodeError::MissingField)?)?;
        form.finish()?;
        Ok(Self { negotiation, chains, braid: Braid { epoch, authenticator, state } })
    }
}

fn write_link((LinkHead { side: _, epoch, index, kept }, key): (LinkHead, &[u8; 32]), out: &mut Output) {
    out.uint(1, epoch);
    out.uint(2, index);
    out.bytes(3, key);
    out.uint(4, kept);
}

#[inline(always)]
fn read_link(
    (is_second, row): (bool, &[u8]),
    head: &mut LinkHead,
    link_key: &mut [u8; 32],
) -> Result<(), DecodeError> {
    let mut form = Ordered::new(row);
    head.side = if is_second { Side::Theirs } else { Side::Ours };
    head.epoch = form.uint64(1)?;
    head.index = form.uint32(2)?;
    *link_key = *key(form.bytes(3)?)?;
    head.kept = form.uint32(4)?;
    form.finish()
}

/// The fields of a state. Each state uses some of them.
#[derive(Default)]
struct StateForm<'a> {
    kind: u32,
    secret: &'a [u8],
    header: &'a [u8],
    sending: &'a [u8],
    next: u16,
    partial: &'a [Chunk],
    complete: &'a [u8],
}

impl<'a> StateForm<'a> {
    /// The states are numbered in the order of the diagram, from 1: first those of the owner of the key, then those of
    /// the encapsulator.
    fn of(state: &'a State) -> Self {
        match state {
            State::KeysUnsampled(KeysUnsampled) => Self::kind(1),
            State::KeysSampled(KeysSampled { seed, header }) => Self::kind(2).secret(seed).sending(header),
            State::HeaderSent(HeaderSent { seed, ek, ct1 }) => {
                Self::kind(3).secret(seed).sending(ek).partial(ct1)
            }
            State::Ct1Received(Ct1Received { seed, ek, ct1 }) => {
                Self::kind(4).secret(seed).sending(ek).complete(&**ct1)
            }
            State::EkSentCt1Received(EkSentCt1Received { seed, ct1, ct2 }) => {
                Self::kind(5).secret(seed).complete(&**ct1).partial(ct2)
            }
            State::NoHeaderReceived(NoHeaderReceived { header }) => Self::kind(6).partial(header),
            State::HeaderReceived(HeaderReceived { header }) => Self::kind(7).header(header),
            State::Ct1Sampled(Ct1Sampled { begun: Begun { header, m }, ct1, ek }) => {
                Self::kind(8).secret(m).header(header).sending(ct1).partial(ek)
            }
            State::EkReceivedCt1Sampled(EkReceivedCt1Sampled { begun: Begun { header, m }, ct1, ek }) => {
                Self::kind(9).secret(m).header(header).sending(ct1).complete(&**ek)
            }
            State::Ct1Acknowledged(Ct1Acknowledged { begun: Begun { header, m }, ek }) => {
                Self::kind(10).secret(m).header(header).partial(ek)
            }
            State::Ct2Sampled(Ct2Sampled { ct2 }) => Self::kind(11).sending(ct2),
        }
    }

    fn kind(kind: u32) -> Self {
        Self { kind, ..Self::default() }
    }

    fn secret<const N: usize>(self, secret: &'a Shared<N>) -> Self {
        Self { secret: secret.expose(), ..self }
    }

    fn header(self, header: &'a Header) -> Self {
        Self { header: header.as_flattened(), ..self }
    }

    fn sending<const K: usize>(self, encoder: &'a Encoder<K>) -> Self {
        Self { sending: encoder.rows().as_flattened(), next: encoder.next_index(), ..self }
    }

    fn partial<const K: usize>(self, decoder: &'a Decoder<K>) -> Self {
        Self { partial: decoder.chunks(), ..self }
    }

    fn complete(self, rows: &'a [Row]) -> Self {
        Self { complete: rows.as_flattened(), ..self }
    }

    /// How many bytes [`write`](Self::write) writes.
    fn len(&self) -> usize {
        let Self { kind, secret, header, sending, next, partial: _, complete } = self;
        let fields = [secret.len(), header.len(), sending.len(), self.partial_len(), complete.len()];
        let fields = fields.into_iter().map(bytes_len).fold(0, usize::saturating_add);
        [uint_len(*kind), uint_len(*next), fields].into_iter().fold(0, usize::saturating_add)
    }

    fn partial_len(&self) -> usize {
        self.partial.len().saturating_mul(PACKED_LEN)
    }

    fn write(self, out: &mut Output) {
        let partial_len = self.partial_len();
        let Self { kind, secret, header, sending, next, partial, complete } = self;
        out.uint(KIND, kind);
        out.bytes(SECRET, secret);
        out.bytes(HEADER, header);
        out.bytes(SENDING, sending);
        out.uint(NEXT, next);
        if !partial.is_empty() {
            out.sized(PARTIAL, partial_len, |out| partial.iter().for_each(|chunk| chunk.write(out)));
        }
        out.bytes(COMPLETE, complete);
    }
}

impl Chunk {
    fn write(&self, out: &mut Output) {
        let Self { index, row } = self;
        let [high, low] = index.to_be_bytes();
        let mut packed = [low; PACKED_LEN];
        let [first, _, place @ ..] = &mut packed;
        (*first, *place) = (high, *row);
        out.raw(&packed);
    }
}

fn read_state(bytes: &[u8]) -> Result<State, DecodeError> {
    let mut form = Ordered::new(bytes);
    let state = state_of(&mut form)?;
    form.finish()?;
    Ok(state)
}

/// The fields of each state are read in the order of their numbers.
fn state_of(form: &mut Ordered<'_>) -> Result<State, DecodeError> {
    Ok(match form.uint32(KIND)? {
        1 => State::KeysUnsampled(KeysUnsampled),
        2 => State::KeysSampled(KeysSampled { seed: secret(form.bytes(SECRET)?)?, header: encoder(form)? }),
        3 => State::HeaderSent(HeaderSent {
            seed: secret(form.bytes(SECRET)?)?,
            ek: encoder(form)?,
            ct1: unpack(form.bytes(PARTIAL)?)?,
        }),
        4 => State::Ct1Received(Ct1Received {
            seed: secret(form.bytes(SECRET)?)?,
            ek: encoder(form)?,
            ct1: rows(form.bytes(COMPLETE)?)?,
        }),
        5 => State::EkSentCt1Received(EkSentCt1Received {
            seed: secret(form.bytes(SECRET)?)?,
            ct2: unpack(form.bytes(PARTIAL)?)?,
            ct1: rows(form.bytes(COMPLETE)?)?,
        }),
        6 => State::NoHeaderReceived(NoHeaderReceived { header: unpack(form.bytes(PARTIAL)?)? }),
        7 => State::HeaderReceived(HeaderReceived { header: rows(form.bytes(HEADER)?)? }),
        8 => State::Ct1Sampled(Ct1Sampled {
            begun: begun(form)?,
            ct1: encoder(form)?,
            ek: unpack(form.bytes(PARTIAL)?)?,
        }),
        9 => State::EkReceivedCt1Sampled(EkReceivedCt1Sampled {
            begun: begun(form)?,
            ct1: encoder(form)?,
            ek: rows(form.bytes(COMPLETE)?)?,
        }),
        10 => {
            State::Ct1Acknowledged(Ct1Acknowledged { begun: begun(form)?, ek: unpack(form.bytes(PARTIAL)?)? })
        }
        11 => State::Ct2Sampled(Ct2Sampled { ct2: encoder(form)? }),
        _ => return Err(DecodeError::Malformed),
    })
}

fn begun(form: &mut Ordered<'_>) -> Result<Begun, DecodeError> {
    Ok(Begun { m: secret(form.bytes(SECRET)?)?, header: rows(form.bytes(HEADER)?)? })
}

fn encoder<const K: usize>(form: &mut Ordered<'_>) -> Result<Encoder<K>, DecodeError> {
    let rows = rows(form.bytes(SENDING)?)?;
    let next = form.uint32(NEXT)?.try_into().map_err(|_| DecodeError::Malformed)?;
    Ok(Encoder::at(rows, next))
}

fn rows<const K: usize>(bytes: &[u8]) -> Result<Arc<[Row; K]>, DecodeError> {
    let (rows, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(DecodeError::Length);
    }
    // Copied once, directly to the heap.
    Arc::<[Row]>::from(rows).try_into().map_err(|_| DecodeError::Length)
}

fn secret<const N: usize>(bytes: &[u8]) -> Result<Shared<N>, DecodeError> {
    bytes.try_into().map(Shared::copied).map_err(|_| DecodeError::Length)
}

fn key(bytes: &[u8]) -> Result<&[u8; 32], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::Length)
}

fn unpack<const K: usize>(bytes: &[u8]) -> Result<Decoder<K>, DecodeError> {
    let (packed, rest) = bytes.as_chunks::<PACKED_LEN>();
    if !rest.is_empty() {
        return Err(DecodeError::Length);
    }
    if packed.len() >= K {
        return Err(DecodeError::Malformed);
    }
    let chunks = packed
        .iter()
        .map(|[high, low, row @ ..]| Chunk { index: u16::from_be_bytes([*high, *low]), row: *row });
    let chunks = chunks.collect();
    Decoder::holding(chunks).ok_or(DecodeError::Malformed)
}

/// The size of a chunk and its index in big-endian.
const PACKED_LEN: usize = size_of::<u16>() + size_of::<Row>();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::written;
    use crate::primitives::secret::Secret;

    #[test]
    fn other_versions_of_the_form_are_refused() {
        let auth_key = Secret::new([7; 32]);
        let spqr = Spqr::new(Direction::Initiator, Negotiation::Required, &auth_key);
        let Spqr::On(running) = &spqr else { panic!("a new state uses SPQR") };
        let mut stored = written(|out| running.write(out)).to_vec();
        assert_eq!(stored[..2], [0x08, 1]);
        let mut read = |version| {
            stored[1] = u8::try_from(version).unwrap();
            Spqr::read(&stored).err()
        };
        assert_eq!(read(FORM), None);
        assert_eq!(read(0), Some(DecodeError::VersionTooOld));
        assert_eq!(read(FORM + 1), Some(DecodeError::UnknownVersion));
    }
}
