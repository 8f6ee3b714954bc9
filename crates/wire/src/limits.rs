//! Limits that both sides enforce.

/// Largest frame, in bytes; checked before decoding. A [`Send`](crate::Send) has room for the largest shared part, and a copy for each of nine devices
/// that begins a session.
pub const MAX_FRAME: usize = 96 << 10;
/// Largest ciphertext of one copy together with the shared part, in bytes.
pub const MAX_CIPHERTEXT: usize = 68 << 10;
/// Maximum number of copies of a message in a direct thread: for the devices of both members, except the sending one.
pub const MAX_COPIES: usize = 2 * MAX_DEVICES as usize - 1;
/// Maximum number of copies of mail, for devices of the members of any thread.
pub const MAX_MAIL_COPIES: usize = 256;
/// Length of the access token of a group's link, in bytes.
pub const GROUP_LINK_TOKEN: usize = 32;
/// Up to this many devices, a message of a group is in all mailboxes before it is acknowledged.
pub const MAX_INLINE_DEVICES: usize = 256;
/// Maximum number of devices that ephemeral mail of a group reaches, for each group and second.
pub const MAX_EPHEMERAL_DEVICES: u32 = 16;
/// Largest ciphertext of one copy of ephemeral mail, in bytes.
pub const MAX_EPHEMERAL: usize = 16 << 10;
/// How long ephemeral mail is worth delivering if its envelope does not say, in seconds.
pub const EPHEMERAL_TTL_S: u32 = 5;
/// The longest time that it may say, in seconds.
pub const MAX_EPHEMERAL_TTL_S: u32 = 60;
/// Largest REST body, in bytes, except for the two endpoints that upload keys.
pub const MAX_BODY: usize = MAX_FRAME;
/// Largest body of `POST /v1/accounts` and `PUT /v1/keys`, in bytes; 100 one-time KEM keys alone take 164 kB.
pub const MAX_KEYS_BODY: usize = 256 << 10;
/// Maximum number of `Deliver` frames without an `Ack` on one connection.
pub const MAX_CREDIT: u32 = 256;
/// Maximum size of the unacknowledged `Deliver` frames on one connection, in bytes.
pub const MAX_UNACKED_BYTES: usize = 1 << 20;
/// Maximum number of keys in one `Ack`.
pub const MAX_ACK_KEYS: usize = 512;
/// Maximum number of one-time keys of each kind in one upload.
pub const MAX_UPLOAD_KEYS: usize = 100;
/// Maximum number of one-time keys of each kind that the relay stores for one device.
pub const MAX_ONE_TIME_KEYS: u32 = 200;
/// Maximum number of lanes of one connection that can be stopped at the same time.
pub const MAX_STOPPED_LANES: usize = 1_024;
/// Maximum number of threads in one `Sync`.
pub const MAX_CURSORS: usize = 64;
/// Largest registration id; the smallest is 1.
pub const MAX_REGISTRATION_ID: u32 = 16_380;
/// Largest `server_seq`, `epoch` and `roster_version` that an honest relay can reach.
pub const MAX_COUNT: u64 = 1 << 40;
/// Length of an Ed25519 public key, in bytes.
pub const LOGIN_KEY: usize = 32;
/// Length of the nonce of a challenge, in bytes.
pub const CHALLENGE_NONCE: usize = 32;
/// How long a challenge can be answered, in milliseconds: a minute.
pub const CHALLENGE_LIFE_MS: u64 = 60_000;
/// Largest registration tag and largest store version, in bytes.
pub const MAX_OPAQUE: usize = 64;
/// Maximum number of rows in one inbox page.
pub const MAX_PAGE: u32 = 256;
/// How long a mailbox row is kept, in seconds: 30 days.
pub const MAILBOX_TTL_S: u64 = 30 * 24 * 3600;
/// How long a `client_msg_id` is remembered, in milliseconds: 7 days.
pub const DEDUPE_WINDOW_MS: u64 = 7 * 24 * 3600 * 1000;
/// How far ahead of the relay's clock a `client_msg_id` may be, in milliseconds: 1 hour.
pub const CLOCK_AHEAD_MS: u64 = 3600 * 1000;
/// Maximum size of the mailbox of one device, in bytes. Beyond it, rows of the thread that occupies most of it are
/// trimmed.
pub const MAX_MAILBOX_BYTES: u64 = 64 << 20;
/// The overhead for which a mailbox row is charged in addition to its ciphertext, in bytes.
pub const ROW_BYTES: u64 = 256;
/// Maximum number of messages in a thread to a member who has not accepted it.
pub const MAX_REQUEST_MESSAGES: u64 = 16;
/// Maximum size of the ciphertexts in a thread to a member who has not accepted it, in bytes.
pub const MAX_REQUEST_BYTES: u64 = 256 << 10;
/// Maximum number of threads with rows in a mailbox whose owner has not accepted them.
pub const MAX_REQUESTS: u64 = 1_024;
/// Maximum size of the rows of all such threads together, in bytes: an eighth of a mailbox.
pub const MAX_REQUESTS_BYTES: u64 = 8 << 20;
/// Largest device list, in bytes.
pub const MAX_DEVICE_LIST: usize = 1_024;
/// Maximum number of live devices of an account.
pub const MAX_DEVICES: u32 = 5;
/// Highest number that a device can have.
pub const MAX_DEVICE_ID: u32 = 127;
/// How long a link, and a link token, can be used, in milliseconds: 10 minutes.
pub const LINK_LIFE_MS: u64 = 10 * 60 * 1000;
/// Maximum number of blobs that each side of a link writes.
pub const MAX_LINK_BLOBS: usize = 3;
/// Largest blob of a link, in bytes.
pub const MAX_LINK_BLOB: usize = 4_096;
/// Length of the secret of a link and of a link token, in bytes.
pub const LINK_SECRET: usize = 32;
/// Largest push token, in bytes.
pub const MAX_PUSH_TOKEN: usize = 2_048;
/// A device other than the first one that was not connected for so long is unlinked, in milliseconds: 45 days.
pub const UNSEEN_UNLINKED_MS: u64 = 45 * 24 * 3600 * 1000;
/// Maximum number of users that one user blocks.
pub const MAX_BLOCKS: u64 = 1_024;
/// Maximum number of members and invited people of a group together.
pub const MAX_GROUP: usize = 1_024;
/// Largest ciphertext of the title and the other details of a group, in bytes.
pub const MAX_GROUP_DETAILS: usize = 4_096;
/// Largest entry of a roster, in bytes: one that creates a group with 1,023 invitations.
pub const MAX_ROSTER_ENTRY: usize = 56 << 10;
/// The relay closes a socket after this many seconds without a frame.
pub const IDLE_CLOSE_S: u64 = 75;
/// The interval at which the client sends pings, in seconds.
pub const PING_INTERVAL_S: u32 = 30;
/// The first frame must be `Hello` within this many seconds.
pub const HELLO_TIMEOUT_S: u64 = 5;

/// WebSocket close codes (RFC 6455, section 7.4; those from 4400 on are our own).
pub mod close {
    /// A frame larger than [`super::MAX_FRAME`].
    pub const TOO_BIG: u16 = 1009;
    /// The relay's store failed.
    pub const STORE_ERROR: u16 = 1011;
    /// The relay restarts; sent after `Reconnect`.
    pub const RESTART: u16 = 1012;
    /// Try again later.
    pub const TRY_LATER: u16 = 1013;
    /// A frame that is text, incomplete, unknown, or not allowed at this point.
    pub const BAD_FRAME: u16 = 4400;
    /// The token has expired, or the device was revoked.
    pub const UNAUTHORIZED: u16 = 4401;
    /// No `Ack` for 60 s although the credit was used up.
    pub const SLOW_CONSUMER: u16 = 4408;
    /// The device has opened another connection, and this one was the oldest.
    pub const CONNECTED_ELSEWHERE: u16 = 4409;
    /// A schema version that this relay does not support.
    pub const SCHEMA: u16 = 4426;
    /// Too many frames.
    pub const FLOODING: u16 = 4429;
}
