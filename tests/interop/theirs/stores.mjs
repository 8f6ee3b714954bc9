// The stores that the library requires, in memory. Every value is kept as hex of its serialized form, so that a device
// can be saved and loaded as one value.
import { S, hex, since, unhex } from './library.mjs';

const key = (address) => `${address.name()}.${address.deviceId()}`;
const orNull = (value, parse) => (value === undefined ? null : parse(unhex(value)));

class Sessions extends S.SessionStore {
  rows = new Map();
  async saveSession(address, record) {
    this.rows.set(key(address), hex(record.serialize()));
  }
  async getSession(address) {
    return orNull(this.rows.get(key(address)), (bytes) => S.SessionRecord.deserialize(bytes));
  }
  async getExistingSessions(addresses) {
    return Promise.all(addresses.map(async (address) => {
      const record = await this.getSession(address);
      if (!record) throw new Error('session not found');
      return record;
    }));
  }
}

/** Trusts every identity key, and stores it. */
class Identities extends S.IdentityKeyStore {
  rows = new Map();
  constructor(privateKey, registrationId) {
    super();
    this.privateKey = privateKey;
    this.registrationId = registrationId;
  }
  async getIdentityKey() {
    return this.privateKey;
  }
  async getLocalRegistrationId() {
    return this.registrationId;
  }
  async saveIdentity(address, identity) {
    const [before, now] = [this.rows.get(key(address)), hex(identity.serialize())];
    this.rows.set(key(address), now);
    const changed = before !== undefined && before !== now;
    return since(70) ? Number(changed) : changed;
  }
  async isTrustedIdentity() {
    return true;
  }
  async getIdentity(address) {
    return orNull(this.rows.get(key(address)), (bytes) => S.PublicKey.deserialize(bytes));
  }
}

/** The common part of the three stores of pre-keys. */
class Rows {
  rows = new Map();
  constructor(kind, parse) {
    this.kind = kind;
    this.parse = parse;
  }
  async put(id, record) {
    this.rows.set(id, hex(record.serialize()));
  }
  async get(id) {
    const row = this.rows.get(id);
    if (row === undefined) throw new Error(`${this.kind} not found`);
    return this.parse(unhex(row));
  }
}

class PreKeys extends S.PreKeyStore {
  keys = new Rows('prekey', (bytes) => S.PreKeyRecord.deserialize(bytes));
  savePreKey = (id, record) => this.keys.put(id, record);
  getPreKey = (id) => this.keys.get(id);
  async removePreKey(id) {
    this.keys.rows.delete(id);
  }
}

class SignedPreKeys extends S.SignedPreKeyStore {
  keys = new Rows('signed prekey', (bytes) => S.SignedPreKeyRecord.deserialize(bytes));
  saveSignedPreKey = (id, record) => this.keys.put(id, record);
  getSignedPreKey = (id) => this.keys.get(id);
}

/** Every KEM pre-key is a last-resort key: it is kept, and a repeated base key is a replay. */
const KemPreKeys = S.KyberPreKeyStore && class extends S.KyberPreKeyStore {
  keys = new Rows('kyber prekey', (bytes) => S.KyberPreKeyRecord.deserialize(bytes));
  used = new Set();
  saveKyberPreKey = (id, record) => this.keys.put(id, record);
  getKyberPreKey = (id) => this.keys.get(id);
  async markKyberPreKeyUsed(id, signedId, baseKey) {
    // Older versions do not pass the base key.
    if (!baseKey) return;
    const use = `${id} ${signedId} ${hex(baseKey.serialize())}`;
    if (this.used.has(use)) throw new Error('reused base key');
    this.used.add(use);
  }
};

class SenderKeys extends S.SenderKeyStore {
  rows = new Map();
  async saveSenderKey(sender, distribution, record) {
    this.rows.set(`${key(sender)} ${distribution}`, hex(record.serialize()));
  }
  async getSenderKey(sender, distribution) {
    return orNull(this.rows.get(`${key(sender)} ${distribution}`), (bytes) => S.SenderKeyRecord.deserialize(bytes));
  }
}

/** One device: its address, its keys, its stores. */
export class Device {
  constructor(name, device, registrationId, identity) {
    this.name = name;
    this.device = device;
    this.sessions = new Sessions();
    this.identities = new Identities(identity, registrationId);
    this.preKeys = new PreKeys();
    this.signedPreKeys = new SignedPreKeys();
    this.kemPreKeys = KemPreKeys ? new KemPreKeys() : undefined;
    this.senderKeys = new SenderKeys();
  }

  /** The complete state, as hex of JSON. */
  save() {
    const state = {
      name: this.name,
      device: this.device,
      registrationId: this.identities.registrationId,
      identity: hex(this.identities.privateKey.serialize()),
      used: [...(this.kemPreKeys?.used ?? [])],
      tables: this.#tables().map((table) => [...table]),
    };
    return Buffer.from(JSON.stringify(state)).toString('hex');
  }

  static load(saved) {
    const state = JSON.parse(Buffer.from(saved, 'hex'));
    const identity = S.PrivateKey.deserialize(unhex(state.identity));
    const device = new Device(state.name, state.device, state.registrationId, identity);
    device.#tables().forEach((table, at) => state.tables[at].forEach(([row, value]) => table.set(row, value)));
    state.used.forEach((use) => device.kemPreKeys?.used.add(use));
    return device;
  }

  #tables() {
    const tables = [this.sessions.rows, this.identities.rows, this.preKeys.keys.rows, this.signedPreKeys.keys.rows];
    return [...tables, this.kemPreKeys?.keys.rows ?? new Map(), this.senderKeys.rows];
  }
}
