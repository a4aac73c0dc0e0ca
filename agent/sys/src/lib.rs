//! The only unsafe code of rdlive: ioctls and system calls that no library offers with a safe signature.
