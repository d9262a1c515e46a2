//! Why a store is `FAILED`: AWS's eighteen codes, what each means, and who can do something about it.

use std::fmt;

use super::CustomKeyStoreType;
use crate::value::wire_enum;

wire_enum! {
    /// Why a connection attempt failed, in AWS's own words.
    ///
    /// Each code knows its [meaning](Self::meaning), the [store type](Self::store_type) it belongs to, and
    /// [what to do](Self::advice) by whom. The universal way on: read the code (a disconnect erases it),
    /// disconnect, repair, update the store if its configuration was wrong, connect.
    ///
    /// ```
    /// use custom_key_store::backend::{ConnectionErrorCode, CustomKeyStoreType};
    ///
    /// let code: ConnectionErrorCode = "INVALID_CREDENTIALS".parse()?;
    /// println!("{}: {}", code, code.meaning());
    /// let advice = code.advice(Some(CustomKeyStoreType::ExternalKeyStore));
    /// println!("{} (by {})", advice.action, advice.by);
    /// # Ok::<(), custom_key_store::InvalidValue>(())
    /// ```
    #[non_exhaustive]
    ConnectionErrorCode, field: "ConnectionErrorCode" {
        /// The key manager refused the credential or password.
        InvalidCredentials = "INVALID_CREDENTIALS",
        /// There is no CloudHSM cluster with the store's cluster id.
        ClusterNotFound = "CLUSTER_NOT_FOUND",
        /// The network keeps the store from its key manager.
        NetworkErrors = "NETWORK_ERRORS",
        /// The store itself, or its backend, failed.
        InternalError = "INTERNAL_ERROR",
        /// The cluster has no active HSM.
        InsufficientCloudhsmHsms = "INSUFFICIENT_CLOUDHSM_HSMS",
        /// Too many wrong passwords have locked the `kmsuser`.
        UserLockedOut = "USER_LOCKED_OUT",
        /// The cluster has no crypto user named `kmsuser`.
        UserNotFound = "USER_NOT_FOUND",
        /// The `kmsuser` is logged in elsewhere.
        UserLoggedIn = "USER_LOGGED_IN",
        /// A subnet of the cluster's configuration does not exist any more.
        SubnetNotFound = "SUBNET_NOT_FOUND",
        /// A private subnet of the cluster has no free address.
        InsufficientFreeAddressesInSubnet = "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
        /// The proxy denied access.
        XksProxyAccessDenied = "XKS_PROXY_ACCESS_DENIED",
        /// The proxy cannot be reached, or none of its key managers serves.
        XksProxyNotReachable = "XKS_PROXY_NOT_REACHABLE",
        /// The proxy's VPC endpoint service cannot be found.
        XksVpcEndpointServiceNotFound = "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
        /// The proxy's answer makes no sense.
        XksProxyInvalidResponse = "XKS_PROXY_INVALID_RESPONSE",
        /// The proxy does not know the path, or is configured wrongly.
        XksProxyInvalidConfiguration = "XKS_PROXY_INVALID_CONFIGURATION",
        /// The proxy's VPC endpoint service breaks a requirement.
        XksVpcEndpointServiceInvalidConfiguration = "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION",
        /// The proxy did not answer in time.
        XksProxyTimedOut = "XKS_PROXY_TIMED_OUT",
        /// No TLS session with the proxy could be agreed on.
        XksProxyInvalidTlsConfiguration = "XKS_PROXY_INVALID_TLS_CONFIGURATION",
    }
}

/// What to do about a failed connection, and who can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// What to do, in one sentence or a few.
    pub action: &'static str,
    /// Who can.
    pub by: Responsible,
}

/// Who can repair what made a connection fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Responsible {
    /// Whoever owns the custom key store and may connect, disconnect and update it.
    StoreOwner,
    /// Whoever runs the CloudHSM cluster, its network and its backups.
    ClusterOperator,
    /// The crypto officer who manages the users of the CloudHSM cluster.
    CryptoOfficer,
    /// Whoever runs the external key store proxy and the key manager behind it.
    ProxyOperator,
}

impl fmt::Display for Responsible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::StoreOwner => "the owner of the key store",
            Self::ClusterOperator => "the operator of the CloudHSM cluster",
            Self::CryptoOfficer => "the crypto officer of the CloudHSM cluster",
            Self::ProxyOperator => "the operator of the external key store proxy",
        })
    }
}

struct Explanation {
    store_type: Option<CustomKeyStoreType>,
    transient: bool,
    meaning: &'static str,
    advice: Advice,
}

impl ConnectionErrorCode {
    /// What has happened, in one sentence without a full stop.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.explanation().meaning
    }

    /// The store type that the code belongs to; `None` when stores of both types can show it.
    #[must_use]
    pub const fn store_type(self) -> Option<CustomKeyStoreType> {
        self.explanation().store_type
    }

    /// What to do next, and who does it.
    ///
    /// `INVALID_CREDENTIALS` is the one code whose repair depends on the store type; without a type its
    /// advice covers both.
    #[must_use]
    pub const fn advice(self, store_type: Option<CustomKeyStoreType>) -> Advice {
        match (self, store_type) {
            (Self::InvalidCredentials, Some(CustomKeyStoreType::AwsCloudhsm)) => Advice {
                action: "Disconnect the store, set or find out the password of the kmsuser in the cluster, \
                         update the store's password, connect again. Do not try passwords: five wrong ones \
                         lock the user.",
                by: Responsible::CryptoOfficer,
            },
            (Self::InvalidCredentials, Some(CustomKeyStoreType::ExternalKeyStore)) => Advice {
                action: "Disconnect the store, update its credential to an access key id and secret that the \
                         proxy accepts, connect again. If the credential is right, look for a gateway that \
                         rewrites headers, and at the clocks.",
                by: Responsible::StoreOwner,
            },
            _ => self.explanation().advice,
        }
    }

    /// Whether the cause may vanish by itself, so that connecting again makes sense with nothing changed:
    /// `NETWORK_ERRORS`, `INTERNAL_ERROR`, `XKS_PROXY_NOT_REACHABLE`, `XKS_PROXY_TIMED_OUT` and
    /// `XKS_PROXY_INVALID_RESPONSE`. Try these a bounded number of times, with pauses: `INTERNAL_ERROR` is also what
    /// a bug in a backend looks like, and a proxy that answers nonsense may go on so.
    ///
    /// A store never does so by itself: `FAILED` is left only by a disconnect.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        self.explanation().transient
    }

    // Source: facts on KMS, part 3. One arm for each code, so that a new code cannot be forgotten.
    const fn explanation(self) -> Explanation {
        use CustomKeyStoreType::{AwsCloudhsm, ExternalKeyStore};
        use Responsible::{ClusterOperator, CryptoOfficer, ProxyOperator, StoreOwner};

        const fn new(
            store_type: Option<CustomKeyStoreType>,
            transient: bool,
            meaning: &'static str,
            action: &'static str,
            by: Responsible,
        ) -> Explanation {
            Explanation { store_type, transient, meaning, advice: Advice { action, by } }
        }

        match self {
            Self::InvalidCredentials => new(
                None,
                false,
                "the key manager refused the store's credential or password",
                "Disconnect the store, bring its credential or password in line with the key manager's, \
                 update the store, connect again.",
                StoreOwner,
            ),
            Self::ClusterNotFound => new(
                Some(AwsCloudhsm),
                false,
                "there is no CloudHSM cluster with the store's cluster id",
                "Check the cluster id. If the cluster was deleted, restore it from a backup, disconnect the \
                 store, update its cluster id, connect again.",
                ClusterOperator,
            ),
            Self::NetworkErrors => new(
                None,
                true,
                "the network keeps the store from its key manager",
                "Disconnect the store, wait a few minutes, connect again. If it stays so, check name \
                 resolution, routes and firewalls between the two.",
                StoreOwner,
            ),
            Self::InternalError => new(
                None,
                true,
                "the store or its backend failed by a fault of its own",
                "Disconnect the store and connect again. If it happens again, report it with the error's source.",
                StoreOwner,
            ),
            Self::InsufficientCloudhsmHsms => new(
                Some(AwsCloudhsm),
                false,
                "the CloudHSM cluster has no active HSM",
                "Add an HSM to the cluster (several: in different availability zones), disconnect the store, \
                 connect again.",
                ClusterOperator,
            ),
            Self::UserLockedOut => new(
                Some(AwsCloudhsm),
                false,
                "too many wrong passwords have locked the kmsuser of the CloudHSM cluster",
                "Disconnect the store, have a crypto officer set a new password for the kmsuser, update the \
                 store's password, connect again.",
                CryptoOfficer,
            ),
            Self::UserNotFound => new(
                Some(AwsCloudhsm),
                false,
                "the CloudHSM cluster has no crypto user named kmsuser",
                "Disconnect the store, have a crypto officer create the crypto user kmsuser without a second \
                 factor, update the store's password, connect again.",
                CryptoOfficer,
            ),
            Self::UserLoggedIn => new(
                Some(AwsCloudhsm),
                false,
                "the kmsuser of the CloudHSM cluster is logged in elsewhere",
                "Log the kmsuser out of the cluster everywhere. If its password was changed meanwhile, update \
                 the store's password. Disconnect the store, connect again.",
                CryptoOfficer,
            ),
            Self::SubnetNotFound => new(
                Some(AwsCloudhsm),
                false,
                "a subnet in the CloudHSM cluster's configuration does not exist any more",
                "Create a cluster from a recent backup in existing subnets, disconnect the store, update its \
                 cluster id, connect again. A recent backup spares a reset of the kmsuser's password.",
                ClusterOperator,
            ),
            Self::InsufficientFreeAddressesInSubnet => new(
                Some(AwsCloudhsm),
                false,
                "a private subnet of the CloudHSM cluster has no free address",
                "Free an address in each subnet (two are better), or create a cluster from a recent backup in \
                 roomier subnets and update the store's cluster id. Disconnect the store, connect again.",
                ClusterOperator,
            ),
            Self::XksProxyAccessDenied => new(
                Some(ExternalKeyStore),
                false,
                "the external key store proxy denied access",
                "Correct the authorization rules of the proxy, or of a gateway in front of it: a health \
                 request must not be subject to them. Disconnect the store, connect again.",
                ProxyOperator,
            ),
            Self::XksProxyNotReachable => new(
                Some(ExternalKeyStore),
                true,
                "the external key store proxy cannot be reached, or none of its key managers serves",
                "Check that the proxy runs, that the store's endpoint and path are right, that port 443 is \
                 open, and the health of the key managers behind it. Disconnect the store, connect again.",
                ProxyOperator,
            ),
            Self::XksVpcEndpointServiceNotFound => new(
                Some(ExternalKeyStore),
                false,
                "the VPC endpoint service of the external key store proxy cannot be found",
                "Check the service's name and Region, that the key management service is an allowed principal \
                 of it, and that it does not require acceptance. Disconnect the store, connect again.",
                ProxyOperator,
            ),
            Self::XksProxyInvalidResponse => new(
                Some(ExternalKeyStore),
                true,
                "the external key store proxy gave an answer that makes no sense",
                "Disconnect the store and connect again. If it happens again, look at the error's detail: \
                 the owner of the keys may have suspended them. Otherwise report it to the vendor of the proxy.",
                ProxyOperator,
            ),
            Self::XksProxyInvalidConfiguration => new(
                Some(ExternalKeyStore),
                false,
                "the external key store proxy does not know the path, or is configured wrongly",
                "Check the store's URI path against the proxy's. Disconnect the store, update the path, \
                 connect again.",
                StoreOwner,
            ),
            Self::XksVpcEndpointServiceInvalidConfiguration => new(
                Some(ExternalKeyStore),
                false,
                "the VPC endpoint service of the external key store proxy breaks a requirement",
                "Correct the service: network load balancer, two availability zones, verified private DNS \
                 name, no acceptance required. Disconnect the store, connect again.",
                ProxyOperator,
            ),
            Self::XksProxyTimedOut => new(
                Some(ExternalKeyStore),
                true,
                "the external key store proxy did not answer in time",
                "Disconnect the store and connect again. If it happens again, bring proxy and key manager \
                 closer, or tell the vendor of the proxy.",
                ProxyOperator,
            ),
            Self::XksProxyInvalidTlsConfiguration => new(
                Some(ExternalKeyStore),
                false,
                "no TLS session with the external key store proxy could be agreed on",
                "Correct the proxy's TLS: version 1.2 or 1.3, a certificate that has not expired, matches the \
                 host name and comes from a trusted issuer. If the proxy asks for a client certificate, give the \
                 store one that it accepts. Disconnect the store, connect again.",
                ProxyOperator,
            ),
        }
    }
}
