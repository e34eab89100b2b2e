//! The storm on a server: [`crate::support::is_on_server`] finds out by the name of this file.

use crate::storm;

#[test]
fn a_storm_leaves_order() {
    storm::blow(None);
}
