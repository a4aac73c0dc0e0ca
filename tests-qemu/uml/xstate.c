/* Loaded in front of user-mode Linux's own C library (docs/decisions/0025-machines.md).
 *
 * Linux takes the extended registers of a traced process back only as a whole (xstateregs_set in arch/x86/kernel/fpu/regset.c).
 * User-mode Linux up to 6.12 has a buffer for the registers up to AVX-512; on a processor with AMX they are four times as many, and its
 * first process ends with "ptrace set fp regs failed, errno = 14". The missing ones are in their initial state: no process in
 * it can have asked for them. So they are zeros, and the header says that they are not there.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PEEKTEXT = 1, PEEKUSER = 3, GETREGSET = 0x4204, SETREGSET = 0x4205, XSTATE = 0x202 };

static char whole[1 << 16] __attribute__((aligned(64)));
/* How many bytes this processor has; 0 as long as the kernel has not refused any. */
static size_t size;

static long ask(long request, long pid, void *addr, void *data) { return syscall(SYS_ptrace, request, pid, addr, data); }

static long set(long pid, void *addr, struct iovec *part)
{
	struct iovec all = { whole, size };

	memset(whole, 0, size);
	memcpy(whole, part->iov_base, part->iov_len);
	return ask(SETREGSET, pid, addr, &all);
}

long ptrace(int request, int pid, void *addr, void *data)
{
	struct iovec *part = data;
	struct iovec all = { whole, sizeof whole };
	long word, result;

	/* The kernel writes what was peeked at; the library's function returns it. */
	if (request >= PEEKTEXT && request <= PEEKUSER) {
		result = ask(request, pid, addr, &word);
		if (result < 0)
			return result;
		errno = 0;
		return word;
	}
	if (request != SETREGSET || (long)addr != XSTATE)
		return ask(request, pid, addr, data);
	if (size > part->iov_len)
		return set(pid, addr, part);
	result = ask(request, pid, addr, data);
	if (result == 0 || errno != EFAULT || ask(GETREGSET, pid, addr, &all) != 0 || all.iov_len <= part->iov_len) {
		errno = result == 0 ? errno : EFAULT;
		return result;
	}
	size = all.iov_len;
	return set(pid, addr, part);
}
