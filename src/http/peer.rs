//! The peer of a request: the address that the request comes from (`docs/operations.md#logs`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::HeaderMap;

use crate::config::TrustedProxies;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// The bits of an IPv6 address that identify a subscriber. A subscriber chooses the others freely.
const IPV6_NETWORK_BITS: u32 = 64;

/// The other end of the TCP connection that a request arrived on. The server adds it to each request as an extension.
#[derive(Debug, Clone, Copy)]
pub(super) struct TcpPeer(pub(super) IpAddr);

/// The address that a request comes from: the TCP peer or, behind trusted proxies, the client of the outermost one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer(IpAddr);

impl Peer {
    /// Returns the peer of a request. Callers can send any `X-Forwarded-For`, so the header counts only if it comes from
    /// a trusted proxy.
    pub(super) fn from_request(request: &Request, trusted: &TrustedProxies) -> Self {
        let tcp_peer = request.extensions().get().map_or(Ipv4Addr::UNSPECIFIED.into(), |TcpPeer(address)| *address);
        Self(forwarded_peer(tcp_peer, request.headers(), trusted).to_canonical())
    }

    /// Returns the address.
    pub(super) fn address(self) -> IpAddr {
        self.0
    }

    /// Returns the network that limits count as one peer: an IPv4 address, or a /64 network of IPv6.
    pub(super) fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => {
                let host_bits = u128::BITS - IPV6_NETWORK_BITS;
                Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits).into()
            }
        }
    }
}

/// Follows `X-Forwarded-For` from the right, where the nearest proxy adds its client, to the first address that is not a
/// trusted proxy. An entry that is not an address ends the search at the proxy that added it.
fn forwarded_peer(tcp_peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let mut peer = tcp_peer;
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut entries = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(',').map(parse_entry));
    while trusted.contains(peer) {
        match entries.next().flatten() {
            Some(address) => peer = address,
            None => break,
        }
    }
    peer
}

/// Parses an address. Some proxies add the port.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let without_port = || entry.parse().ok().map(|address: std::net::SocketAddr| address.ip());
    entry.parse().ok().or_else(without_port)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use rstest::rstest;

    use super::*;

    fn peer(tcp_peer: &str, forwarded_for: &[&str]) -> Peer {
        let trusted = TrustedProxies::parse("10.0.0.0/8,fd00::/8").expect("networks");
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(TcpPeer(tcp_peer.parse().expect("an address")));
        for value in forwarded_for {
            request.headers_mut().append(FORWARDED_FOR, value.parse().expect("a header"));
        }
        Peer::from_request(&request, &trusted)
    }

    #[rstest]
    #[case("192.0.2.1", &["198.51.100.1"], "192.0.2.1")]
    #[case("10.0.0.1", &[], "10.0.0.1")]
    #[case("10.0.0.1", &["198.51.100.1"], "198.51.100.1")]
    #[case("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1")]
    #[case("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1")]
    #[case("10.0.0.1", &["203.0.113.9,198.51.100.1 , 10.0.0.2"], "198.51.100.1")]
    #[case("10.0.0.1", &["203.0.113.9", "198.51.100.1", "10.0.0.2"], "198.51.100.1")]
    #[case("10.0.0.1", &["198.51.100.1:1234"], "198.51.100.1")]
    #[case("fd00::1", &["[2001:db8::1]:1234"], "2001:db8::1")]
    #[case("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3")]
    #[case("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2")]
    #[case("10.0.0.1", &[""], "10.0.0.1")]
    fn peer_is_the_rightmost_address_that_is_not_a_trusted_proxy(
        #[case] tcp_peer: &str,
        #[case] forwarded_for: &[&str],
        #[case] expected: &str,
    ) {
        assert_eq!(peer(tcp_peer, forwarded_for).address().to_string(), expected);
    }

    #[test]
    fn limits_count_an_ipv6_network_of_64_bits_as_one_peer() {
        let network = |address| peer(address, &[]).network().to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
