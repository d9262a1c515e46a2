//! A store whose state is data behaves as the typed one, and illegal transitions are errors that change nothing.

use custom_key_store::backend::software::{Fault, Method};
use custom_key_store::backend::{ConnectionErrorCode, CustomKeyStoreType};
use custom_key_store::{
    AnyKeyStore, Connected, Connecting, ConnectionState, Disconnected, Disconnecting, Failed, KeyStore,
    State, WrongState,
};

use crate::support::{connected, manager, name, poll_once};

/// A store in each state, in AWS's order of states.
async fn one_in_each_state() -> Vec<AnyKeyStore> {
    let failing = manager();
    failing.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::NetworkErrors));
    vec![
        connected(&manager()).await.into(),
        KeyStore::ephemeral(name(), manager()).connect().into(),
        KeyStore::ephemeral(name(), failing).connect().await.unwrap_err().into_store().into(),
        KeyStore::ephemeral(name(), manager()).into(),
        connected(&manager()).await.disconnect().into(),
    ]
}

fn back<S: State>(store: AnyKeyStore) -> Result<AnyKeyStore, AnyKeyStore> {
    KeyStore::<S>::try_from(store).map(Into::into).map_err(WrongState::into_store)
}

#[tokio::test]
async fn a_store_is_typed_again_in_its_own_state_and_given_back_in_any_other() {
    type Convert = fn(AnyKeyStore) -> Result<AnyKeyStore, AnyKeyStore>;
    let conversions: [(ConnectionState, Convert); 5] = [
        (Connected::STATE, back::<Connected>),
        (Connecting::STATE, back::<Connecting>),
        (Failed::STATE, back::<Failed>),
        (Disconnected::STATE, back::<Disconnected>),
        (Disconnecting::STATE, back::<Disconnecting>),
    ];
    for mut store in one_in_each_state().await {
        let (state, id) = (store.state(), store.id().clone());
        for (wanted, convert) in conversions {
            let converted = convert(store);
            assert_eq!(converted.is_ok(), wanted == state);
            store = converted.unwrap_or_else(|unchanged| unchanged);
            assert_eq!((store.state(), store.id()), (state, &id));
        }
        // It still works.
        store.settled().await;
    }
}

#[tokio::test]
async fn a_store_in_any_state_becomes_connected() {
    for store in one_in_each_state().await {
        let id = store.id().clone();
        let store = store.into_connected().await.unwrap();
        assert_eq!((store.state(), store.id()), (ConnectionState::Connected, &id));
        assert!(store.health().await.is_ok());
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_connected_is_given_back_failed_after_one_attempt() {
    let manager = manager();
    manager.always(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyAccessDenied));
    let store: AnyKeyStore = KeyStore::ephemeral(name(), manager.clone()).into();
    let error = store.into_connected().await.unwrap_err();
    assert_eq!(error.code(), ConnectionErrorCode::XksProxyAccessDenied);
    assert_eq!(manager.calls(Method::Connect), 1);
    let failed: AnyKeyStore = error.into_store().into();
    assert!(failed.into_connected().await.is_err());
    assert_eq!(manager.calls(Method::Connect), 2);
}

#[tokio::test]
async fn the_wrong_state_says_what_was_found_and_what_was_wanted() {
    let store: AnyKeyStore = KeyStore::ephemeral(name(), manager()).into();
    let id = store.id().clone();
    let error = KeyStore::<Connected>::try_from(store).unwrap_err();
    assert_eq!(error.to_string(), format!("the custom key store {id} is DISCONNECTED, not CONNECTED"));
    assert_eq!(
        (error.wanted(), error.store().state()),
        (ConnectionState::Connected, ConnectionState::Disconnected)
    );
}

#[tokio::test]
async fn the_legal_moves_are_those_of_the_typed_store() {
    use ConnectionState::{Connected, Connecting, Disconnected, Disconnecting, Failed};
    for mut store in one_in_each_state().await {
        let found = store.state();
        let connected = store.connect();
        match found {
            Disconnected => assert_eq!((connected, store.state()), (Ok(()), Connecting)),
            Connected | Connecting | Failed | Disconnecting => {
                let error = connected.unwrap_err();
                assert_eq!((error.found(), store.state()), (found, found));
                assert_eq!((error.id(), error.wanted()), (store.id(), Connecting));
                assert!(error.to_string().ends_with(error.way_on()), "{error}");
            }
        }
    }
    for mut store in one_in_each_state().await {
        let found = store.state();
        let disconnected = store.disconnect();
        match found {
            Connected | Connecting | Failed => {
                assert_eq!((disconnected, store.state()), (Ok(()), Disconnecting));
                assert_eq!(store.settled().await, Disconnected);
            }
            Disconnected | Disconnecting => {
                let error = disconnected.unwrap_err();
                assert_eq!((error.wanted(), error.found(), store.state()), (Disconnecting, found, found));
                assert!(!error.to_string().contains("connect it first"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn what_exists_in_one_state_only_is_there_in_that_state_only() {
    for store in one_in_each_state().await {
        let state = store.state();
        assert_eq!(store.handle().is_some(), state == ConnectionState::Connected);
        assert_eq!(store.connection_error().is_some(), state == ConnectionState::Failed);
        let description = store.describe();
        assert_eq!(description.connection_state, state);
        assert_eq!(description.connection_error_code.is_some(), state == ConnectionState::Failed);
        assert_eq!((store.name(), store.store_type()), (&name(), CustomKeyStoreType::ExternalKeyStore));
    }
}

#[tokio::test]
async fn an_update_is_checked_at_run_time_as_it_is_by_the_types() {
    use custom_key_store::backend::{Change, LiveChange, UriEndpoint, UriPath};
    use custom_key_store::{StoreName, UpdateError};

    let live = || LiveChange::new().uri_path(UriPath::new("/blue/kms/xks/v1").unwrap());
    let any = || Change::new().uri_endpoint(UriEndpoint::new("https://other.example.com").unwrap());
    for mut store in one_in_each_state().await {
        let (state, before) = (store.state(), store.describe());
        let (of_live, of_any) = (store.update(live()).await, store.update(any()).await);
        let allowed = (of_live.is_ok(), of_any.is_ok());
        match state {
            ConnectionState::Disconnected => assert_eq!(allowed, (true, true)),
            ConnectionState::Connected => assert_eq!(allowed, (true, false)),
            _ => {
                assert_eq!(allowed, (false, false));
                assert_eq!(store.describe(), before);
            }
        }
        if let Err(error) = of_any {
            assert!(error.to_string().ends_with("only while it is DISCONNECTED"), "{error}");
            let UpdateError::InvalidState { found, .. } = error else { unreachable!("{error:?}") };
            assert_eq!(found, state);
        }
        assert_eq!(store.state(), state);
    }

    // Dropped half way, the store is still there, and as it was.
    let manager = manager();
    let mut store: AnyKeyStore = connected(&manager).await.into();
    manager.inject(Method::Connect, Fault::Hang);
    {
        let mut update = Box::pin(store.update(live().name(StoreName::new("new").unwrap())));
        assert!(poll_once(&mut update).is_pending());
    }
    assert_eq!((store.state(), store.name()), (ConnectionState::Connected, &name()));
    assert!(store.handle().unwrap().health().await.is_ok());
}

#[tokio::test]
async fn settling_takes_a_store_to_a_state_that_lasts_and_is_ready_at_once_there() {
    let manager = manager();
    let mut store: AnyKeyStore = KeyStore::ephemeral(name(), manager.clone()).into();
    assert!(poll_once(&mut Box::pin(store.settled())).is_ready());

    manager.inject(Method::Connect, Fault::Hang);
    store.connect().unwrap();
    for _ in 0..3 {
        assert!(poll_once(&mut Box::pin(store.settled())).is_pending());
        assert_eq!(store.state(), ConnectionState::Connecting);
    }
    store.disconnect().unwrap();
    assert_eq!(store.settled().await, ConnectionState::Disconnected);

    manager.inject(Method::Connect, Fault::Refuse(ConnectionErrorCode::XksProxyTimedOut));
    store.connect().unwrap();
    assert_eq!(store.settled().await, ConnectionState::Failed);
    assert_eq!(store.connection_error().unwrap().code(), ConnectionErrorCode::XksProxyTimedOut);
    store.disconnect().unwrap();
    store.settled().await;
    store.connect().unwrap();
    assert_eq!(store.settled().await, ConnectionState::Connected);
    assert_eq!(manager.open_connections(), 1);
    drop(store);
    assert_eq!(manager.open_connections(), 0);
}
