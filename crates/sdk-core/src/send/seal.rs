//! Station 7, Seal: produces one ciphertext for each device. It does no I/O, but advances the sessions that it is
//! given: the caller stores them together with the bytes, or drops both.

use bytes::Bytes;
use prost::Message as _;
use rand::rngs::StdRng;
use sealpost_protocol::{
    Address, Advanced, Ciphertext, EncryptError, LocalDevice, SessionRecord, SharedPartKey, SkippedChange,
    UnixSeconds,
};
use sealpost_wire as wire;
use sealpost_wire::id::ToWire as _;
use zeroize::Zeroizing;

use super::plan::{Recipients, ToMeet};
use crate::account::registration::{address, local_device};
use crate::content::{Content, Header, MAX_PLAINTEXT, SHARED_FROM, SharedContent, before_shared};
use crate::error::{Error, Result};
use crate::id::{ClientMsgId, UserId};
use crate::store::{Account, Device, PeerSessions, Registered, Rows, Thread};

/// Without the space for what the frame adds around a `Send`.
pub(super) const MAX_SEND: usize = wire::limits::MAX_FRAME - 64;

/// The copy for a device that is skipped: not a message.
const OPENS_NOWHERE: Bytes = Bytes::from_static(&[0]);

/// The result of sealing.
pub(super) enum Sealing {
    /// The bytes of the `Send` or `Mail`, and for each recipient the changes to the skipped keys.
    Sealed { send: Bytes, skipped: Vec<Vec<SkippedChange>> },
    /// It is larger than contents may be.
    TooLarge,
    /// The session with this device cannot encrypt any more; a new one is needed.
    SpentSession(ToMeet),
}

/// Who seals.
pub(super) struct Sender<'s> {
    pub(super) local: LocalDevice<'s>,
    pub(super) user: UserId,
    /// The device list of our account, for those who have not answered in their session yet.
    pub(super) devices: Option<Vec<u8>>,
}

impl<'s> Sender<'s> {
    /// The sender of a content for these recipients.
    pub(super) fn new(
        rows: &Rows<'_>,
        (account, us, address): (&'s Account, Registered, &'s Address),
        ready: &[(Device, PeerSessions)],
    ) -> Result<Self> {
        let is_new = ready.iter().any(|(_, sessions)| sessions.record.carries_handshake());
        let devices = if is_new { rows.device_list_bytes(us.user)? } else { None };
        Ok(Self { local: local_device(account, address), user: us.user, devices })
    }
}

/// The padded plaintexts for the devices, each made when it is needed first.
struct Plaintexts<'p> {
    content: &'p Content,
    /// If the content is in a shared part: the key of that part.
    shared: Option<SharedPartKey>,
    /// Our device list, for those who may know nothing of our devices.
    devices: Option<&'p Vec<u8>>,
    /// The other member of the thread, for our own devices: the relay could name another one.
    peer: Option<UserId>,
    made: [Option<Zeroizing<Vec<u8>>>; 4],
}

impl Plaintexts<'_> {
    fn get(&mut self, is_new: bool, is_ours: bool) -> Result<&[u8]> {
        let at = usize::from(is_new).saturating_add(usize::from(is_ours).saturating_mul(2));
        let made = self.made.get_mut(at).ok_or(Error::Bug("a form of a content that does not exist"))?;
        if made.is_none() {
            let (content, devices) = (self.content, self.devices.filter(|_| is_new).cloned());
            let peer = self.peer.filter(|_| is_ours);
            let devices = devices.or_else(|| content.header.devices.clone());
            *made = Some(match &self.shared {
                Some(key) => SharedContent { key: key.copy(), devices, peer }.to_plaintext(),
                None if devices.is_none() && peer.is_none() => content.to_plaintext(),
                None => {
                    let header = Header { devices, peer, ..content.header.clone() };
                    Content { header, ..content.clone() }.to_plaintext()
                }
            });
        }
        made.as_ref().map(|plaintext| plaintext.as_slice()).ok_or(Error::Bug("a plaintext was not made"))
    }
}

/// Seals a content for every recipient and combines the copies into one `relay.v1.Send` with its own id. The sessions
/// advance; the caller stores them, or drops them together with the bytes.
pub(super) fn seal(
    client_msg_id: ClientMsgId,
    content: &Content,
    thread: &Thread,
    recipients: &mut Recipients,
    from: &Sender<'_>,
    now: UnixSeconds,
    rng: &mut StdRng,
) -> Result<Sealing> {
    let is_urgent = content.body.kind().is_urgent();
    let Recipients { ready, skip } = recipients;
    let form = wire::Envelope { urgent: is_urgent, ..wire::Envelope::default() };
    let peer = thread.peer.filter(|peer| *peer != from.user);
    let sealed = seal_each((content, peer), &form, ready, from, now, rng)?;
    let Copies { mut copies, shared, advanced, changes } = match sealed {
        Sealed::Copies(copies) => copies,
        Sealed::TooLarge => return Ok(Sealing::TooLarge),
        Sealed::Spent(spent) => return Ok(Sealing::SpentSession(spent)),
    };
    copies.extend(skip.iter().map(|skipped| wire::DeviceCopy {
        user_id: skipped.user.to_wire(),
        device_id: skipped.device.get(),
        registration_id: skipped.registration_id,
        envelope: Some(wire::Envelope {
            kind: wire::envelope::SIGNAL,
            ciphertext: OPENS_NOWHERE,
            ..form.clone()
        }),
    }));
    let send = wire::Send {
        client_msg_id: client_msg_id.to_wire(),
        thread_id: thread.id.to_wire(),
        roster_version: thread.roster_version,
        group: None,
        copies,
        resume: false,
        lookup: false,
        shared,
    };
    if send.encoded_len() > MAX_SEND {
        return Ok(Sealing::TooLarge);
    }
    advance(ready, advanced);
    Ok(Sealing::Sealed { send: send.encode_to_vec().into(), skipped: changes })
}

/// Seals a content for these devices and combines the copies into one `relay.v1.Mail`, whose envelopes are like `form`. Without an
/// id, it is ephemeral. The sessions advance, as in [`seal`].
pub(super) fn seal_mail(
    client_msg_id: ClientMsgId,
    content: &Content,
    form: &wire::Envelope,
    ready: &mut [(Device, PeerSessions)],
    from: &Sender<'_>,
    now: UnixSeconds,
    rng: &mut StdRng,
) -> Result<Sealing> {
    let sealed = seal_each((content, None), form, ready, from, now, rng)?;
    let Copies { copies, shared, advanced, changes } = match sealed {
        Sealed::Copies(copies) => copies,
        Sealed::TooLarge => return Ok(Sealing::TooLarge),
        Sealed::Spent(spent) => return Ok(Sealing::SpentSession(spent)),
    };
    let mail = wire::Mail {
        client_msg_id: if form.ephemeral { Bytes::new() } else { client_msg_id.to_wire() },
        thread_id: content.thread.to_wire(),
        copies,
        shared,
    };
    if mail.encoded_len() > MAX_SEND {
        return Ok(Sealing::TooLarge);
    }
    advance(ready, advanced);
    Ok(Sealing::Sealed { send: mail.encode_to_vec().into(), skipped: changes })
}

/// One ciphertext for each device, and what storing them requires.
struct Copies {
    copies: Vec<wire::DeviceCopy>,
    /// The ciphertext that is the same for all of them; empty if there is none.
    shared: Bytes,
    advanced: Vec<SessionRecord>,
    changes: Vec<Vec<SkippedChange>>,
}

/// The result of [`seal_each`].
enum Sealed {
    Copies(Copies),
    TooLarge,
    Spent(ToMeet),
}

/// Seals a content for each device, in envelopes like `form`. A large one is encrypted once, if it is for several devices. The sessions do not advance
/// yet.
fn seal_each(
    (content, peer): (&Content, Option<UserId>),
    form: &wire::Envelope,
    ready: &mut [(Device, PeerSessions)],
    from: &Sender<'_>,
    now: UnixSeconds,
    rng: &mut StdRng,
) -> Result<Sealed> {
    let plaintext = content.to_plaintext();
    if plaintext.len() > MAX_PLAINTEXT {
        return Ok(Sealed::TooLarge);
    }
    let (key, shared) = if ready.len() > 1 && plaintext.len() >= SHARED_FROM {
        let sealed = SharedPartKey::seal(&plaintext, rng);
        let (key, part) = sealed.ok_or(Error::Bug("a content of many gigabytes"))?;
        (Some(key), Bytes::from(part))
    } else {
        (None, Bytes::new())
    };
    // Without anything that is for some devices only, it is the plaintext itself.
    let made = [key.is_none().then_some(plaintext), None, None, None];
    let mut plaintexts = Plaintexts { content, shared: key, devices: from.devices.as_ref(), peer, made };
    let mut copies = Vec::with_capacity(ready.len());
    let mut advanced = Vec::with_capacity(ready.len());
    let mut changes = Vec::with_capacity(ready.len());
    for (device, sessions) in ready.iter_mut() {
        let remote = address(device.user, device.device)?;
        let plaintext = plaintexts.get(sessions.record.carries_handshake(), device.user == from.user)?;
        let Advanced { next, skipped, output } =
            match sessions.record.encrypt(&from.local, &remote, plaintext, now, rng) {
                Ok(sealed) => sealed,
                Err(EncryptError::Bug(what)) => return Err(Error::Bug(what)),
                Err(_) => {
                    sessions.record = sessions.record.archive(now);
                    return Ok(Sealed::Spent(ToMeet { user: device.user, devices: vec![device.device] }));
                }
            };
        copies.push(wire::DeviceCopy {
            user_id: device.user.to_wire(),
            device_id: device.device.get(),
            registration_id: device.registration_id,
            envelope: Some(envelope(&output, form, !shared.is_empty())?),
        });
        advanced.push(next);
        changes.push(skipped);
    }
    Ok(Sealed::Copies(Copies { copies, shared, advanced, changes }))
}

fn advance(ready: &mut [(Device, PeerSessions)], advanced: Vec<SessionRecord>) {
    for ((_, sessions), next) in ready.iter_mut().zip(advanced) {
        sessions.record = next;
    }
}

fn envelope(ciphertext: &Ciphertext, form: &wire::Envelope, is_shared: bool) -> Result<wire::Envelope> {
    use wire::envelope::{PRE_KEY, PRE_KEY_WITH_SHARED, SIGNAL, SIGNAL_WITH_SHARED};
    let kind = match (ciphertext, is_shared) {
        (Ciphertext::Signal(_), false) => SIGNAL,
        (Ciphertext::PreKey(_), false) => PRE_KEY,
        (Ciphertext::Signal(_), true) => SIGNAL_WITH_SHARED,
        (Ciphertext::PreKey(_), true) => PRE_KEY_WITH_SHARED,
    };
    let bytes = ciphertext.serialize();
    let ciphertext = match is_shared {
        true => before_shared(bytes).ok_or(Error::Bug("the key of a shared part is too long"))?.into(),
        false => Bytes::copy_from_slice(bytes),
    };
    Ok(wire::Envelope { kind, ciphertext, ..form.clone() })
}
