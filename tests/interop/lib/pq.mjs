// The post-quantum part of messages of the first epoch, whose keys are all derived from one secret.
import { hkdfSync } from 'node:crypto';
import { encodeVarint } from './protobuf.mjs';

const hkdf = (key, info, length) => Buffer.from(hkdfSync('sha256', key, Buffer.alloc(32), info, length));

/** The keys of the initiator's messages, derived from the shared secret of the handshake. */
export class PqChain {
  #link;
  #keys = [undefined]; // The first key has the number 1.

  constructor(secret) {
    this.#link = hkdf(secret, 'Signal PQ Ratchet V1 Chain  Start', 96).subarray(32, 64);
  }

  key(index) {
    while (this.#keys.length <= index) {
      const number = Buffer.alloc(4);
      number.writeUInt32BE(this.#keys.length);
      const step = hkdf(this.#link, Buffer.concat([number, Buffer.from('Signal PQ Ratchet V1 Chain Next')]), 64);
      this.#link = step.subarray(0, 32);
      this.#keys.push(step.subarray(32));
    }
    return this.#keys[index];
  }
}

/** A version byte, the epoch and index as varints, a type byte, and for most types the number and bytes of a chunk. */
export function pqPart({ version = 1, epoch = 1, index, type = 0, chunk = Buffer.alloc(0) }) {
  return Buffer.concat([Buffer.of(version), encodeVarint(epoch), encodeVarint(index), Buffer.of(type), chunk]);
}

/** The chunk with this number, as it follows the type byte. */
export const chunk = (number, bytes = Buffer.alloc(32, 0x5a)) => Buffer.concat([encodeVarint(number), bytes]);
