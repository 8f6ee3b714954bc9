//! The stable values of [`Error::reason`](crate::Error).

/// The body or frame could not be decoded.
pub const MALFORMED: &str = "malformed";
/// There is no token, or an invalid one.
pub const INVALID_TOKEN: &str = "invalid_token";
/// A refresh token was used twice: the family is revoked.
pub const REUSE_DETECTED: &str = "reuse_detected";
/// The account that the token belongs to was deleted.
pub const ACCOUNT_DELETED: &str = "account_deleted";
/// The account that a message is addressed to was deleted.
pub const RECIPIENT_DELETED: &str = "recipient_deleted";
/// The relay does not know this login key for this device.
pub const UNKNOWN_DEVICE: &str = "unknown_device";
/// The signature is not one of this device, or its challenge has expired or was already used.
pub const INVALID_SIGNATURE: &str = "invalid_signature";
/// Another device has this address, or the device that had it was revoked.
pub const ADDRESS_TAKEN: &str = "address_taken";
/// The device was revoked: by itself, by the first device of its account, or as it was not connected for 45 days.
pub const DEVICE_REVOKED: &str = "device_revoked";
/// Another account uses this link, or a blob was written before with other bytes.
pub const LINK_TAKEN: &str = "link_taken";
/// The link token is unknown or has expired.
pub const BAD_LINK_TOKEN: &str = "bad_link_token";
/// The link token was used by another request.
pub const LINK_TOKEN_USED: &str = "link_token_used";
/// The account has as many devices as it may.
pub const TOO_MANY_DEVICES: &str = "too_many_devices";
/// All numbers of devices of this account were used.
pub const DEVICE_IDS_USED_UP: &str = "device_ids_used_up";
/// The registration proof was refused.
pub const PROOF_REFUSED: &str = "proof_refused";
/// The resource is visible, but the operation is not allowed, such as revoking another device of one's own account.
pub const FORBIDDEN: &str = "forbidden";
/// The resource does not exist, or belongs to somebody else; the two are not distinguished.
pub const NOT_FOUND: &str = "not_found";
/// A direct thread of these two users exists; the error carries its id.
pub const EXISTING_THREAD: &str = "existing_thread";
/// The send was made for an older roster, or the entry is not the next one of its roster.
pub const STALE_ROSTER: &str = "stale_roster";
/// The roster of the group does not allow this.
pub const NOT_ALLOWED: &str = "not_allowed";
/// A member has not accepted the thread, which has already delivered as much as it may until then, or blocks the
/// sender. The two are not distinguished.
pub const NOT_ACCEPTED: &str = "not_accepted";
/// The user blocks as many users as they may.
pub const TOO_MANY_BLOCKS: &str = "too_many_blocks";
/// The message was not stored, as a send of the same thread was refused on this connection and none since then has
/// set `resume`, as the device sends on a newer connection, or as it was only looked up.
pub const LANE_STOPPED: &str = "lane_stopped";
/// The relay has a device list of this account that is at least as new.
pub const STALE_LIST: &str = "stale_list";
/// The copies do not name exactly the live devices.
pub const MISMATCHED_DEVICES: &str = "mismatched_devices";
/// A copy was made for an older registration of a device.
pub const STALE_DEVICES: &str = "stale_devices";
/// The same `client_msg_id` with another body.
pub const MSG_ID_REUSE: &str = "msg_id_reuse";
/// The `client_msg_id` is older than the relay remembers. The message may have been stored.
pub const TOO_OLD: &str = "too_old";
/// The time of the `client_msg_id` is more than an hour ahead of the relay's clock, or more than 7 days behind it. The
/// message was not stored.
pub const CLOCK_SKEW: &str = "clock_skew";
/// A key id that was already used.
pub const KEY_ID_USED: &str = "key_id_used";
/// An upload that would exceed the number of one-time keys of a kind that the relay stores for a device.
pub const TOO_MANY_KEYS: &str = "too_many_keys";
/// Too many keys, or keys of the wrong length or type.
pub const BAD_KEYS: &str = "bad_keys";
/// An ephemeral envelope in a `Send`, which is always stored; ephemeral envelopes are sent in `Mail`.
pub const EPHEMERAL_REFUSED: &str = "ephemeral_refused";
/// The body is larger than allowed.
pub const TOO_LARGE: &str = "too_large";
/// The content type is not `application/x-protobuf`.
pub const MEDIA_TYPE: &str = "unsupported_media_type";
/// Too many requests.
pub const RATE_LIMITED: &str = "rate_limited";
/// The relay is draining.
pub const DRAINING: &str = "draining";
/// The store does not answer; the outcome is unknown.
pub const STORE_UNAVAILABLE: &str = "store_unavailable";
/// The disk of the relay is full.
pub const STORE_FULL: &str = "store_full";
/// A schema version that this relay does not support.
pub const SCHEMA: &str = "schema";
