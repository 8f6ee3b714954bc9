//! Two devices without any state in memory: each step reads the stored state and writes it back.

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{
    Address, Ciphertext, DecryptError, DeviceId, IdentityKeyPair, Inbound, KemPreKey, KemPreKeyId,
    LocalDevice, OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeyBundle, RawPreKeyBundle, RawSigned,
    SessionId, SessionPolicy, SessionRecord, SignalMessage, SignedPreKey, SignedPreKeyId, SkippedKeys,
    Standing, StoredSession, UnixSeconds, VerifiedBundle,
};

use super::support::records::{OurSession, ours};
use prost::Message as _;

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
const NAMES: [&str; 2] = ["9d0652a3-dcc3-4d11-975f-74d61598733f", "796abedb-ca4e-4f18-8803-1fde5b921f9f"];

/// Everything that a device stores about its peer, and that an attacker can steal.
#[derive(Clone)]
pub(crate) struct Stored {
    record: Vec<u8>,
    skipped: Vec<u8>,
}

impl Stored {
    pub(crate) fn nothing() -> Self {
        Self::new(&SessionRecord::empty(), &SkippedKeys::default())
    }

    /// A record with a single session that was constructed by hand.
    pub(crate) fn only(session: &OurSession) -> Self {
        let (id, bytes) = (SessionId::from_bytes(&session.id).unwrap(), session.encode_to_vec());
        let row = StoredSession { id, rank: 0, standing: Standing::Active, bytes };
        Self::new(&SessionRecord::from_stored([row]).unwrap(), &SkippedKeys::default())
    }

    fn new(record: &SessionRecord, skipped: &SkippedKeys) -> Self {
        Self { record: record.to_bytes().to_vec(), skipped: skipped.to_bytes().to_vec() }
    }

    fn record(&self) -> SessionRecord {
        SessionRecord::from_bytes(&self.record).unwrap()
    }

    fn skipped(&self) -> SkippedKeys {
        SkippedKeys::from_bytes(&self.skipped).unwrap()
    }

    /// The session, if there is one. No test starts a second one.
    pub(crate) fn session(&self) -> Option<OurSession> {
        ours(&self.record()).into_iter().next()
    }

    /// Whether `key` occurs anywhere in the stored bytes.
    pub(crate) fn holds(&self, key: &[u8; 32]) -> bool {
        [&self.record, &self.skipped].into_iter().any(|bytes| bytes.array_windows().any(|at| at == key))
    }
}

/// The result of a message that was decrypted.
pub(crate) struct Opened {
    pub(crate) text: Vec<u8>,
    pub(crate) stored: Stored,
}

/// A device. Its long-term keys are stolen as well, except the one-time key once it has been consumed.
pub(crate) struct Device {
    pub(crate) identity: IdentityKeyPair,
    address: Address,
    signed: SignedPreKey,
    kem: Option<KemPreKey>,
    one_time: Option<OneTimePreKey>,
    pub(crate) stored: Stored,
}

impl Device {
    fn new(name: &str, has_kem: bool, rng: &mut StdRng) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        Self {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng),
            kem: has_kem.then(|| KemPreKey::generate(KemPreKeyId(1), &identity, 0, rng)),
            one_time: Some(OneTimePreKey::generate(OneTimePreKeyId(1), rng)),
            identity,
            stored: Stored::nothing(),
        }
    }

    fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 }
    }

    fn bundle(&self) -> VerifiedBundle {
        let (signed, one_time) = (&self.signed, self.one_time.as_ref());
        let one_time = one_time.map(|key| (key.id().0, key.public_key()));
        let kem = self.kem.as_ref().map(|key| (key.public_key(), key.signature()));
        let raw = RawPreKeyBundle {
            registration_id: 1,
            device_id: 1,
            identity_key: &self.identity.public().serialize(),
            signed_pre_key: RawSigned { id: 1, key: &signed.public_key(), signature: signed.signature() },
            one_time_pre_key: one_time.as_ref().map(|(id, key)| (*id, key.as_slice())),
            kem_pre_key: kem.as_ref().map(|(key, signature)| RawSigned { id: 1, key, signature: *signature }),
        };
        PreKeyBundle::parse(raw).unwrap().verify().unwrap()
    }
}

/// Two devices under the same policy. Device 0 started the session.
pub(crate) struct Pair {
    pub(crate) devices: [Device; 2],
    policy: SessionPolicy,
    rng: StdRng,
}

impl Pair {
    /// Under [`SessionPolicy::X3dh`] without KEM keys, so that nothing is post-quantum.
    pub(crate) fn new(policy: SessionPolicy) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let mut devices = NAMES.map(|name| Device::new(name, policy != SessionPolicy::X3dh, &mut rng));
        let [first, second] = &mut devices;
        let begun = SessionRecord::empty().initiate(
            &first.local(),
            &second.address,
            second.bundle(),
            policy,
            NOW,
            &mut rng,
        );
        first.stored = Stored::new(&begun.unwrap(), &SkippedKeys::default());
        Self { devices, policy, rng }
    }

    /// Encrypts a message, and stores the next state before returning it.
    pub(crate) fn send(&mut self, at: usize, text: &[u8]) -> Ciphertext {
        let (device, peer) = (&self.devices[at], &self.devices[1 - at].address);
        let mut skipped = device.stored.skipped();
        let sent = device.stored.record().encrypt(&device.local(), peer, text, NOW, &mut self.rng).unwrap();
        skipped.apply(sent.skipped);
        self.devices[at].stored = Stored::new(&sent.next, &skipped);
        sent.output
    }

    /// Decrypts a message, stores the next state, and deletes a one-time key that was consumed.
    pub(crate) fn receive(&mut self, at: usize, ciphertext: &Ciphertext) -> Result<Vec<u8>, DecryptError> {
        let Opened { text, stored } = self.open(at, &self.devices[at].stored.clone(), ciphertext)?;
        let device = &mut self.devices[at];
        device.stored = stored;
        if let Ciphertext::PreKey(_) = ciphertext {
            device.one_time = None;
        }
        Ok(text)
    }

    /// Decrypts a message with `stored` and the long-term keys of device `at`, and stores nothing.
    pub(crate) fn open(
        &mut self,
        at: usize,
        stored: &Stored,
        ciphertext: &Ciphertext,
    ) -> Result<Opened, DecryptError> {
        let (device, peer) = (&self.devices[at], &self.devices[1 - at].address);
        let (local, record, mut skipped) = (device.local(), stored.record(), stored.skipped());
        let found = skipped.find(signal_message(ciphertext));
        let inbound = Inbound { local, remote: peer, skipped: &found, policy: self.policy, now: NOW };
        let advanced = match ciphertext {
            Ciphertext::Signal(message) => record.decrypt(&inbound, message, &mut self.rng)?,
            Ciphertext::PreKey(message) => {
                let (one_time, kem) = (device.one_time.as_ref(), device.kem.as_ref());
                let keys = Some(OurPreKeys { signed: &device.signed, one_time, kem });
                record.decrypt_pre_key(&inbound, message, keys, &mut self.rng)?.advanced
            }
        };
        skipped.apply(advanced.skipped);
        let stored = Stored::new(&advanced.next, &skipped);
        Ok(Opened { text: advanced.output.plaintext.expose().to_vec(), stored })
    }
}

/// The inner message, without the handshake.
pub(crate) fn signal_message(ciphertext: &Ciphertext) -> &SignalMessage {
    match ciphertext {
        Ciphertext::Signal(message) => message,
        Ciphertext::PreKey(message) => message.signal_message(),
    }
}
