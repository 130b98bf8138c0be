//! The limits that protect the service from overload: requests per account, concurrent requests, and memory for bodies
//! (`docs/api-reference.md#limits`).
//!
//! The numbers are settings. A request over a limit is rejected early, before it causes much work.

mod body_memory;
mod body_parser;
mod body_wait;
mod decoded_body;
mod export_slots;
mod rate_limit;
mod request_slots;
mod response_memory;
mod token_slots;
mod wrong_secrets;

use std::thread::available_parallelism;

use crate::config::HttpSettings;
use crate::fair_semaphore::FairSemaphore;

pub(super) use body_memory::BodyMemory;
pub(super) use body_parser::BodyParser;
pub(super) use body_wait::BodyWait;
pub(super) use export_slots::{ExportSlot, ExportSlots};
pub(super) use rate_limit::{RateLimitRecorder, RateLimitStatus, RateLimits};
pub(super) use request_slots::RequestSlots;
pub(super) use response_memory::{MAX_RESPONSE_BYTES, ResponseBuffer, ResponseMemory};
pub(super) use token_slots::TokenSlots;
pub(super) use wrong_secrets::WrongSecrets;

/// The limits of a running service, and their current use.
pub(super) struct Limits {
    /// The rate limits of accounts. `None` if there is no limit.
    pub(super) rates: Option<RateLimits>,
    /// The slots for concurrent requests.
    pub(super) slots: RequestSlots,
    /// The slots for exports.
    pub(super) exports: ExportSlots,
    /// The slots for requests to the token endpoint.
    pub(super) token_slots: TokenSlots,
    /// The limits on wrong secrets at the token endpoint.
    pub(super) wrong_secrets: WrongSecrets,
    /// The memory for request bodies.
    pub(super) bodies: BodyMemory,
    /// The parser of request bodies.
    pub(super) body_parser: BodyParser,
    /// The memory for responses.
    pub(super) responses: ResponseMemory,
    /// The permits for computations that take much memory: compressing a large response, and building the OpenAPI
    /// document of an account.
    pub(super) computations: FairSemaphore,
}

impl Limits {
    /// Returns unused limits.
    pub(super) fn new(settings: &HttpSettings) -> Self {
        let limits = &settings.limits;
        Self {
            rates: limits.rate_per_minute.map(RateLimits::new),
            slots: RequestSlots::new(limits.concurrent_requests, limits.long_polls),
            exports: ExportSlots::default(),
            token_slots: TokenSlots::new(),
            wrong_secrets: WrongSecrets::new(),
            bodies: BodyMemory::new(limits.buffered_body_bytes, limits.body_read_timeout),
            body_parser: BodyParser::new(max_computations()),
            responses: ResponseMemory::new(limits.buffered_response_bytes),
            computations: FairSemaphore::new(max_computations()),
        }
    }
}

/// Returns the number of large computations at a time. More would take memory and be no faster.
fn max_computations() -> usize {
    available_parallelism().map_or(1, usize::from) * 2
}
