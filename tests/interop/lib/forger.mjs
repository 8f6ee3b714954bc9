// Whoever holds a device's stored session can write messages in its name, right in every respect but the one that a test
// is about. Sessions without SPQR, or with it as long as nobody has answered: then every key of a message follows from the
// stored form.
import { createCipheriv, createHmac, hkdfSync } from 'node:crypto';
import { PqChain, pqPart } from './pq.mjs';
import { change, encodeVarint, field } from './protobuf.mjs';

/** Of a message that no post-quantum key went into. */
export const NO_SALT = Buffer.alloc(32);

const hmac = (key, data) => createHmac('sha256', key).update(data).digest();

export class Forger {
  #chainKey;

  /** In the name of `sender`, one of theirs, to `receiver`. */
  static async of(sender, receiver) {
    const { record } = await sender.call('session', receiver.remote);
    return new Forger(Buffer.from(record, 'hex'));
  }

  /** From a stored record: the current session, and in it identities, previous counter and sending chain. */
  constructor(record) {
    const session = field(record, 1);
    const chain = field(session, 6);
    const chainKey = field(chain, 3);
    this.identities = [field(session, 2), field(session, 3)];
    this.version = (field(session, 1) << 4) | 4;
    this.ratchetKey = field(chain, 1);
    this.previous = field(session, 5) ?? 0;
    this.number = field(chainKey, 1) ?? 0;
    this.#chainKey = field(chainKey, 2);
    const negotiation = field(field(session, 15) ?? Buffer.alloc(0), 1);
    if (negotiation) this.pqChain = new PqChain(field(negotiation, 1));
  }

  /** The number of the next message in the post-quantum chain, where the first is 1. */
  get pqIndex() {
    return this.number + 1;
  }

  /** Moves on: messages of `count` numbers are never written. */
  skip(count = 1) {
    for (let n = 0; n < count; n++) this.#chainKey = hmac(this.#chainKey, Buffer.of(2));
    this.number += count;
  }

  /**
   * The next message. `block` is what is encrypted, padding included, unless `body` is the ciphertext; `fields` replace
   * those of the protobuf, `extra` stands behind them; `version` is the first byte; `identities` are those that the MAC
   * covers, `mac` changes it. `pq` is the post-quantum part, and `salt` its key.
   */
  write({
    block = pad('forged'), body, fields = {}, extra = Buffer.alloc(0), version = this.version,
    identities = this.identities, mac = (bytes) => bytes,
    pq = this.pqChain && pqPart({ index: this.pqIndex }),
    salt = this.pqChain?.key(this.pqIndex) ?? NO_SALT,
  }) {
    const seed = hmac(this.#chainKey, Buffer.of(1));
    const keys = Buffer.from(hkdfSync('sha256', seed, salt, 'WhisperMessageKeys', 80));
    const cipher = createCipheriv('aes-256-cbc', keys.subarray(0, 32), keys.subarray(64)).setAutoPadding(false);
    const ciphertext = body ?? Buffer.concat([cipher.update(block), cipher.final()]);
    const form = { 1: this.ratchetKey, 2: this.number, 3: this.previous, 4: ciphertext, 5: pq, ...fields };
    const message = Buffer.concat([Buffer.of(version), change(Buffer.alloc(0), form), extra]);
    const tag = hmac(keys.subarray(32, 64), Buffer.concat([...identities, message])).subarray(0, 8);
    return { type: 2, ct: Buffer.concat([message, mac(tag)]).toString('hex'), text: 'forged' };
  }
}

/** PKCS #7. */
export function pad(text) {
  const bytes = Buffer.from(text);
  const length = 16 - (bytes.length % 16);
  return Buffer.concat([bytes, Buffer.alloc(length, length)]);
}

/** Two addresses as a message carries them. */
export function addresses(sender, recipient) {
  const one = ({ name, dev }) => Buffer.concat([Buffer.of(0), Buffer.from(name.replaceAll('-', ''), 'hex'), Buffer.of(dev)]);
  return Buffer.concat([one(sender), one(recipient)]);
}

/** A varint of 33 bits whose low 32 are `value`. */
export const tooWide = (number, value) => Buffer.concat([encodeVarint(number * 8), encodeVarint(2 ** 32 + value)]);
