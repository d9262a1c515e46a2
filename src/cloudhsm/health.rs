//! How the tokens are, by using them.

use futures_util::future::join_all;

use super::connection::Member;
use super::seat::Seat;
use super::token::{Description, TokenName};
use crate::backend::{BackendError, BackendErrorKind as Kind, Health, HealthStatus, ManagerInstance};

/// As many as a health report can have.
const MAX_INSTANCES: usize = 10;

/// Reads all tokens at the same time. An error only when none can be asked for want of a login.
pub(super) async fn read(members: &[Member], tokens: &[TokenName]) -> Result<Health, BackendError> {
    let readings = members.iter().take(MAX_INSTANCES).map(|member| async {
        let known = member.pool.token().described();
        match member.pool.call(token).await {
            Ok(reading) => Ok(reading),
            // A goodbye, or a library that is broken, is no reading.
            Err(error) if matches!(error.kind(), Kind::Closed | Kind::Panicked) => Err(error),
            Err(_) => Ok(Reading { described: known.clone(), status: HealthStatus::Unavailable }),
        }
    });
    let mut readings: Vec<Reading> = join_all(readings).await.into_iter().collect::<Result<_, _>>()?;
    let is_member = |name: &&TokenName| members.iter().any(|member| member.pool.token().name() == *name);
    // Those that were not there when the store was connected.
    let missing = tokens
        .iter()
        .filter(|name| !is_member(name))
        .map(|name| Reading { described: Description::unknown(name), status: HealthStatus::Unavailable });
    readings.extend(missing);
    readings.truncate(MAX_INSTANCES);
    let vendor = readings.iter().find_map(|reading| reading.described.vendor.clone());
    let mut instances: Vec<ManagerInstance> = Vec::new();
    for Reading { described: Description { id, model, .. }, status } in readings {
        // One token by two names, or of a vendor who numbers none.
        let is_free = |id: &String| instances.iter().all(|other| other.id != *id);
        let numbered = (2..).map(|nth| format!("{id} #{nth}"));
        let id = std::iter::once(id.clone()).chain(numbered).find(is_free).unwrap_or_default();
        instances.push(ManagerInstance::new(id, model, status));
    }
    Ok(Health::new(vendor.unwrap_or_else(|| "unknown".to_owned()), instances))
}

struct Reading {
    described: Description,
    status: HealthStatus,
}

/// Draws a random number, which takes a session that works and a login where the token wants one; what the token says
/// of itself alone would be fine with nobody logged in.
fn token(seat: &mut Seat) -> Result<Reading, BackendError> {
    seat.perform(|session, token| {
        session.get_session_info()?;
        session.generate_random_slice(&mut [0; 16])?;
        let info = token.info()?;
        let status = if info.error_state() || !token.is_entered() {
            HealthStatus::Unavailable
        } else if info.user_pin_count_low() || info.user_pin_final_try() || info.user_pin_to_be_changed() {
            HealthStatus::Degraded
        } else {
            HealthStatus::Active
        };
        // Its firmware may be another since it was found; what it is called stays.
        let id = token.known().described().id.clone();
        Ok(Ok(Reading { described: Description { id, ..Description::new(&info) }, status }))
    })
}
