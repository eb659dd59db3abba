//! What each test of a filter means, over columns.
