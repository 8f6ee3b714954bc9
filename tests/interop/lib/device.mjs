// A device of ours or of theirs, with the same commands.
import { fileURLToPath } from 'node:url';
import { giveBack, takeProcess } from './process.mjs';
import { ofOurs, ofTheirs } from './verdict.mjs';

const OURS = process.env.SEALPOST_INTEROP_PEER
  ?? fileURLToPath(new URL('../../../target/debug/interop-peer', import.meta.url));
const THEIRS = fileURLToPath(new URL('../peer.mjs', import.meta.url));

/** A command that was refused, with a verdict that is the same for both sides (see verdict.mjs) and the side's own message. */
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

  /** A device of ours. `policy` says which sessions may be started; `identityPriv` gives it another device's identity. */
  static async ours({ policy = 'triple', identityPriv, ...who }) {
    return new Device(takeProcess(OURS, []), ofOurs, who).#init({ policy, identityPriv });
  }

  /** A device of theirs, of the given version. */
  static async theirs(version, { identityPriv, ...who }) {
    return new Device(takeProcess(process.execPath, [THEIRS, version]), ofTheirs, who).#init({ identityPriv });
  }

  /** Runs a command. Throws a Refusal. */
  async call(cmd, fields = {}) {
    const answer = JSON.parse(await this.#process.ask(JSON.stringify({ cmd, ...fields })));
    if (!answer.ok) throw new Refusal(this.#verdict(answer), cmd, answer);
    return answer.r;
  }

  /** The address of this device in the commands of others. */
  get remote() {
    return { remote: this.name, remoteDev: this.dev };
  }

  /** Starts a session with `other`, whose bundle is created with `options`. */
  async meet(other, options = {}) {
    const { bundle } = await other.call('bundle', options);
    await this.call('processBundle', { ...other.remote, bundle });
  }

  /** Encrypts for `other`. The result can be passed to its `receive`. */
  async send(other, text) {
    const { type, ct } = await this.call('encrypt', { ...other.remote, pt: Buffer.from(text).toString('hex') });
    return { from: this, type, ct, text };
  }

  /** Decrypts a message of another device. */
  async receive({ from, type, ct }) {
    const { pt } = await this.call('decrypt', { ...from.remote, type, ct });
    return Buffer.from(pt, 'hex').toString();
  }

  /** Has the effect of ending the program and starting it again with its stored state. */
  async restart() {
    await this.call('load', await this.call('save'));
  }

  /** Returns the same device of theirs after an update of its app to another version. */
  async updated(version) {
    const device = new Device(takeProcess(process.execPath, [THEIRS, version]), ofTheirs, this);
    await device.call('load', await this.call('save'));
    return device;
  }

  /** Releases the process for other devices, which start with `init`. */
  retire() {
    giveBack(this.#process);
  }

  async #init(fields) {
    const { name, dev, reg } = this;
    const { identityPub, identityPriv } = await this.call('init', { name, dev, reg, ...fields });
    return Object.assign(this, { identityPub, identityPriv });
  }
}
