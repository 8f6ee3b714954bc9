// Classifies refusals of both sides in the same way. Our program returns codes; the library returns messages.

const OURS = {
  duplicate: ['duplicate'],
  no_session: ['no_session', 'stale_session'],
  no_sender_key: ['no_sender_key'],
  too_far_ahead: ['too_far_ahead'],
  missing_pre_key: ['missing_signed_pre_key', 'missing_one_time_pre_key', 'missing_kem_pre_key'],
  reused: ['reused_base_key'],
  malformed: [
    'too_short', 'version_too_old', 'unknown_version', 'malformed', 'missing_field', 'kem_fields', 'wrong_key_type',
    'wrong_length', 'out_of_range',
  ],
};

const THEIRS = {
  duplicate: /old counter/,
  no_session: /session with .* not found/,
  no_sender_key: /missing sender key state/,
  too_far_ahead: /too far into the future/,
  missing_pre_key: /prekey not found/,
  reused: /reused base key/,
  malformed: new RegExp([
    'too short', 'too old', 'unrecognized', 'protobuf encoding was invalid', 'bad key', 'no key type',
    '[Kk]yber pre ?key must be present', 'Both or neither',
  ].join('|')),
};

/** The verdict for a refusal of our program. */
export const ofOurs = ({ err }) => find(OURS, (codes) => codes.includes(err));

/** The verdict for a refusal of the library. */
export const ofTheirs = ({ msg }) => find(THEIRS, (words) => words.test(msg));

const find = (table, matches) => Object.entries(table).find(([, reason]) => matches(reason))?.[0] ?? 'refused';
