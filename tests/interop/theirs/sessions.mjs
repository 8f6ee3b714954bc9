// Messages between two devices. Most differences between versions are in the order of arguments.
import { S, address, hex, publicKey, since, unhex } from './library.mjs';

const remote = ({ remote, remoteDev }) => address(remote, remoteDev);
const local = (device) => address(device.name, device.device);
const date = (now) => (now === undefined ? new Date() : new Date(now));

/** Arguments that were added in a version; none for earlier versions. */
const only = (first, ...values) => (since(first) ? values : []);

/** Encrypts for another device. */
export function seal(device, to, pt, now) {
  return S.signalEncrypt(
    unhex(pt), remote(to), ...only(91, local(device)), device.sessions, device.identities, ...only(60, date(now)),
  );
}

export const commands = {
  async bundle(device, c) {
    const identity = device.identities.privateKey;
    const spk = S.PrivateKey.generate();
    const bundle = {
      reg: device.identities.registrationId,
      dev: device.device,
      identity: hex(identity.getPublicKey().serialize()),
      spkId: c.spkId ?? 22,
      spk: hex(spk.getPublicKey().serialize()),
    };
    bundle.spkSig = hex(identity.sign(unhex(bundle.spk)));
    const signed = S.SignedPreKeyRecord.new(bundle.spkId, 1, spk.getPublicKey(), spk, unhex(bundle.spkSig));
    await device.signedPreKeys.saveSignedPreKey(bundle.spkId, signed);
    if (c.oneTime !== false) {
      const pk = S.PrivateKey.generate();
      bundle.pkId = c.pkId ?? 31337;
      bundle.pk = hex(pk.getPublicKey().serialize());
      await device.preKeys.savePreKey(bundle.pkId, S.PreKeyRecord.new(bundle.pkId, pk.getPublicKey(), pk));
    }
    if (c.kyber !== false && device.kemPreKeys) {
      const pair = S.KEMKeyPair.generate();
      bundle.kId = c.kId ?? 777;
      bundle.k = hex(pair.getPublicKey().serialize());
      bundle.kSig = hex(identity.sign(unhex(bundle.k)));
      const kem = S.KyberPreKeyRecord.new(bundle.kId, 1, pair, unhex(bundle.kSig));
      await device.kemPreKeys.saveKyberPreKey(bundle.kId, kem);
    }
    return { bundle };
  },

  async processBundle(device, c) {
    const b = c.bundle;
    const oneTime = b.pk === undefined ? [null, null] : [b.pkId, publicKey(b.pk)];
    const signed = [b.spkId, publicKey(b.spk), unhex(b.spkSig)];
    const kem = b.k === undefined ? only(75, null, null, null)
      : S.KEMPublicKey ? [b.kId, S.KEMPublicKey.deserialize(unhex(b.k)), unhex(b.kSig)] : [];
    const bundle = S.PreKeyBundle.new(b.reg, b.dev, ...oneTime, ...signed, publicKey(b.identity), ...kem);
    await S.processPreKeyBundle(
      bundle, remote(c), ...only(93, local(device)), device.sessions, device.identities, ...only(60, date(c.now)),
    );
    return {};
  },

  async encrypt(device, c) {
    const message = await seal(device, c, c.pt, c.now);
    return { type: message.type(), ct: hex(message.serialize()) };
  },

  async decrypt(device, c) {
    const stores = [device.sessions, device.identities];
    if (c.type === 3) {
      const message = S.PreKeySignalMessage.deserialize(unhex(c.ct));
      const preKeys = [device.preKeys, device.signedPreKeys, ...(device.kemPreKeys ? [device.kemPreKeys] : [])];
      const pt = await S.signalDecryptPreKey(
        message, remote(c), ...only(91, local(device)), ...stores, ...preKeys,
      );
      return { pt: hex(pt) };
    }
    const message = S.SignalMessage.deserialize(unhex(c.ct));
    return { pt: hex(await S.signalDecrypt(message, remote(c), ...only(92, local(device)), ...stores)) };
  },

  async archive(device, c) {
    const record = await device.sessions.getSession(remote(c));
    record.archiveCurrentState();
    await device.sessions.saveSession(remote(c), record);
    return {};
  },

  async hasCurrent(device, c) {
    const record = await device.sessions.getSession(remote(c));
    return { has: record?.hasCurrentState(...only(60, date(c.now))) ?? false };
  },

  /** The stored sessions with another device: the library's serialized record, as hex. */
  async session(device, c) {
    return { record: device.sessions.rows.get(`${c.remote}.${c.remoteDev}`) ?? null };
  },

  parseSignal(_device, c) {
    const message = S.SignalMessage.deserialize(unhex(c.ct));
    const pq = hex(message.pqRatchet?.() ?? []);
    return { counter: message.counter(), version: message.messageVersion(), ...(pq && { pq }) };
  },
};
