// A device of ours or of theirs, spoken to in the same words.
import { fileURLToPath } from 'node:url';
import { giveBack, takeProcess } from './process.mjs';
import { ofOurs, ofTheirs } from './verdict.mjs';

const OURS = process.env.SEALPOST_INTEROP_PEER
  ?? fileURLToPath(new URL('../../../target/debug/interop-peer', import.meta.url));
const THEIRS = fileURLToPath(new URL('../peer.mjs', import.meta.url));

/** A command that was refused: why, in one word for both sides (see verdict.mjs), and in the words of that side. */
export class Refusal extends Error {
  constructor(verdict, command, { err, msg }) {
    super(`${command}: ${verdict} (${err}: ${msg})`);
    this.verdict = verdict;
    this.code = err;
  }
}

export class Device {
  #process;
  #verdict;

  constructor(process, verdict, { name, dev = 1, reg = 4711 }) {
    this.#process = process;
    this.#verdict = verdict;
    Object.assign(this, { name, dev, reg });
  }

  /** Ours. `policy` says which sessions may begin; `identityPriv` gives it the identity of another device. */
  static async ours({ policy = 'triple', identityPriv, ...who }) {
    return new Device(takeProcess(OURS, []), ofOurs, who).#init({ policy, identityPriv });
  }

  /** Theirs, of one version. */
  static async theirs(version, { identityPriv, ...who }) {
    return new Device(takeProcess(process.execPath, [THEIRS, version]), ofTheirs, who).#init({ identityPriv });
  }

  /** Runs a command. Throws a Refusal. */
  async call(cmd, fields = {}) {
    const answer = JSON.parse(await this.#process.ask(JSON.stringify({ cmd, ...fields })));
    if (!answer.ok) throw new Refusal(this.#verdict(answer), cmd, answer);
    return answer.r;
  }

  /** What others call this device. */
  get remote() {
    return { remote: this.name, remoteDev: this.dev };
  }

  /** Begins a session with `other`, whose bundle is made with `options`. */
  async meet(other, options = {}) {
    const { bundle } = await other.call('bundle', options);
    await this.call('processBundle', { ...other.remote, bundle });
  }

  /** Encrypts for `other`: a message that `other` can `receive`. */
  async send(other, text) {
    const { type, ct } = await this.call('encrypt', { ...other.remote, pt: Buffer.from(text).toString('hex') });
    return { from: this, type, ct, text };
  }

  /** Decrypts what another device sent. */
  async receive({ from, type, ct }) {
    const { pt } = await this.call('decrypt', { ...from.remote, type, ct });
    return Buffer.from(pt, 'hex').toString();
  }

  /** As if the program had ended and begun again, with what it had stored. */
  async restart() {
    await this.call('load', await this.call('save'));
  }

  /** The same device of theirs after an update of its app. */
  async updated(version) {
    const device = new Device(takeProcess(process.execPath, [THEIRS, version]), ofTheirs, this);
    await device.call('load', await this.call('save'));
    return device;
  }

  /** Leaves its process to others, which begin with `init`. */
  retire() {
    giveBack(this.#process);
  }

  async #init(fields) {
    const { name, dev, reg } = this;
    const { identityPub, identityPriv } = await this.call('init', { name, dev, reg, ...fields });
    return Object.assign(this, { identityPub, identityPriv });
  }
}
