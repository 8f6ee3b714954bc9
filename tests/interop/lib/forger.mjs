// Forges messages with the stored session of a device. They are valid in every respect except for the one that a test is
// about. The session must be without SPQR, or without an answer so far; only then do all keys of a message follow from the
// stored form.
import { createCipheriv, createHmac, hkdfSync } from 'node:crypto';
import { PqChain, pqPart } from './pq.mjs';
import { change, encodeVarint, field } from './protobuf.mjs';

/** The salt of a message without a post-quantum key. */
export const NO_SALT = Buffer.alloc(32);

const hmac = (key, data) => createHmac('sha256', key).update(data).digest();

export class Forger {
  #chainKey;

  /** Forges messages of `sender`, a device of theirs, to `receiver`. */
  static async of(sender, receiver) {
    const { record } = await sender.call('session', receiver.remote);
    return new Forger(Buffer.from(record, 'hex'));
  }

  /** Reads the identities, the previous counter and the sending chain of the current session from a stored record. */
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

  /** The number of the next message in the post-quantum chain, starting at 1. */
  get pqIndex() {
    return this.number + 1;
  }

  /** Skips `count` numbers, as if their messages had been lost. */
  skip(count = 1) {
    for (let n = 0; n < count; n++) this.#chainKey = hmac(this.#chainKey, Buffer.of(2));
    this.number += count;
  }

  /**
   * The next message. `block` is encrypted as it is, including its padding; `body` is used as the ciphertext instead.
   * `fields` replace those of the protobuf, and `extra` is appended to them. `version` is the first byte. The MAC covers
   * `identities`, and `mac` changes it. `pq` is the post-quantum part, and `salt` its key.
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

/** Pads with PKCS #7. */
export function pad(text) {
  const bytes = Buffer.from(text);
  const length = 16 - (bytes.length % 16);
  return Buffer.concat([bytes, Buffer.alloc(length, length)]);
}

/** Two addresses in the form in which a message contains them. */
export function addresses(sender, recipient) {
  const one = ({ name, dev }) => Buffer.concat([Buffer.of(0), Buffer.from(name.replaceAll('-', ''), 'hex'), Buffer.of(dev)]);
  return Buffer.concat([one(sender), one(recipient)]);
}

/** A varint of 33 bits whose low 32 are `value`. */
export const tooWide = (number, value) => Buffer.concat([encodeVarint(number * 8), encodeVarint(2 ** 32 + value)]);
