//! The authorisation table: every route, every frame that a client may send, and who may use them.
//!
//! [`authorisation_table`](crate::authorisation_table) is the table. [`Route`] and [`Frame`] are generated from it,
//! and from these the routers and the check before each handler. Each of its cells also becomes a test
//! (`tests/relay/authorisation.rs`). A route or a frame without a row does not compile, and neither does a row
//! without a handler or without a cell.

use axum::routing::MethodFilter;
use sealpost_wire::frame::Body;

/// The table. It passes itself to the macro that is named.
///
/// A row contains a route, or a frame from a client, and the credentials that it requires. It is followed by its
/// cases, each with the result for each requester: the status of the response, or the code with which the relay
/// closes the socket. If a case `looks_like` another one, a stranger gets exactly the bytes of the other case's
/// response, so that somebody else's resource cannot be distinguished from one that does not exist.
///
/// | Requester | Who that is |
/// |---|---|
/// | anonymous | without credentials |
/// | forged | with a token for the member that this relay did not issue |
/// | expired | with an expired access token; its refresh token is valid |
/// | ended | logged out: the token's family has ended before the token expires |
/// | revoked | the device was revoked before the token expires |
/// | stranger | another user, who shares no thread with the member |
/// | member | the owner of the thread, mailbox, keys and devices, from the first device |
/// | companion | the same user, from the second device |
#[doc(hidden)]
#[macro_export]
macro_rules! authorisation_table {
    ($make:ident) => {
        $make! {
        //                                            anonymous forged expired ended revoked stranger member companion
        routes {
            Register (POST, "/v1/accounts", Proof) {
                register                                   [201 201 201 201 201 201 201 201];
            }
            DeleteAccount (DELETE, "/v1/account", Token) {
                delete_ones_account                        [401 401 401 401 401 204 204 403];
            }
            Refresh (POST, "/v1/auth/refresh", RefreshSecret) {
                refresh                                    [401 401 200 401 401 200 200 200];
            }
            Challenge (POST, "/v1/auth/challenge", Nothing) {
                ask_for_a_challenge                        [200 200 200 200 200 200 200 200];
                ask_for_a_challenge_for_nobody             [200 200 200 200 200 200 200 200];
            }
            Login (POST, "/v1/auth/login", Signature) {
                log_in                                     [401 401 200 200 401 200 200 200];
                log_in_as_the_member                       [401 401 200 200 401 401 200 401]
                    looks_like log_in_as_nobody;
                log_in_as_nobody                           [401 401 401 401 401 401 401 401];
            }
            Restore (POST, "/v1/accounts/restore", Signature) {
                take_ones_place_again                      [401 401 201 201 409 201 201 401];
                take_the_members_place                     [401 401 201 201 409 401 201 401];
            }
            Logout (POST, "/v1/auth/logout", Token) {
                log_out                                    [401 401 401 401 401 204 204 204];
            }
            ListDevices (GET, "/v1/devices", Token) {
                list_devices                               [401 401 401 401 401 200 200 200];
            }
            RevokeDevice (DELETE, "/v1/devices/{device}", Token) {
                revoke_ones_first_device                   [401 401 401 401 401 204 204 403];
                revoke_ones_second_device                  [401 401 401 401 401 404 204 204];
                revoke_no_device                           [401 401 401 401 401 404 404 403];
            }
            CountKeys (GET, "/v1/keys", Token) {
                count_ones_keys                            [401 401 401 401 401 200 200 200];
            }
            PutKeys (PUT, "/v1/keys", Token) {
                put_ones_keys                              [401 401 401 401 401 200 200 200];
            }
            TakeBundles (GET, "/v1/users/{user}/devices/{device}/prekeys", Token) {
                take_a_bundle_of_the_member                [401 401 401 401 401 200 200 200];
                take_a_bundle_of_nobody                    [401 401 401 401 401 404 404 404];
            }
            CreateThread (POST, "/v1/threads", Token) {
                open_a_thread_with_the_members_peer        [401 401 401 401 401 201 409 409];
                open_a_thread_with_nobody                  [401 401 401 401 401 404 404 404];
            }
            ShowThread (GET, "/v1/threads/{thread}", Token) {
                look_at_the_thread                         [401 401 401 401 401 404 200 200]
                    looks_like look_at_no_thread;
                look_at_no_thread                          [401 401 401 401 401 404 404 404];
            }
            AcceptThread (POST, "/v1/threads/{thread}/accept", Token) {
                accept_the_thread                          [401 401 401 401 401 404 204 204]
                    looks_like accept_no_thread;
                accept_no_thread                           [401 401 401 401 401 404 404 404];
            }
            Append (POST, "/v1/threads/{thread}/messages", Token) {
                append_to_the_thread                       [401 401 401 401 401 404 201 201]
                    looks_like append_to_no_thread;
                append_to_no_thread                        [401 401 401 401 401 404 404 404];
            }
            PageInbox (GET, "/v1/inbox", Token) {
                page_through_ones_mailbox                  [401 401 401 401 401 200 200 200];
            }
            AckInbox (POST, "/v1/inbox:ack", Token) {
                acknowledge_a_row                          [401 401 401 401 401 200 200 200]
                    looks_like acknowledge_no_row;
                acknowledge_no_row                         [401 401 401 401 401 200 200 200];
            }
            OpenSocket (GET, "/v1/ws", Nothing) {
                open_a_socket                              [101 101 101 101 101 101 101 101];
            }
            Alive (GET, "/healthz", Nothing) {
                ask_whether_it_lives                       [200 200 200 200 200 200 200 200];
            }
            Ready (GET, "/readyz", Nothing) {
                ask_whether_it_is_ready                    [200 200 200 200 200 200 200 200];
            }
            Metrics (GET, "/metrics", Operator) {
                look_for_metrics_among_the_public_routes   [404 404 404 404 404 404 404 404];
                ask_the_operators_listener_for_metrics     [200 200 200 200 200 200 200 200];
            }
        }
        frames {
            Hello {
                say_hello                                  [401 401 401 401 401 200 200 200];
                say_hello_as_another_device                [401 401 401 401 401 401 401 401];
            }
            Send {
                send_to_the_thread                         [4400 4401 4401 4401 4401 404 201 201]
                    looks_like send_to_no_thread;
                send_to_no_thread                          [4400 4401 4401 4401 4401 404 404 404];
            }
            Ack {
                acknowledge_a_row_by_frame                 [4400 4401 4401 4401 4401 200 200 200]
                    looks_like acknowledge_no_row_by_frame;
                acknowledge_no_row_by_frame                [4400 4401 4401 4401 4401 200 200 200];
            }
            Sync {
                drain_ones_mailbox                         [4400 4401 4401 4401 4401 200 200 200];
                ask_for_rows_of_the_thread                 [4400 4401 4401 4401 4401 200 200 200];
            }
            Ping {
                ping                                       [4400 4401 4401 4401 4401 200 200 200];
            }
            Credit {
                grant_credit                               [4400 4401 4401 4401 4401 204 204 204];
            }
        }
        }
    };
}

/// The credentials that a request must present before its handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// None.
    Nothing,
    /// The proof that this relay requires for a registration. It is in the body, and the handler checks it first.
    Proof,
    /// The secret of a refresh token. It is in the body, and the store compares it.
    RefreshSecret,
    /// A signature of the login key of a device. The body carries it, the handler verifies it.
    Signature,
    /// The access token of a live device, for [`Authenticated`](crate::auth::Authenticated).
    Token,
    /// Access to the operator's own listener; the route does not exist on the other one.
    Operator,
}

macro_rules! make_rows {
    (
        routes { $($route:ident ($method:ident, $path:literal, $shows:ident) {$(
            $case:ident [
                $anonymous:literal $forged:literal $expired:literal $ended:literal
                $revoked:literal $stranger:literal $member:literal $companion:literal
            ] $(looks_like $other:ident)?;
        )+})+ }
        frames { $($frame:ident {$(
            $frame_case:ident [
                $f_anonymous:literal $f_forged:literal $f_expired:literal $f_ended:literal
                $f_revoked:literal $f_stranger:literal $f_member:literal $f_companion:literal
            ] $(looks_like $f_other:ident)?;
        )+})+ }
    ) => {
        /// All routes of both listeners.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Route {
            $($route,)+
        }

        impl Route {
            pub(crate) const ALL: &[Self] = &[$(Self::$route,)+];

            pub(crate) const fn method(self) -> MethodFilter {
                match self {
                    $(Self::$route => MethodFilter::$method,)+
                }
            }

            pub(crate) const fn path(self) -> &'static str {
                match self {
                    $(Self::$route => $path,)+
                }
            }

            pub(crate) const fn shows(self) -> Shows {
                match self {
                    $(Self::$route => Shows::$shows,)+
                }
            }
        }

        /// All frames that a client may send. All except `Hello` must come after a `Hello` that was accepted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Frame {
            $($frame,)+
        }
    };
}

authorisation_table!(make_rows);

impl Frame {
    /// The row of a frame; `None` for a frame that only the relay sends.
    pub(crate) const fn of(body: &Body) -> Option<Self> {
        match body {
            Body::Hello(_) => Some(Self::Hello),
            Body::Send(_) => Some(Self::Send),
            Body::Ack(_) => Some(Self::Ack),
            Body::Sync(_) => Some(Self::Sync),
            Body::Ping(_) => Some(Self::Ping),
            Body::Credit(_) => Some(Self::Credit),
            Body::Welcome(_)
            | Body::SendAck(_)
            | Body::Deliver(_)
            | Body::AckOk(_)
            | Body::QueueEmpty(_)
            | Body::KeysLow(_)
            | Body::Reconnect(_)
            | Body::Error(_)
            | Body::Pong(_)
            | Body::Trimmed(_)
            | Body::Synced(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_are_of_one_route() {
        for (at, route) in Route::ALL.iter().enumerate() {
            let same = |other: &&Route| other.path() == route.path() && other.method() == route.method();
            assert_eq!(Route::ALL.iter().position(|other| same(&other)), Some(at), "{route:?}");
        }
    }
}
