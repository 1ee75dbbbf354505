/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/clean_text.h"

#include "base/str.h"

void clean_text(char *s)
{
	bool utf8 = str_is_utf8(str_from(s));

	for (unsigned char *p = (unsigned char *)s; *p; p++) {
		if (*p < 0x20 || *p == 0x7f || (!utf8 && *p >= 0x80))
			*p = '?';
	}
}
