// Retry requests and safety numbers.
import { S, address, hex, publicKey, unhex } from './library.mjs';

export const commands = {
  dem(_device, c) {
    const request = S.DecryptionErrorMessage.forOriginal(unhex(c.ct), c.type, c.ts, c.dev);
    const content = S.PlaintextContent.from(request);
    return { dem: hex(request.serialize()), plaintext: hex(content.serialize()), body: hex(content.body()) };
  },

  demParse(_device, c) {
    const request = S.DecryptionErrorMessage.deserialize(unhex(c.dem));
    const key = request.ratchetKey();
    return { ts: request.timestamp(), dev: request.deviceId(), rk: key ? hex(key.serialize()) : null };
  },

  demExtract(_device, c) {
    return { dem: hex(S.DecryptionErrorMessage.extractFromSerializedBody(unhex(c.body)).serialize()) };
  },

  async ratchetMatch(device, c) {
    const record = await device.sessions.getSession(address(c.remote, c.remoteDev));
    return { ok: record.currentRatchetKeyMatches(publicKey(c.pub)) };
  },

  fingerprint(_device, c) {
    const [ours, theirs] = [[unhex(c.localId), publicKey(c.localKey)], [unhex(c.remoteId), publicKey(c.remoteKey)]];
    const number = S.Fingerprint.new(c.iterations, c.version, ...ours, ...theirs);
    return { display: number.displayableFingerprint().toString(), scan: hex(number.scannableFingerprint().toBuffer()) };
  },

  fpCompare(_device, c) {
    const [a, b] = [c.a, c.b].map((scan) => S.ScannableFingerprint._fromBuffer(unhex(scan)));
    return { ok: a.compare(b) };
  },
};
