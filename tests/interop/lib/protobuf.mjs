// Reads and writes protobuf as far as it is needed to replace fields of a message.

/** The fields in their order: `number`, `wire` (0 varint, 2 bytes; the messages here contain no others), `value`. */
export function fields(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const [key, afterKey] = varint(bytes, at);
    const [value, end] = varint(bytes, afterKey);
    const [number, wire] = [Math.floor(key / 8), key & 7];
    if (wire === 0) {
      found.push({ number, wire, value });
      at = end;
    } else if (wire === 1) {
      found.push({ number, wire, value: bytes.subarray(afterKey, afterKey + 8) });
      at = afterKey + 8;
    } else {
      found.push({ number, wire, value: bytes.subarray(end, end + value) });
      at = end + value;
    }
  }
  return found;
}

/** The value of a field. */
export const field = (bytes, wanted) => fields(bytes).find(({ number }) => number === wanted)?.value;

/** The message with some fields replaced by a number or bytes, or removed with `undefined`. New fields are added last. */
export function change(bytes, changes) {
  const kept = fields(bytes).filter(({ number }) => !(number in changes));
  const changed = Object.entries(changes).map(([number, value]) => ({ number: Number(number), value }));
  const all = [...kept, ...changed.filter(({ value }) => value !== undefined)];
  return Buffer.concat(all.sort((a, b) => a.number - b.number).map(encode));
}

/** The bytes of a varint. */
export function encodeVarint(value) {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return Buffer.from([...bytes, value]);
}

function encode({ number, wire, value }) {
  if (typeof value === 'number') return Buffer.concat([encodeVarint(number * 8), encodeVarint(value)]);
  if (wire === 1) return Buffer.concat([encodeVarint(number * 8 + 1), value]);
  return Buffer.concat([encodeVarint(number * 8 + 2), encodeVarint(value.length), value]);
}

function varint(bytes, at) {
  let [value, scale] = [0, 1];
  for (;;) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return [value, at];
    scale *= 0x80;
  }
}
