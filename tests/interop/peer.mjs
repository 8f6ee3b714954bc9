// A program with one device of any published version of Signal's own library. It reads and writes JSON lines. The commands
// are those of tests/interop-peer, so that a test can use either program in the same way.
//
//   node peer.mjs <version>
import { createInterface } from 'node:readline';
import { S, hex, privateKey, version } from './theirs/library.mjs';
import { Device } from './theirs/stores.mjs';
import { commands as sessions } from './theirs/sessions.mjs';
import { commands as groups } from './theirs/groups.mjs';
import { commands as sealed } from './theirs/sealed.mjs';
import { commands as retry } from './theirs/retry.mjs';

let device;

const commands = {
  version: () => ({ version }),
  init(_device, c) {
    const identity = c.identityPriv ? privateKey(c.identityPriv) : S.PrivateKey.generate();
    device = new Device(c.name, c.dev, c.reg, identity);
    return { identityPriv: hex(identity.serialize()), identityPub: hex(identity.getPublicKey().serialize()) };
  },
  save: () => ({ state: device.save() }),
  load(_device, c) {
    device = Device.load(c.state);
    return {};
  },
  ...sessions,
  ...groups,
  ...sealed,
  ...retry,
};

/** The library's description of an error: the name of its kind, if there is one, and its message. */
const failure = (error) => ({ ok: false, err: error.code ?? 0, msg: String(error.message ?? error) });

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const answer = await Promise.resolve()
    .then(() => commands[request.cmd](device, request))
    .then((r) => ({ ok: true, r }), failure);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
