//! The limit of file descriptors, and the connections that it allows.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The file descriptors for everything but connections of callers and of the database pool: log, listeners, metrics, key
/// sets, traces.
const OTHER_DESCRIPTORS: u64 = 64;

/// Raises the soft limit of file descriptors to the hard one. Then returns the maximum number of connections of callers:
/// `configured`, or fewer if the limit does not allow that many beside the connections to the database. Otherwise idle
/// callers could take the descriptors that the service needs to reach its database.
pub(super) fn limit_connections(configured: usize, database_connections: u32) -> usize {
    let Some(limit) = raise_limit() else { return configured };
    let effective = allowed_connections(configured, database_connections, limit);
    if effective < configured {
        tracing::warn!(
            configured,
            effective,
            file_descriptors = limit,
            "MAX_CONNECTIONS is lowered: the limit of file descriptors (ulimit -n) does not allow more"
        );
    }
    effective
}

/// Raises the soft limit to the hard one. Returns the resulting limit, or `None` if it cannot be read.
fn raise_limit() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Some(hard);
    }
    Some(soft)
}

fn allowed_connections(configured: usize, database_connections: u32, limit: u64) -> usize {
    let allowed = limit.saturating_sub(u64::from(database_connections) + OTHER_DESCRIPTORS).max(1);
    usize::try_from(allowed).unwrap_or(usize::MAX).min(configured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_database_and_for_the_rest() {
        assert_eq!(allowed_connections(8_192, 16, 1_024), 944);
        assert_eq!(allowed_connections(8_192, 16, 8_272), 8_192);
        assert_eq!(allowed_connections(100, 16, 1 << 20), 100);
        assert_eq!(allowed_connections(8_192, 16, u64::MAX), 8_192);
        assert_eq!(allowed_connections(8_192, 16, 48), 1);
    }
}
