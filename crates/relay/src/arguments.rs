//! The command line.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use sealpost_relay::limits::Limits;
use sealpost_relay::{Config, Registration, TlsFiles};

/// The usage text.
pub(crate) const USAGE: &str = "\
sealpost-relay --data DIR [--listen ADDR] [--registration dev|closed]
               [--tls-cert FILE --tls-key FILE | --insecure-plain]
               [--trusted-proxy IP]... [--connections-per-address N] [--metrics PORT|ADDR] [--new-epoch]

  --data DIR            the folder of the database and the signing key
  --listen ADDR         address and port to listen on, 127.0.0.1:8443 by default; port 0 selects a free port
  --registration dev    anybody may register; for development only
  --registration closed nobody may register (the default)
  --tls-cert, --tls-key PEM files; without them the relay uses plain HTTP, and on loopback only
  --insecure-plain      allow plain HTTP on any address, for a relay behind a proxy that terminates TLS
  --trusted-proxy IP    the address of a proxy in front of the relay; may be repeated. Requests from it are charged to
                        the network of the last address in X-Forwarded-For. Any other peer is charged to its own
                        network, and a peer on loopback is not limited
  --connections-per-address N
                        the maximum number of connections of one IPv4 address or IPv6 /64 network: by default 1000
                        with TLS and unlimited without, because all connections of a proxy have the same address
  --metrics PORT|ADDR   serve /metrics in plain HTTP on this loopback port, or on this address and port; there are no
                        metrics by default
  --new-epoch           after restoring a backup: invalidate the sequence numbers assigned since, and exit";

/// The default number of connections of one address with TLS. Many people may share one router or one carrier-grade
/// NAT.
const CONNECTIONS: usize = 1_000;

/// Why a command line is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadArguments {
    #[error("unknown argument")]
    Unknown,
    #[error("{0} requires a value")]
    NoValue(&'static str),
    #[error("invalid value for {0}")]
    BadValue(&'static str),
    #[error("--data is missing")]
    NoData,
    #[error("--tls-cert and --tls-key must be given together")]
    IncompleteTls,
}

/// What the command line asks the program to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Serve,
    NewEpoch,
    Help,
}

/// A parsed command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) config: Config,
}

impl Arguments {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, BadArguments> {
        let (mut data, mut cert, mut key) = (None, None, None);
        let mut listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);
        let mut registration = Registration::Closed;
        let (mut command, mut insecure_plain) = (Command::Serve, false);
        let (mut connections, mut metrics, mut trusted_proxies) = (None, None, Vec::new());
        while let Some(name) = arguments.next() {
            let mut path = |name| arguments.next().map(PathBuf::from).ok_or(BadArguments::NoValue(name));
            match name.to_str() {
                Some("--data") => data = Some(path("--data")?),
                Some("--tls-cert") => cert = Some(path("--tls-cert")?),
                Some("--tls-key") => key = Some(path("--tls-key")?),
                Some("--listen") => {
                    let addr = path("--listen")?;
                    let addr = addr.to_str().and_then(|addr| addr.parse().ok());
                    listen = addr.ok_or(BadArguments::BadValue("--listen"))?;
                }
                Some("--registration") => {
                    registration = match path("--registration")?.to_str() {
                        Some("dev") => Registration::Dev,
                        Some("closed") => Registration::Closed,
                        _ => return Err(BadArguments::BadValue("--registration")),
                    }
                }
                Some("--connections-per-address") => {
                    let most = path("--connections-per-address")?;
                    let most = most.to_str().and_then(|most| most.parse().ok()).filter(|most| *most > 0);
                    connections = Some(most.ok_or(BadArguments::BadValue("--connections-per-address"))?);
                }
                Some("--trusted-proxy") => {
                    let proxy = path("--trusted-proxy")?;
                    let proxy = proxy.to_str().and_then(|proxy| proxy.parse().ok());
                    trusted_proxies.push(proxy.ok_or(BadArguments::BadValue("--trusted-proxy"))?);
                }
                Some("--metrics") => {
                    let addr = path("--metrics")?;
                    let addr = addr.to_str().and_then(port_or_address);
                    metrics = Some(addr.ok_or(BadArguments::BadValue("--metrics"))?);
                }
                Some("--insecure-plain") => insecure_plain = true,
                Some("--new-epoch") => command = Command::NewEpoch,
                Some("--help" | "-h") => command = Command::Help,
                _ => return Err(BadArguments::Unknown),
            }
        }
        let tls = match (cert, key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            _ => return Err(BadArguments::IncompleteTls),
        };
        let data = match (data, &command) {
            (Some(data), _) => data,
            (None, Command::Help) => PathBuf::new(),
            (None, _) => return Err(BadArguments::NoData),
        };
        let mut limits = Limits::default();
        limits.connections = connections.or_else(|| tls.is_some().then_some(CONNECTIONS));
        let config = Config {
            listen,
            tls,
            insecure_plain,
            trusted_proxies,
            registration,
            metrics,
            limits,
            ..Config::local(data)
        };
        Ok(Self { command, config })
    }
}

/// Parses a port, which means one on loopback, or an address with a port.
fn port_or_address(text: &str) -> Option<SocketAddr> {
    let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    text.parse().map(local).or_else(|_| text.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, BadArguments> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_full_command_line() {
        let line = "--data d --listen 0.0.0.0:9 --registration dev --tls-cert c --tls-key k";
        let Arguments { command, config } = parse(line).unwrap();
        assert_eq!(command, Command::Serve);
        assert_eq!(config.listen.to_string(), "0.0.0.0:9");
        assert_eq!(config.registration, Registration::Dev);
        assert_eq!(config.tls.unwrap().key, PathBuf::from("k"));
        assert!(!config.insecure_plain);
    }

    #[test]
    fn nobody_can_register_by_default() {
        assert_eq!(parse("--data d").unwrap().config.registration, Registration::Closed);
    }

    #[test]
    fn connections_are_limited_by_address_only_with_tls() {
        let connections = |line| parse(line).unwrap().config.limits.connections;
        assert_eq!(connections("--data d"), None);
        assert_eq!(connections("--data d --insecure-plain"), None);
        assert_eq!(connections("--data d --tls-cert c --tls-key k"), Some(1_000));
        assert_eq!(connections("--data d --connections-per-address 7"), Some(7));
        let none = parse("--data d --connections-per-address 0");
        assert_eq!(none.unwrap_err(), BadArguments::BadValue("--connections-per-address"));
    }

    #[test]
    fn proxies_are_named_one_by_one() {
        let proxies = |line| parse(line).map(|arguments| arguments.config.trusted_proxies);
        assert_eq!(proxies("--data d").unwrap(), [] as [IpAddr; 0]);
        let two = proxies("--data d --trusted-proxy 127.0.0.1 --trusted-proxy ::1").unwrap();
        assert_eq!(two, ["127.0.0.1", "::1"].map(|proxy| proxy.parse::<IpAddr>().unwrap()));
        let name = proxies("--data d --trusted-proxy proxy.example");
        assert_eq!(name.unwrap_err(), BadArguments::BadValue("--trusted-proxy"));
    }

    #[test]
    fn metrics_are_local_unless_an_address_is_given() {
        let metrics = |line| parse(line).unwrap().config.metrics.map(|addr| addr.to_string());
        assert_eq!(metrics("--data d"), None);
        assert_eq!(metrics("--data d --metrics 9464").unwrap(), "127.0.0.1:9464");
        assert_eq!(metrics("--data d --metrics 10.0.0.5:9464").unwrap(), "10.0.0.5:9464");
        assert_eq!(parse("--data d --metrics on").unwrap_err(), BadArguments::BadValue("--metrics"));
    }

    #[test]
    fn mistakes_in_arguments_are_reported() {
        assert_eq!(parse("").unwrap_err(), BadArguments::NoData);
        assert_eq!(parse("--data").unwrap_err(), BadArguments::NoValue("--data"));
        assert_eq!(parse("--data d --tls-key k").unwrap_err(), BadArguments::IncompleteTls);
        assert_eq!(parse("--data d --listen here").unwrap_err(), BadArguments::BadValue("--listen"));
        assert_eq!(parse("--data d --quick").unwrap_err(), BadArguments::Unknown);
        assert_eq!(parse("--help").unwrap().command, Command::Help);
    }
}
