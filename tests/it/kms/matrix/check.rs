//! How a cell is checked.

use custom_key_store::ConnectionState;
use custom_key_store::KeyState;
use custom_key_store::kms::{Action, ConnectionEvents, Exception};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;

use super::direct::Direct;
use super::level::{Level, Refused};
use super::table::{Cell, Outcome, Row};
use super::world::{Place, World, soon};
use crate::kms::support::turn;

/// What the matrix says that is not so.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<String>,
    pub(super) cells: usize,
}

impl Findings {
    pub(super) fn assert_none(&self) {
        let Self { found, cells } = self;
        assert!(found.is_empty(), "{} of {cells} cells are wrong:\n{}", found.len(), found.join("\n"));
    }

    /// Checks the cells of this place, each in a world in which nothing has happened yet.
    pub(super) async fn check<L: Level, const STATES: usize>(
        &mut self,
        place: Place,
        column: usize,
        rows: impl Iterator<Item = &Row<STATES>>,
    ) {
        let mut rows = rows.filter(|row| L::IS_PROTOCOL || !row.over_http_alone).peekable();
        while rows.peek().is_some() {
            let visit = async |world: &mut World| {
                let level = L::to(world);
                let before = world.snapshot().await;
                for row in rows.by_ref() {
                    self.cells += 1;
                    let cell = row.cells[column];
                    match held(&level, world, &before, row, cell).await {
                        Err(wrong) => {
                            let Row { operation, what, .. } = row;
                            self.found.push(format!("{}: {operation} {what} in {place:?}: {wrong}", L::NAME));
                            return;
                        }
                        Ok(After::Another) => return,
                        Ok(After::TheSame) => {}
                    }
                }
            };
            World::visit(place, visit).await;
        }
    }
}

/// What the world is after a cell.
enum After {
    TheSame,
    Another,
}

async fn held<L: Level, const STATES: usize>(
    level: &L,
    world: &mut World,
    before: &Value,
    row: &Row<STATES>,
    cell: Cell,
) -> Result<After, String> {
    let mut events = world.kms.events();
    let answer = level.call(row.operation, &(row.body)(world)).await;
    if let Outcome::Refused(exception) = cell.outcome {
        let Err(refused) = answer else { return Err(format!("not refused as {exception}")) };
        refuses(&refused, row.operation, exception, world.place)?;
        return unchanged(before, &world.snapshot().await).map(|()| After::TheSame);
    }
    if let Err(refused) = answer {
        return Err(format!("refused: {refused:?}"));
    }
    if let Some(seen) = row.seen {
        sees(world, seen).await?;
    }
    match cell.outcome {
        Outcome::Refused(_) => {}
        Outcome::Done => {
            stays(world, &mut events).await?;
            let changes = row.seen.is_some() || *before != world.snapshot().await;
            return Ok(if changes { After::Another } else { After::TheSame });
        }
        Outcome::Moves(states) => moves(world, &mut events, states).await?,
        Outcome::Becomes(state) => becomes(world, state).await?,
        Outcome::Gone => {
            let described = world.kms.describe_custom_key_store(&world.store).await;
            match described.map_err(|error| error.exception()) {
                Err(Exception::CustomKeyStoreNotFound) => {}
                other => return Err(format!("the store is still there: {other:?}")),
            }
        }
    }
    Ok(After::Another)
}

/// What is the same for every refusal.
fn refuses(refused: &Refused, operation: &str, exception: Exception, place: Place) -> Result<(), String> {
    let Refused { name, message, told } = refused;
    if name != exception.as_str() {
        return Err(format!("not refused as {exception} but as {name}: {message}"));
    }
    if message.is_empty() || message.contains("scripted") || message.contains("correcthorse") {
        return Err(format!("the message says nothing, or too much: {message}"));
    }
    let Some(told) = told else { return Ok(()) };
    let uses_keys = operation.parse().is_ok_and(Action::is_cryptographic);
    let by_state = match exception {
        Exception::CustomKeyStoreInvalidState => true,
        Exception::KmsInvalidState => uses_keys && place.key != Some(KeyState::PendingDeletion),
        _ => false,
    };
    match (by_state, told.state, told.advice) {
        (true, Some(state), Some(_)) if state == place.connection => Ok(()),
        (false, None, _) => Ok(()),
        _ => Err(format!("the state decided: {by_state}, and it tells {told:?}")),
    }
}

fn unchanged(before: &Value, after: &Value) -> Result<(), String> {
    if before == after { Ok(()) } else { Err(format!("refused, and yet changed from {before} to {after}")) }
}

async fn sees(world: &World, seen: fn(&World) -> super::table::Seen) -> Result<(), String> {
    let seen = seen(world);
    let answer = Direct::new(&world.kms).call(seen.operation, &seen.body).await;
    let answer = answer.map_err(|refused| format!("{}: {refused:?}", seen.operation))?;
    match answer.pointer(seen.pointer).unwrap_or(&Value::Null) {
        found if *found == seen.value => Ok(()),
        found => Err(format!("{} shows {found} and not {} at {}", seen.operation, seen.value, seen.pointer)),
    }
}

/// Store and key are in the states that they were in.
async fn stays(world: &World, events: &mut ConnectionEvents) -> Result<(), String> {
    let Place { connection, key, .. } = world.place;
    if let Some(event) = events.next().now_or_never() {
        return Err(format!("the store moves: {event:?}"));
    }
    if world.connection().await != connection {
        return Err(format!("the store is {}", world.connection().await));
    }
    match key.map(|key| shown(key, connection)) {
        Some(expected) if world.key_state().await != expected => {
            Err(format!("the key is {}", world.key_state().await))
        }
        _ => Ok(()),
    }
}

/// The store passes these states, and stays in the last.
async fn moves(
    world: &World,
    events: &mut ConnectionEvents,
    states: &[ConnectionState],
) -> Result<(), String> {
    let mut from = world.place.connection;
    for to in states {
        let event = soon(async || events.next().now_or_never().flatten()).await;
        match event {
            Some(event) if (&event.store, event.from, event.to) == (&world.store, from, *to) => from = *to,
            other => return Err(format!("expected to move from {from} to {to}, and not {other:?}")),
        }
    }
    for _ in 0..10 {
        turn().await;
    }
    match (events.next().now_or_never(), world.connection().await) {
        (None, state) if state == from => Ok(()),
        (event, state) => Err(format!("expected to stay {from}, and not {state} after {event:?}")),
    }
}

/// The key is in this state, now and when its store is connected.
async fn becomes(world: &mut World, state: KeyState) -> Result<(), String> {
    let (now, expected) = (world.key_state().await, shown(state, world.place.connection));
    if now != expected {
        return Err(format!("the key is {now} and not {expected}"));
    }
    world.reconnect().await;
    match world.key_state().await {
        connected if connected == state => Ok(()),
        connected => Err(format!("once its store is connected, the key is {connected} and not {state}")),
    }
}

/// How a key is shown while its store is in this state. (5.4)
pub(super) fn shown(key: KeyState, connection: ConnectionState) -> KeyState {
    match (key, connection) {
        (KeyState::PendingDeletion, _) | (_, ConnectionState::Connected) => key,
        _ => KeyState::Unavailable,
    }
}
