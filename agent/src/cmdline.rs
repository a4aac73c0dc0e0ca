//! The kernel command line: quoting rules, and lookups in which the last occurrence wins.
