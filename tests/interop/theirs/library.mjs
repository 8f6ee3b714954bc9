// Loads one published version of @signalapp/libsignal-client, and handles the differences between versions.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = new URL(`../node_modules/libsignal-${process.argv[2]}/`, import.meta.url);
const module = await import(new URL('dist/index.js', folder));

/** The library's exports. It has been an ES module since 0.75, and was a CommonJS module before. */
export const S = module.default?.PrivateKey ? module.default : module;
export const version = JSON.parse(readFileSync(fileURLToPath(new URL('package.json', folder)))).version;

const minor = Number(version.split('.')[1]);

/** Whether this version is 0.<first> or newer. */
export const since = (first) => minor >= first;

export const hex = (bytes) => Buffer.from(bytes).toString('hex');
export const unhex = (text) => (since(75) ? new Uint8Array(Buffer.from(text, 'hex')) : Buffer.from(text, 'hex'));
export const publicKey = (text) => S.PublicKey.deserialize(unhex(text));
export const privateKey = (text) => S.PrivateKey.deserialize(unhex(text));
export const address = (name, device) => S.ProtocolAddress.new(name, device);
