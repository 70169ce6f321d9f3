//! Who a client is, once authentication has found it.

/// A client's identity; decided at CONNECT, and the same for the life of the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Empty: nobody, let in without credentials.
    pub(crate) user: Box<str>,
    pub(crate) groups: Box<[Box<str>]>,
    /// The name in the client's certificate.
    pub(crate) certificate: Option<Box<str>>,
}
