//! What no two stores may have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::KmsError;
use super::exception::Exception;
use crate::backend::{StoreConfiguration, XksProxyConnectivity};
use crate::store_id::StoreId;

/// Who has what. In memory, since all stores of a catalogue are here.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<Held>);

/// Of each thing those who have it, as often as they have claimed it, and whether they share it.
type Held = HashMap<Thing, Vec<(StoreId, bool)>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Thing {
    /// An endpoint with a path: one store.
    Uri(String),
    /// An endpoint: many stores with public connectivity, or one with a VPC endpoint service.
    Endpoint(String),
    VpcEndpointService(String),
    Cluster(String),
    /// What clusters with common backups share.
    TrustAnchor(String),
}

/// What a store has claimed. Dropped, it has given it back.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Arc<Claims>,
    store: StoreId,
    things: Vec<(Thing, bool)>,
}

impl Claims {
    /// Claims for `store` what a configuration needs for itself. What the store has already is no obstacle, so that it can
    /// claim a changed configuration beside its own; also where another has it too, as two of one catalogue may that were
    /// made by other means: neither is kept from changing what has nothing to do with that.
    pub(super) fn claim(
        self: &Arc<Self>,
        store: &StoreId,
        configuration: &StoreConfiguration,
    ) -> Result<Claim, KmsError> {
        let wanted = wanted(configuration);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (thing, shared, exception) in &wanted {
            let Some(holders) = held.get(thing) else { continue };
            let is_in_the_way = |(holder, shares): &(StoreId, bool)| holder != store && !(*shared && *shares);
            let has_it = holders.iter().any(|(holder, shares)| holder == store && shares == shared);
            if !has_it && holders.iter().any(is_in_the_way) {
                return Err(in_use(*exception));
            }
        }
        Ok(self.enter(&mut held, store, wanted))
    }

    /// The same for a store that is there already, whatever others have.
    pub(super) fn claim_regardless(
        self: &Arc<Self>,
        store: &StoreId,
        configuration: &StoreConfiguration,
    ) -> Claim {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.enter(&mut held, store, wanted(configuration))
    }

    fn enter(self: &Arc<Self>, held: &mut Held, store: &StoreId, wanted: Vec<Wanted>) -> Claim {
        let enter = |(thing, shared, _): Wanted| {
            held.entry(thing.clone()).or_default().push((store.clone(), shared));
            (thing, shared)
        };
        let things = wanted.into_iter().map(enter).collect();
        Claim { claims: Arc::clone(self), store: store.clone(), things }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.claims.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (thing, shared) in &self.things {
            let Some(holders) = held.get_mut(thing) else { continue };
            let is_ours = |(holder, shares): &(StoreId, bool)| *holder == self.store && shares == shared;
            if let Some(place) = holders.iter().position(is_ours) {
                holders.swap_remove(place);
            }
            if holders.is_empty() {
                held.remove(thing);
            }
        }
    }
}

/// What somebody wants, whether to be shared, and what it is called when it cannot be had.
type Wanted = (Thing, bool, Exception);

/// What a configuration needs for itself. The most telling first.
fn wanted(configuration: &StoreConfiguration) -> Vec<Wanted> {
    match configuration {
        StoreConfiguration::External(proxy) => {
            let endpoint = proxy.uri_endpoint.as_str().to_ascii_lowercase();
            let uri = format!("{endpoint}{}", proxy.uri_path);
            let is_public = proxy.connectivity == XksProxyConnectivity::PublicEndpoint;
            let service = proxy.vpc_endpoint_service_name.as_ref().map(|name| {
                let thing = Thing::VpcEndpointService(name.to_string());
                (thing, false, Exception::XksProxyVpcEndpointServiceInUse)
            });
            [
                (Thing::Uri(uri), false, Exception::XksProxyUriInUse),
                (Thing::Endpoint(endpoint), is_public, Exception::XksProxyUriEndpointInUse),
            ]
            .into_iter()
            .chain(service)
            .collect()
        }
        StoreConfiguration::CloudHsm(cluster) => {
            let in_use = Exception::CloudHsmClusterInUse;
            let anchor = cluster.trust_anchor_certificate.as_ref().map(|certificate| {
                let text: String = certificate.as_str().split_whitespace().collect();
                (Thing::TrustAnchor(text), false, in_use)
            });
            let id = (Thing::Cluster(cluster.cluster_id.to_string()), false, in_use);
            std::iter::once(id).chain(anchor).collect()
        }
    }
}

fn in_use(exception: Exception) -> KmsError {
    KmsError::new(
        exception,
        match exception {
            Exception::XksProxyUriInUse => {
                "another custom key store has this XksProxyUriEndpoint with this XksProxyUriPath"
            }
            Exception::XksProxyUriEndpointInUse => {
                "another custom key store has this XksProxyUriEndpoint, which stores share only if all of them have \
                 the XksProxyConnectivity PUBLIC_ENDPOINT"
            }
            Exception::XksProxyVpcEndpointServiceInUse => {
                "another custom key store has this XksProxyVpcEndpointServiceName"
            }
            _ => {
                "the CloudHSM cluster, or one with which it shares a backup, belongs to another custom key store"
            }
        },
    )
}
