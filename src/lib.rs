//! phone-verify
