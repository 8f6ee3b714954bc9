//! Limits that both sides keep.

/// Largest frame, in bytes, checked before decoding.
pub const MAX_FRAME: usize = 65_536;
/// Largest ciphertext of one copy, in bytes: its `Deliver` frame carries more about it than the `Send` did.
pub const MAX_CIPHERTEXT: usize = MAX_FRAME - 512;
/// Largest REST body, in bytes, but for the two that carry keys.
pub const MAX_BODY: usize = 65_536;
/// Largest body of `POST /v1/accounts` and `PUT /v1/keys`, in bytes: 100 one-time KEM keys alone have 164 kB.
pub const MAX_KEYS_BODY: usize = 256 << 10;
/// Most `Deliver` frames that may wait for an `Ack` on one connection.
pub const MAX_CREDIT: u32 = 256;
/// Most unacknowledged `Deliver` bytes on one connection.
pub const MAX_UNACKED_BYTES: usize = 1 << 20;
/// Most keys in one `Ack`.
pub const MAX_ACK_KEYS: usize = 512;
/// Most one-time keys of each kind in one upload.
pub const MAX_UPLOAD_KEYS: usize = 100;
/// Most one-time keys of each kind that the relay holds for one device.
pub const MAX_ONE_TIME_KEYS: u32 = 200;
/// Most lanes of one connection that are stopped at the same time.
pub const MAX_STOPPED_LANES: usize = 1_024;
/// Most threads in one `Sync`.
pub const MAX_CURSORS: usize = 64;
/// Largest registration id; the smallest is 1.
pub const MAX_REGISTRATION_ID: u32 = 16_380;
/// Largest `server_seq`, `epoch` and `roster_version` that an honest relay comes to.
pub const MAX_COUNT: u64 = 1 << 40;
/// Most rows in one inbox page.
pub const MAX_PAGE: u32 = 256;
/// How long a mailbox row lives, in seconds: 30 days.
pub const MAILBOX_TTL_S: u64 = 30 * 24 * 3600;
/// How long a `client_msg_id` is remembered, in milliseconds: 7 days.
pub const DEDUPE_WINDOW_MS: u64 = 7 * 24 * 3600 * 1000;
/// How far ahead of the relay's clock a `client_msg_id` may be, in milliseconds: 1 hour.
pub const CLOCK_AHEAD_MS: u64 = 3600 * 1000;
/// Largest mailbox of one device, in bytes of its rows, before rows of the thread that fills it most are trimmed.
pub const MAX_MAILBOX_BYTES: u64 = 64 << 20;
/// What a row counts in a mailbox besides its ciphertext, in bytes: what stands beside that on disk.
pub const ROW_BYTES: u64 = 256;
/// Most messages in a thread for a member who has not accepted it.
pub const MAX_REQUEST_MESSAGES: u64 = 16;
/// Most bytes of ciphertext in a thread for a member who has not accepted it.
pub const MAX_REQUEST_BYTES: u64 = 256 << 10;
/// Most threads in a mailbox that its owner has not accepted and that hold rows.
pub const MAX_REQUESTS: u64 = 1_024;
/// Most bytes of their rows, together: an eighth of a mailbox.
pub const MAX_REQUESTS_BYTES: u64 = 8 << 20;
/// The relay closes a socket after this many seconds without a frame.
pub const IDLE_CLOSE_S: u64 = 75;
/// The client pings this often, in seconds.
pub const PING_INTERVAL_S: u32 = 30;
/// The first frame must be `Hello` within this many seconds.
pub const HELLO_TIMEOUT_S: u64 = 5;

/// WebSocket close codes (RFC 6455, section 7.4, and our own from 4400).
pub mod close {
    /// A frame larger than [`super::MAX_FRAME`].
    pub const TOO_BIG: u16 = 1009;
    /// The relay's store failed.
    pub const STORE_ERROR: u16 = 1011;
    /// Restart, after `Reconnect`.
    pub const RESTART: u16 = 1012;
    /// Try later.
    pub const TRY_LATER: u16 = 1013;
    /// A frame that is text, half, unknown or not allowed here.
    pub const BAD_FRAME: u16 = 4400;
    /// The token expired, or the device was revoked.
    pub const UNAUTHORIZED: u16 = 4401;
    /// No `Ack` for 60 s with the credit used up.
    pub const SLOW_CONSUMER: u16 = 4408;
    /// The same device connected elsewhere.
    pub const CONNECTED_ELSEWHERE: u16 = 4409;
    /// A schema this relay does not speak.
    pub const SCHEMA: u16 = 4426;
    /// Too many frames.
    pub const FLOODING: u16 = 4429;
}
