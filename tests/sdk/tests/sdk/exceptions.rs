//! Every exception that the SDK knows of an operation is reached, as the type that the SDK has for it, or named here as one
//! that never comes.

mod faults;
mod keys;
mod model;
mod stores;
mod uses;

use std::collections::BTreeSet;

/// Operations, and names of exceptions that the SDK had a type of their own for.
type Reached = BTreeSet<(&'static str, String)>;

/// Sends a request, which is to be refused with what the SDK calls so.
macro_rules! refused {
    ($reached:expr, $operation:ident, $call:expr, $verdict:ident) => {{
        use aws_sdk_kms::error::ProvideErrorMetadata as _;
        use aws_sdk_kms::operation::RequestId as _;

        let what = concat!(stringify!($operation), " ", stringify!($verdict));
        let error = $call.send().await.expect_err(what);
        assert!(error.request_id().is_some_and(|id| id.len() == 36), "{what}: {error:?}");
        assert!(error.message().is_some_and(|message| !message.is_empty()), "{what}: {error:?}");
        let typed = error.as_service_error().unwrap_or_else(|| panic!("{what}: {error:?}"));
        assert!(typed.$verdict(), "{what}: {error:?}");
        $reached.insert((stringify!($operation), typed.code().unwrap().to_owned()));
    }};
}
pub(crate) use refused;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exception_of_the_model_is_reached_or_known_never_to_come() {
    let mut reached = Reached::new();
    stores::created(&mut reached).await;
    stores::updated(&mut reached).await;
    stores::managed(&mut reached).await;
    keys::created(&mut reached).await;
    keys::managed(&mut reached).await;
    uses::refused_by_key_and_ciphertext(&mut reached).await;
    uses::random(&mut reached).await;
    faults::of_every_operation(&mut reached).await;

    let mut wrong = Vec::new();
    for (operation, exceptions) in model::EXCEPTIONS {
        for name in *exceptions {
            let exception = format!("{name}Exception");
            let never = model::NEVER
                .iter()
                .any(|(never, of, _)| never == name && (of.is_empty() || of.contains(operation)));
            match (never, reached.remove(&(operation, exception))) {
                (false, false) => wrong.push(format!("{operation} {name} was not reached")),
                (true, true) => wrong.push(format!("{operation} {name} came, which was never to come")),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(reached.is_empty(), "not of the model: {reached:?}");
}
