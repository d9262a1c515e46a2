//! How the tokens are, by using them.

use futures_util::future::join_all;

use super::connection::Member;
use super::seat::Seat;
use super::token::TokenName;
use crate::backend::{BackendError, BackendErrorKind as Kind, Health, HealthStatus, ManagerInstance};

/// As many as a health report can have.
const MAX_INSTANCES: usize = 10;

/// Reads all tokens at the same time. An error only when none can be asked for want of a login.
pub(super) async fn read(members: &[Member], tokens: &[TokenName]) -> Result<Health, BackendError> {
    let readings = members.iter().take(MAX_INSTANCES).map(|member| async {
        let name = member.pool.token().name().to_string();
        match member.pool.call(token).await {
            Ok(reading) => Ok(reading),
            // A goodbye, or a library that is broken, is no reading.
            Err(error) if matches!(error.kind(), Kind::Closed | Kind::Panicked) => Err(error),
            Err(error) => Ok(Reading {
                vendor: None,
                instance: ManagerInstance::new(name, error.to_string(), HealthStatus::Unavailable),
            }),
        }
    });
    let mut readings: Vec<Reading> = join_all(readings).await.into_iter().collect::<Result<_, _>>()?;
    let is_member = |name: &&TokenName| members.iter().any(|member| member.pool.token().name() == *name);
    let missing = tokens.iter().filter(|name| !is_member(name)).map(|name| Reading {
        vendor: None,
        instance: ManagerInstance::new(
            name.to_string(),
            "was not there when the store was connected",
            HealthStatus::Unavailable,
        ),
    });
    readings.extend(missing);
    readings.truncate(MAX_INSTANCES);
    let vendor =
        readings.iter().find_map(|reading| reading.vendor.clone()).unwrap_or_else(|| "unknown".to_owned());
    Ok(Health::new(vendor, readings.into_iter().map(|reading| reading.instance).collect()))
}

struct Reading {
    vendor: Option<String>,
    instance: ManagerInstance,
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
        let id = match info.serial_number() {
            "" => token.known().name().to_string(),
            serial => serial.to_owned(),
        };
        let model = format!("{} {} {}", info.manufacturer_id(), info.model(), info.firmware_version());
        let instance = ManagerInstance::new(id, model.trim(), status);
        Ok(Ok(Reading { vendor: Some(info.manufacturer_id().to_owned()), instance }))
    })
}
