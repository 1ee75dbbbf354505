/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/rights/capabilities.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int capabilities_get(enum capabilities_set which, uint64_t *ret, struct err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	bool effective = which == CAPABILITIES_EFFECTIVE;

	if (syscall(SYS_capget, &head, data) < 0)
		return err_sys(e, errno, "capget");
	*ret = (uint64_t)(effective ? data[1].effective : data[1].permitted) << 32 |
	       (effective ? data[0].effective : data[0].permitted);
	return 0;
}

int capabilities_set(uint64_t caps, struct err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct data[2] = {
		{(uint32_t)caps, (uint32_t)caps, 0},
		{(uint32_t)(caps >> 32), (uint32_t)(caps >> 32), 0},
	};

	return syscall(SYS_capset, &head, data) < 0 ? err_sys(e, errno, "capset") : 0;
}
