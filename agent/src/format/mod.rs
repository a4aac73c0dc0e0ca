//! Readers of superblocks and partition tables, over `Read + Seek`.
