//! Reason codes of MQTT 5 (section 2.4), and what 3.1.1 says instead.
//!
//! Owns: names, codes and the mapping between the two versions. Never: decides which one applies.

use std::fmt;

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal,)*) => {
        /// Why a packet was accepted or refused. Codes below 0x80 are successes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl ReasonCode {
            /// Every code, in ascending order.
            pub const ALL: &'static [ReasonCode] = &[$(ReasonCode::$name,)*];

            /// `None` for a code the specification does not define.
            pub fn from_u8(code: u8) -> Option<ReasonCode> {
                match code {
                    $($code => Some(ReasonCode::$name),)*
                    _ => None,
                }
            }

            /// In lower case, as the specification names it.
            pub fn name(self) -> &'static str {
                match self {
                    $(ReasonCode::$name => $text,)*
                }
            }
        }
    };
}

reason_codes! {
    /// Also "normal disconnection" and "granted QoS 0".
    Success = 0x00 "success",
    GrantedQos1 = 0x01 "granted qos 1",
    GrantedQos2 = 0x02 "granted qos 2",
    DisconnectWithWill = 0x04 "disconnect with will message",
    NoMatchingSubscribers = 0x10 "no matching subscribers",
    NoSubscriptionExisted = 0x11 "no subscription existed",
    ContinueAuthentication = 0x18 "continue authentication",
    ReAuthenticate = 0x19 "re-authenticate",
    UnspecifiedError = 0x80 "unspecified error",
    MalformedPacket = 0x81 "malformed packet",
    ProtocolError = 0x82 "protocol error",
    ImplementationSpecificError = 0x83 "implementation specific error",
    UnsupportedProtocolVersion = 0x84 "unsupported protocol version",
    ClientIdentifierNotValid = 0x85 "client identifier not valid",
    BadUserNameOrPassword = 0x86 "bad user name or password",
    NotAuthorized = 0x87 "not authorized",
    ServerUnavailable = 0x88 "server unavailable",
    ServerBusy = 0x89 "server busy",
    Banned = 0x8A "banned",
    ServerShuttingDown = 0x8B "server shutting down",
    BadAuthenticationMethod = 0x8C "bad authentication method",
    KeepAliveTimeout = 0x8D "keep alive timeout",
    SessionTakenOver = 0x8E "session taken over",
    TopicFilterInvalid = 0x8F "topic filter invalid",
    TopicNameInvalid = 0x90 "topic name invalid",
    PacketIdentifierInUse = 0x91 "packet identifier in use",
    PacketIdentifierNotFound = 0x92 "packet identifier not found",
    ReceiveMaximumExceeded = 0x93 "receive maximum exceeded",
    TopicAliasInvalid = 0x94 "topic alias invalid",
    PacketTooLarge = 0x95 "packet too large",
    MessageRateTooHigh = 0x96 "message rate too high",
    QuotaExceeded = 0x97 "quota exceeded",
    AdministrativeAction = 0x98 "administrative action",
    PayloadFormatInvalid = 0x99 "payload format invalid",
    RetainNotSupported = 0x9A "retain not supported",
    QosNotSupported = 0x9B "qos not supported",
    UseAnotherServer = 0x9C "use another server",
    ServerMoved = 0x9D "server moved",
    SharedSubscriptionsNotSupported = 0x9E "shared subscriptions not supported",
    ConnectionRateExceeded = 0x9F "connection rate exceeded",
    MaximumConnectTime = 0xA0 "maximum connect time",
    SubscriptionIdentifiersNotSupported = 0xA1 "subscription identifiers not supported",
    WildcardSubscriptionsNotSupported = 0xA2 "wildcard subscriptions not supported",
}

impl ReasonCode {
    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn is_error(self) -> bool {
        self.code() >= 0x80
    }

    /// The CONNACK return code of 3.1.1 that says the same (its table 3.1), 0x03 "server
    /// unavailable" where none does.
    pub fn connect_return_code(self) -> u8 {
        match self {
            reason if !reason.is_error() => 0x00,
            ReasonCode::UnsupportedProtocolVersion => 0x01,
            ReasonCode::ClientIdentifierNotValid => 0x02,
            ReasonCode::BadUserNameOrPassword => 0x04,
            ReasonCode::NotAuthorized
            | ReasonCode::Banned
            | ReasonCode::BadAuthenticationMethod => 0x05,
            _ => 0x03,
        }
    }

    /// The SUBACK return code of 3.1.1: the granted QoS, or 0x80 "failure".
    pub fn subscribe_return_code(self) -> u8 {
        match self {
            ReasonCode::Success | ReasonCode::GrantedQos1 | ReasonCode::GrantedQos2 => self.code(),
            _ => 0x80,
        }
    }

    /// Whether a client may send it in PUBACK or PUBREC, tables 3-4 and 3-5.
    pub(super) fn fits_puback(self) -> bool {
        use ReasonCode::*;
        matches!(
            self,
            Success
                | NoMatchingSubscribers
                | UnspecifiedError
                | ImplementationSpecificError
                | NotAuthorized
                | TopicNameInvalid
                | PacketIdentifierInUse
                | QuotaExceeded
                | PayloadFormatInvalid
        )
    }

    /// Whether it may stand in PUBREL or PUBCOMP, tables 3-6 and 3-7.
    pub(super) fn fits_pubrel(self) -> bool {
        matches!(
            self,
            ReasonCode::Success | ReasonCode::PacketIdentifierNotFound
        )
    }

    /// Whether a client may send it in DISCONNECT, table 3-10.
    pub(super) fn fits_client_disconnect(self) -> bool {
        use ReasonCode::*;
        matches!(
            self,
            Success
                | DisconnectWithWill
                | UnspecifiedError
                | MalformedPacket
                | ProtocolError
                | ImplementationSpecificError
                | TopicNameInvalid
                | ReceiveMaximumExceeded
                | TopicAliasInvalid
                | PacketTooLarge
                | MessageRateTooHigh
                | QuotaExceeded
                | AdministrativeAction
                | PayloadFormatInvalid
        )
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.code())
    }
}
