//! The proxies whose `X-Forwarded-For` header is trusted.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::settings_reader::SettingsReader;

/// The number of bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_PREFIX_BITS: u8 = 96;

/// The networks of the proxies in front of the service. By default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Parses addresses and CIDR networks, joined by commas. Returns `None` if one of them is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.split(',').map(|part| parse_network(part.trim())).collect::<Option<_>>().map(Self)
    }

    /// Returns whether the address belongs to a trusted proxy. An IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl SettingsReader<'_> {
    pub(super) fn read_trusted_proxies(&mut self) -> TrustedProxies {
        let Some(text) = self.read_text("TRUSTED_PROXIES") else { return TrustedProxies::default() };
        TrustedProxies::parse(&text).unwrap_or_else(|| {
            let rule = "must be addresses or networks joined by commas, such as 10.0.0.0/8,192.0.2.7,fd00::/8";
            self.add_problem("TRUSTED_PROXIES", rule);
            TrustedProxies::default()
        })
    }
}

/// Parses a network, or an address as a network of one address. An IPv4-mapped network becomes an IPv4 network.
fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    let mapped = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::new(address, network.prefix_len().checked_sub(MAPPED_PREFIX_BITS)?).ok(),
        IpAddr::V6(_) => None,
    };
    match network {
        IpNet::V4(_) => Some(network),
        IpNet::V6(v6) => Some(mapped(v6.addr().into()).map_or(network, IpNet::V4)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.0.0.0/8, 192.0.2.7,fd00::/8", "10.1.2.3", true)]
    #[case("10.0.0.0/8, 192.0.2.7,fd00::/8", "::ffff:10.1.2.3", true)]
    #[case("10.0.0.0/8, 192.0.2.7,fd00::/8", "192.0.2.7", true)]
    #[case("10.0.0.0/8, 192.0.2.7,fd00::/8", "192.0.2.8", false)]
    #[case("10.0.0.0/8, 192.0.2.7,fd00::/8", "fd12::1", true)]
    #[case("10.0.0.0/8, 192.0.2.7,fd00::/8", "fe80::1", false)]
    #[case("::ffff:10.0.0.0/104", "10.1.2.3", true)]
    #[case("::ffff:10.0.0.1", "10.0.0.2", false)]
    #[case("::/0", "10.0.0.2", false)]
    fn network_contains_its_addresses(#[case] networks: &str, #[case] address: &str, #[case] is_contained: bool) {
        let proxies = TrustedProxies::parse(networks).expect("networks");
        assert_eq!(proxies.contains(address.parse().expect("an address")), is_contained);
    }

    #[test]
    fn malformed_network_is_rejected() {
        for text in ["proxy.example", "10.0.0.0/33", "10.0.0", "10.0.0.1,", "10.0.0.1 10.0.0.2", "10.0.0.1:80", "*"] {
            assert_eq!(TrustedProxies::parse(text), None, "{text}");
        }
    }
}
