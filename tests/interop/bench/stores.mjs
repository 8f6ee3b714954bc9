// The stores that the library requires, as fast as possible: they keep the library's own objects and never serialize them.
import { S } from './library.mjs';

const key = (address) => `${address.name()}.${address.deviceId()}`;

class Sessions extends S.SessionStore {
  rows = new Map();
  async saveSession(address, record) {
    this.rows.set(key(address), record);
  }
  async getSession(address) {
    return this.rows.get(key(address)) ?? null;
  }
  async getExistingSessions(addresses) {
    return addresses.map((address) => this.rows.get(key(address)));
  }
  only() {
    const [record] = this.rows.values();
    return record;
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
    this.rows.set(key(address), identity);
    return S.IdentityChange.NewOrUnchanged;
  }
  async isTrustedIdentity() {
    return true;
  }
  async getIdentity(address) {
    return this.rows.get(key(address)) ?? null;
  }
}

/** A store of one key, which is never deleted. */
class PreKeys extends S.PreKeyStore {
  async savePreKey() {}
  async getPreKey() {
    return this.row;
  }
  async removePreKey() {}
}

class SignedPreKeys extends S.SignedPreKeyStore {
  async saveSignedPreKey() {}
  async getSignedPreKey() {
    return this.row;
  }
}

class KemPreKeys extends S.KyberPreKeyStore {
  async saveKyberPreKey() {}
  async getKyberPreKey() {
    return this.row;
  }
  async markKyberPreKeyUsed() {}
}

class SenderKeys extends S.SenderKeyStore {
  rows = new Map();
  async saveSenderKey(sender, distribution, record) {
    this.rows.set(`${key(sender)} ${distribution}`, record);
  }
  async getSenderKey(sender, distribution) {
    return this.rows.get(`${key(sender)} ${distribution}`) ?? null;
  }
}

export class Store {
  constructor(identity, registrationId) {
    this.sessions = new Sessions();
    this.identities = new Identities(identity, registrationId);
    this.preKeys = new PreKeys();
    this.signedPreKeys = new SignedPreKeys();
    this.kemPreKeys = new KemPreKeys();
    this.senderKeys = new SenderKeys();
  }
}
