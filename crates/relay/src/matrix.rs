//! The authorisation table: every route, every frame that a client may send, and who may use them.
//!
//! [`authorisation_table`](crate::authorisation_table) is the table. [`Route`] and [`Frame`] are generated from it,
//! and from these the routers and the check before each handler. Each of its cells also becomes a test
//! (`tests/relay/authorisation.rs`). A route or a frame without a row does not compile, and neither does a row
//! without a handler or without a cell.

use axum::routing::MethodFilter;
use sealpost_wire::frame::Body;

/// The table, which is passed to the macro that is named as the argument.
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
                delete_own_account                         [401 401 401 401 401 204 204 403];
            }
            Refresh (POST, "/v1/auth/refresh", RefreshSecret) {
                refresh                                    [401 401 200 401 401 200 200 200];
            }
            Challenge (POST, "/v1/auth/challenge", Nothing) {
                request_a_challenge                        [200 200 200 200 200 200 200 200];
                request_a_challenge_for_an_unknown_user    [200 200 200 200 200 200 200 200];
            }
            Login (POST, "/v1/auth/login", Signature) {
                log_in                                     [401 401 200 200 401 200 200 200];
                log_in_as_the_member                       [401 401 200 200 401 401 200 401]
                    looks_like log_in_as_an_unknown_user;
                log_in_as_an_unknown_user                  [401 401 401 401 401 401 401 401];
            }
            Restore (POST, "/v1/accounts/restore", Signature) {
                restore_own_device                         [401 401 201 201 409 201 201 401];
                restore_the_device_of_the_member           [401 401 201 201 409 401 201 401];
            }
            Logout (POST, "/v1/auth/logout", Token) {
                log_out                                    [401 401 401 401 401 204 204 204];
            }
            ListDevices (GET, "/v1/devices", Token) {
                list_devices                               [401 401 401 401 401 200 200 200];
            }
            RevokeDevice (DELETE, "/v1/devices/{device}", Token) {
                revoke_own_first_device                    [401 401 401 401 401 204 204 403];
                revoke_own_second_device                   [401 401 401 401 401 404 204 204];
                revoke_an_unknown_device                   [401 401 401 401 401 404 404 403];
            }
            PutDeviceList (PUT, "/v1/device-list", Token) {
                upload_own_device_list                     [401 401 401 401 401 204 204 403];
            }
            MoveAccount (PUT, "/v1/primary", Token) {
                move_the_account_to_own_second_device      [401 401 401 401 401 404 204 403];
            }
            ShowDeviceList (GET, "/v1/users/{user}/device-list", Token) {
                get_the_device_list_of_the_member          [401 401 401 401 401 200 200 200];
                get_the_device_list_of_an_unknown_user     [401 401 401 401 401 404 404 404];
            }
            BeginLink (POST, "/v1/links", Nothing) {
                begin_a_link                               [201 201 201 201 201 201 201 201];
            }
            LinkAsPrimary (PUT, "/v1/links/{link}/primary", Token) {
                use_a_link_of_the_member                   [401 401 401 401 401 409 200 403];
                use_an_unknown_link                        [401 401 401 401 401 404 404 403];
            }
            LinkAsCompanion (PUT, "/v1/links/{link}/companion", LinkSecret) {
                use_a_link_as_its_companion                [200 200 200 200 200 200 200 200];
                use_a_link_with_another_secret             [404 404 404 404 404 404 404 404]
                    looks_like use_an_unknown_link_as_companion;
                use_an_unknown_link_as_companion           [404 404 404 404 404 404 404 404];
            }
            TakeLinkToken (POST, "/v1/link-tokens", Token) {
                take_a_link_token                          [401 401 401 401 401 201 201 403];
            }
            LinkDevice (POST, "/v1/devices:link", LinkToken) {
                link_a_device_of_the_member                [201 201 201 201 201 201 201 201];
                link_a_device_with_a_forged_token          [403 403 403 403 403 403 403 403];
            }
            CountKeys (GET, "/v1/keys", Token) {
                count_own_keys                             [401 401 401 401 401 200 200 200];
            }
            PutKeys (PUT, "/v1/keys", Token) {
                upload_own_keys                            [401 401 401 401 401 200 200 200];
            }
            TakeBundles (GET, "/v1/users/{user}/devices/{device}/prekeys", Token) {
                fetch_a_bundle_of_the_member               [401 401 401 401 401 200 200 200];
                fetch_a_bundle_of_an_unknown_user          [401 401 401 401 401 404 404 404];
            }
            CreateThread (POST, "/v1/threads", Token) {
                open_a_thread_with_the_members_peer        [401 401 401 401 401 201 409 409];
                open_a_thread_with_an_unknown_user         [401 401 401 401 401 404 404 404];
                open_own_note_to_self                      [401 401 401 401 401 201 201 201];
                open_own_note_to_self_under_another_id     [401 401 401 401 401 400 400 400];
                open_a_thread_with_the_member_as_their_note [401 401 401 401 401 400 400 400];
            }
            ShowThread (GET, "/v1/threads/{thread}", Token) {
                get_the_thread                             [401 401 401 401 401 404 200 200]
                    looks_like get_an_unknown_thread;
                get_an_unknown_thread                      [401 401 401 401 401 404 404 404];
            }
            AcceptThread (POST, "/v1/threads/{thread}/accept", Token) {
                accept_the_thread                          [401 401 401 401 401 404 204 204]
                    looks_like accept_an_unknown_thread;
                accept_an_unknown_thread                   [401 401 401 401 401 404 404 404];
            }
            CreateGroup (POST, "/v1/groups", Token) {
                create_a_group                             [401 401 401 401 401 201 201 201];
                create_a_group_as_the_member               [401 401 401 401 401 400 201 400];
            }
            ChangeRoster (POST, "/v1/threads/{thread}/roster", Token) {
                change_the_timer_of_the_group              [401 401 401 401 401 404 201 201]
                    looks_like change_the_timer_of_an_unknown_group;
                change_the_timer_of_an_unknown_group       [401 401 401 401 401 404 404 404];
            }
            ShowRoster (GET, "/v1/threads/{thread}/roster", Token) {
                get_the_roster                             [401 401 401 401 401 404 200 200]
                    looks_like get_the_roster_of_an_unknown_group;
                get_the_roster_of_an_unknown_group         [401 401 401 401 401 404 404 404];
            }
            Block (PUT, "/v1/blocks/{user}", Token) {
                block_the_member                           [401 401 401 401 401 204 403 403]
                    looks_like block_an_unknown_user;
                block_an_unknown_user                      [401 401 401 401 401 204 204 204];
            }
            Unblock (DELETE, "/v1/blocks/{user}", Token) {
                unblock_the_member                         [401 401 401 401 401 204 204 204]
                    looks_like unblock_an_unknown_user;
                unblock_an_unknown_user                    [401 401 401 401 401 204 204 204];
            }
            Append (POST, "/v1/threads/{thread}/messages", Token) {
                append_to_the_thread                       [401 401 401 401 401 404 201 201]
                    looks_like append_to_an_unknown_thread;
                append_to_an_unknown_thread                [401 401 401 401 401 404 404 404];
                post_in_the_group                          [401 401 401 401 401 404 201 201]
                    looks_like post_in_an_unknown_group;
                post_in_an_unknown_group                   [401 401 401 401 401 404 404 404];
            }
            PostMail (POST, "/v1/threads/{thread}/mail", Token) {
                post_mail                                  [401 401 401 401 401 404 201 201]
                    looks_like post_mail_in_an_unknown_thread;
                post_mail_in_an_unknown_thread             [401 401 401 401 401 404 404 404];
                post_ephemeral_mail                        [401 401 401 401 401 404 200 200]
                    looks_like post_ephemeral_mail_in_an_unknown_thread;
                post_ephemeral_mail_in_an_unknown_thread   [401 401 401 401 401 404 404 404];
            }
            PageInbox (GET, "/v1/inbox", Token) {
                read_own_mailbox                           [401 401 401 401 401 200 200 200];
            }
            AckInbox (POST, "/v1/inbox:ack", Token) {
                acknowledge_a_row                          [401 401 401 401 401 200 200 200]
                    looks_like acknowledge_an_unknown_row;
                acknowledge_an_unknown_row                 [401 401 401 401 401 200 200 200];
            }
            OpenSocket (GET, "/v1/ws", Nothing) {
                open_a_socket                              [101 101 101 101 101 101 101 101];
            }
            Alive (GET, "/healthz", Nothing) {
                request_liveness                           [200 200 200 200 200 200 200 200];
            }
            Ready (GET, "/readyz", Nothing) {
                request_readiness                          [200 200 200 200 200 200 200 200];
            }
            Metrics (GET, "/metrics", Operator) {
                request_metrics_on_the_public_listener     [404 404 404 404 404 404 404 404];
                request_metrics_on_the_operators_listener  [200 200 200 200 200 200 200 200];
            }
        }
        frames {
            Hello {
                say_hello                                  [401 401 401 401 401 200 200 200];
                say_hello_as_another_device                [401 401 401 401 401 401 401 401];
            }
            Send {
                send_to_the_thread                         [4400 4401 4401 4401 4401 404 201 201]
                    looks_like send_to_an_unknown_thread;
                send_to_an_unknown_thread                  [4400 4401 4401 4401 4401 404 404 404];
                send_to_the_group                          [4400 4401 4401 4401 4401 404 201 201]
                    looks_like send_to_an_unknown_group;
                send_to_an_unknown_group                   [4400 4401 4401 4401 4401 404 404 404];
            }
            Mail {
                mail_a_device_of_the_thread                [4400 4401 4401 4401 4401 404 201 201]
                    looks_like mail_a_device_of_an_unknown_thread;
                mail_a_device_of_an_unknown_thread         [4400 4401 4401 4401 4401 404 404 404];
                pass_on_ephemeral_mail                     [4400 4401 4401 4401 4401 404 200 200]
                    looks_like pass_on_ephemeral_mail_in_an_unknown_thread;
                pass_on_ephemeral_mail_in_an_unknown_thread [4400 4401 4401 4401 4401 404 404 404];
            }
            Ack {
                acknowledge_a_row_by_frame                 [4400 4401 4401 4401 4401 200 200 200]
                    looks_like acknowledge_an_unknown_row_by_frame;
                acknowledge_an_unknown_row_by_frame        [4400 4401 4401 4401 4401 200 200 200];
            }
            AckMail {
                acknowledge_mail                           [4400 4401 4401 4401 4401 200 200 200]
                    looks_like acknowledge_unknown_mail;
                acknowledge_unknown_mail                   [4400 4401 4401 4401 4401 200 200 200];
            }
            Sync {
                drain_own_mailbox                          [4400 4401 4401 4401 4401 200 200 200];
                request_rows_of_the_thread                 [4400 4401 4401 4401 4401 200 200 200];
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
pub(crate) enum Credentials {
    /// None.
    Nothing,
    /// The proof that this relay requires for a registration. It is in the body, and the handler checks it first.
    Proof,
    /// The secret of a refresh token. It is in the body, and the store compares it.
    RefreshSecret,
    /// A signature of the login key of a device. The body carries it, the handler verifies it.
    Signature,
    /// The secret of a link. It is in the body, and the handler compares it.
    LinkSecret,
    /// A link token. It is in the body, and the store compares it.
    LinkToken,
    /// The access token of a live device, for [`Authenticated`](crate::auth::Authenticated).
    Token,
    /// Access to the operator's own listener; the route does not exist on the other one.
    Operator,
}

macro_rules! make_rows {
    (
        routes { $($route:ident ($method:ident, $path:literal, $credentials:ident) {$(
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

            pub(crate) const fn credentials(self) -> Credentials {
                match self {
                    $(Self::$route => Credentials::$credentials,)+
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
            Body::Mail(_) => Some(Self::Mail),
            Body::Ack(_) => Some(Self::Ack),
            Body::AckMail(_) => Some(Self::AckMail),
            Body::Sync(_) => Some(Self::Sync),
            Body::Ping(_) => Some(Self::Ping),
            Body::Credit(_) => Some(Self::Credit),
            Body::Welcome(_)
            | Body::SendAck(_)
            | Body::Deliver(_)
            | Body::DeliverMail(_)
            | Body::AckOk(_)
            | Body::QueueEmpty(_)
            | Body::KeysLow(_)
            | Body::Reconnect(_)
            | Body::Error(_)
            | Body::Pong(_)
            | Body::Trimmed(_)
            | Body::Synced(_)
            | Body::FanoutDone(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_one_row() {
        for (at, route) in Route::ALL.iter().enumerate() {
            let same = |other: &&Route| other.path() == route.path() && other.method() == route.method();
            assert_eq!(Route::ALL.iter().position(|other| same(&other)), Some(at), "{route:?}");
        }
    }
}
